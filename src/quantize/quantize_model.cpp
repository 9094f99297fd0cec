#include "quantize/quantize_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "formats/gguf_names.h"
#include "formats/gguf_writer.h"
#include "formats/open_source.h"
#include "model/parallel_jobs.h"
#include "model/tied_head.h"
#include "model/weight_sources.h"
#include "quantize/metadata.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"
#include "tensor/quantize.h"

namespace qwen3 {
namespace {

constexpr int64_t kJobNumbers = 1 << 16;
constexpr int64_t kJobsPerThread = 8;  // between two writes

struct Task {
  GgufTensorPlan plan;
  std::vector<WeightSource> sources;  // of each matrix
  int64_t rows_of_matrix, n_columns;
  const Importance::Entry* importance = nullptr;
};

std::string gguf_name_of(const WeightSlot& slot, const std::string& where) {
  const bool experts = slot.kind == WeightSlot::Kind::experts;
  const auto name = gguf_tensor_name(
      experts ? fmt::format("{}.{}.weight", slot.name, slot.projection) : slot.name);
  QWEN3_CHECK(
      name.has_value(), ErrorKind::internal, "{}: {}: has no name in GGUF", where, slot.name);
  return *name;
}

const Importance::Entry* importance_of(const Task& task, const Importance& importance) {
  const Importance::Entry* entry = importance.find(task.plan.name);
  if (entry == nullptr) return nullptr;
  const auto n_matrices = static_cast<int64_t>(task.sources.size());
  QWEN3_CHECK(entry->n_columns == task.n_columns && entry->n_matrices() == n_matrices,
              ErrorKind::invalid_argument,
              "importance of {}: expected {} x {} columns, got {} x {}; is it another model's?",
              task.plan.name,
              n_matrices,
              task.n_columns,
              entry->n_matrices(),
              entry->n_columns);
  return entry;
}

std::vector<Task> plan_tasks(const TensorSource& source, const QuantizeOptions& options) {
  const HfConfig& config = source.config();
  Weights unused;
  std::vector<WeightSlot> slots = weight_slots(config, unused);
  const size_t n_wanted = slots.size();
  std::vector<std::vector<WeightSource>> sources = find_weight_sources(source, slots);
  QWEN3_CHECK(
      slots.size() == n_wanted,
      ErrorKind::unsupported,
      "{}: lm_head.weight: expected a head, got an embedding model; GGUF would take its table "
      "for the head",
      source.name());
  std::vector<Task> tasks;
  bool any = false;
  for (size_t i = 0; i < slots.size(); ++i) {
    const WeightSlot& slot = slots[i];
    Task task{
        .plan = {.name = gguf_name_of(slot, source.name()), .type = WeightType::f32, .shape = {}},
        .sources = std::move(sources[i]),
        .rows_of_matrix = slot.n_rows(),
        .n_columns = slot.row_numel()};
    for (int d = 0; d < slot.shape.rank(); ++d) task.plan.shape.push_back(slot.shape[d]);
    if (slot.kind == WeightSlot::Kind::vector) {  // one row
      std::swap(task.rows_of_matrix, task.n_columns);
    } else {
      task.plan.type = choose_type(*options.mix,
                                   {.gguf_name = task.plan.name,
                                    .n_columns = task.n_columns,
                                    .n_layers = config.num_hidden_layers,
                                    .tied = config.tie_word_embeddings,
                                    .has_importance = options.importance != nullptr});
      if (options.importance != nullptr) {
        task.importance = importance_of(task, *options.importance);
        any = any || task.importance != nullptr;
      }
    }
    tasks.push_back(std::move(task));
  }
  QWEN3_CHECK(
      any || options.importance == nullptr,
      ErrorKind::invalid_argument,
      "importance: expected tensors of the model {}, got none of them; is it another model's?",
      source.name());
  return tasks;
}

void refuse_own_file(const TensorSource& source, const std::filesystem::path& out) {
  for (const auto& [name, tensor] : source.tensors()) {
    std::error_code error;
    QWEN3_CHECK(!std::filesystem::equivalent(tensor.file->name(), out, error),
                ErrorKind::invalid_argument,
                "{}: is a file of the model itself; name another for the result",
                out.string());
  }
}

struct Squares {
  double error = 0, value = 0;
};

// One thread's buffers, reused from job to job.
class Worker {
 public:
  // Rows [first, first + n) of all matrices of the task, one after the other, into `to`.
  Squares run(std::byte* to, const Task& task, int64_t first, int64_t n) {
    Squares squares;
    for (int64_t row = first; row < first + n;) {
      const int64_t matrix = row / task.rows_of_matrix, at = row % task.rows_of_matrix;
      const int64_t count = std::min(first + n - row, task.rows_of_matrix - at);
      rows_of_one(to + (row - first) * row_bytes(task.plan.type, task.n_columns),
                  task,
                  matrix,
                  at,
                  count,
                  squares);
      row += count;
    }
    return squares;
  }

 private:
  void rows_of_one(std::byte* to,
                   const Task& task,
                   int64_t matrix,
                   int64_t at,
                   int64_t count,
                   Squares& squares) {
    const int64_t columns = task.n_columns, numel = count * columns;
    const auto& [tensor, first_row] = task.sources[static_cast<size_t>(matrix)];
    raw_.resize(static_cast<size_t>(row_bytes(tensor->type, numel)));
    values_.resize(static_cast<size_t>(numel));
    tensor->read_rows(first_row + at, count, columns, raw_.data());
    widen(values_.data(), tensor->type, raw_.data(), numel);
    const auto importance =
        task.importance == nullptr ? std::span<const float>() : task.importance->columns(matrix);
    const int64_t bytes_of_row = row_bytes(task.plan.type, columns);
    for (int64_t row = 0; row < count; ++row) {
      const std::span<const float> x(values_.data() + row * columns, static_cast<size_t>(columns));
      quantize_row(to + row * bytes_of_row, task.plan.type, x, importance);
    }
    check(to, task, numel);
    back_.resize(static_cast<size_t>(numel));
    widen(back_.data(), task.plan.type, to, numel);
    for (size_t i = 0; i < values_.size(); ++i) {
      const double x = values_[i], off = x - static_cast<double>(back_[i]);
      squares.error += off * off;
      squares.value += x * x;
    }
  }

  void check(const std::byte* to, const Task& task, int64_t numel) const {
    const bool finite = all_finite(values_.data(), DType::f32, numel);
    QWEN3_CHECK(finite && all_finite(task.plan.type, to, numel),
                ErrorKind::corrupt_file,
                "{}: {}: expected {}, got others; {}",
                task.sources.front().tensor->file->name(),
                task.plan.name,
                finite ? "numbers within float16's range" : "finite numbers",
                finite ? "choose a model with smaller weights" : "is the file damaged?");
  }

  std::vector<std::byte> raw_;
  std::vector<float> values_, back_;
};

class Quantization {
 public:
  Quantization(GgufWriter& writer, const QuantizeOptions& options, int64_t total)
      : writer_(writer),
        options_(options),
        total_(total),
        workers_(static_cast<size_t>(options.n_threads)) {}

  QuantizedTensor run(const Task& task) {
    const int64_t n_rows = task.rows_of_matrix * static_cast<int64_t>(task.sources.size());
    const int64_t bytes_of_row = row_bytes(task.plan.type, task.n_columns);
    // Of the sources that keep columns first, fewer rows cost as much.
    const SourceTensor& first = *task.sources.front().tensor;
    const int64_t least = first.rows != nullptr ? first.rows->row_step() : 1;
    const int64_t step = round_up(std::max<int64_t>(1, kJobNumbers / task.n_columns), least);
    const int64_t strip = step * kJobsPerThread * options_.n_threads;
    Squares sum;
    for (int64_t begin = 0; begin < n_rows; begin += strip) {
      const int64_t n = std::min(strip, n_rows - begin);
      out_.resize(static_cast<size_t>(n * bytes_of_row));
      std::vector<Squares> squares(static_cast<size_t>(ceil_div(n, step)));
      run_jobs(
          static_cast<int64_t>(squares.size()),
          options_.n_threads,
          [&](int64_t job, int thread) {
            const int64_t row = job * step;
            squares[static_cast<size_t>(job)] = workers_[static_cast<size_t>(thread)].run(
                out_.data() + row * bytes_of_row, task, begin + row, std::min(step, n - row));
          },
          [] {});
      for (const Squares& s : squares) {
        sum.error += s.error;
        sum.value += s.value;
      }
      writer_.write(out_);
      done_ += n * bytes_of_row;
      if (options_.progress) options_.progress("quantising", done_, total_);
    }
    return {.name = task.plan.name,
            .type = task.plan.type,
            .shape = task.plan.shape,
            .n_bytes = task.plan.n_bytes(),
            .relative_rms = sum.value > 0 ? std::sqrt(sum.error / sum.value) : 0,
            .has_importance = task.importance != nullptr};
  }

 private:
  GgufWriter& writer_;
  const QuantizeOptions& options_;
  int64_t done_ = 0, total_;
  std::vector<Worker> workers_;
  std::vector<std::byte> out_;
};

}  // namespace

int64_t QuantizedModel::tensor_bytes() const {
  int64_t n = 0;
  for (const QuantizedTensor& tensor : tensors) n += tensor.n_bytes;
  return n;
}

int64_t QuantizedModel::n_parameters() const {
  int64_t n = 0;
  for (const QuantizedTensor& tensor : tensors) {
    int64_t numel = 1;
    for (const int64_t dim : tensor.shape) numel *= dim;
    n += numel;
  }
  return n;
}

double QuantizedModel::bits_per_weight() const {
  return 8 * static_cast<double>(tensor_bytes()) / static_cast<double>(n_parameters());
}

QuantizedModel quantize_model(const std::filesystem::path& model,
                              const std::filesystem::path& out,
                              const QuantizeOptions& options) {
  const std::unique_ptr<TensorSource> source = open_source(model);
  refuse_own_file(*source, out);
  const std::vector<Task> tasks = plan_tasks(*source, options);
  check_tied_head(*source, options.n_threads);
  const GgufMetadata metadata = model_metadata(model, *source, *options.mix, options.name);
  std::vector<GgufTensorPlan> plans;
  for (const Task& task : tasks) plans.push_back(task.plan);
  int64_t total = 0;
  for (const GgufTensorPlan& plan : plans) total += plan.n_bytes();
  GgufWriter writer(out, metadata, std::move(plans));
  QuantizedModel result{.tensors = {}, .file_bytes = writer.file_bytes()};
  Quantization quantization(writer, options, total);
  for (const Task& task : tasks) result.tensors.push_back(quantization.run(task));
  source->check_unchanged();
  writer.commit();
  return result;
}

}  // namespace qwen3
