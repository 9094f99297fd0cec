// Loading reads each run of rows with read(2) into a small buffer that stays in cache and packs it
// from there. Against packing out of a mapping this touches no page of the file (nothing but the
// weights becomes resident, and a file that shrinks meanwhile is an error and not SIGBUS), has
// aligned rows whatever the file's alignment, and was as fast or faster where measured. That no
// number is NaN or infinite is looked at while the rows are in that cache.
#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <tuple>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "model/parallel_jobs.h"
#include "model/tied_head.h"
#include "model/weight_slots.h"
#include "model/weight_sources.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;

struct Job {
  const WeightSlot* slot;
  int64_t index;  // of the matrix
  const SourceTensor* tensor;
  int64_t first_row;           // of the model's matrix, in `tensor`
  int64_t row_begin, row_end;  // of the slot

  int64_t n_rows() const { return row_end - row_begin; }
  int64_t numel() const { return n_rows() * slot->row_numel(); }
  int64_t bytes() const { return n_rows() * row_bytes(tensor->type, slot->row_numel()); }
  int64_t model_columns() const {
    return slot->model_columns > 0 ? slot->model_columns : slot->row_numel();
  }
  // Of the model's matrix.
  int64_t first_model_row() const {
    int64_t first = -1;
    slot->for_each_piece(row_begin, row_begin + 1, [&](int64_t row, int64_t) { first = row; });
    return first;
  }
  int64_t file_offset() const {
    return tensor->begin +
           (first_row + first_model_row()) * row_bytes(tensor->type, model_columns());
  }
};

// Everything that loading is going to do, known from the headers.
struct LoadList {
  std::vector<WeightSlot> slots;
  std::vector<std::vector<WeightSource>> sources;  // of each slot of the model
  std::vector<WeightType> types;                   // that each slot is kept in
  HfConfig widest;                                 // as WeightsInMemory's
};

WeightType kept_type(WeightsDType wanted,
                     const WeightSlot& slot,
                     const std::vector<WeightSource>& sources,
                     const Backend& backend) {
  if (wanted == WeightsDType::f32) return WeightType::f32;
  if (wanted == WeightsDType::bf16) return WeightType::bf16;
  const WeightType first = sources.front().tensor->type;
  const bool same = std::all_of(sources.begin(), sources.end(), [&](const WeightSource& source) {
    return source.tensor->type == first;
  });
  // Experts stored in different types: float32 holds them all.
  return same ? backend.kept_type(first, slot.row_numel()) : WeightType::f32;
}

// REQUIRES: `weights` stays where it is while the list is used.
LoadList list_loads(const TensorSource& files,
                    const Backend& backend,
                    WeightsDType dtype,
                    const Shard& shard,
                    Weights& weights) {
  const HfConfig& config = files.config();
  LoadList list{
      .slots = weight_slots(config, weights), .sources = {}, .types = {}, .widest = config};
  list.sources = find_weight_sources(files, list.slots);
  std::vector<WeightType> stored;
  for (size_t i = 0; i < list.slots.size(); ++i) {
    stored.push_back(list.sources[i].front().tensor->type);
    list.types.push_back(kept_type(dtype, list.slots[i], list.sources[i], backend));
  }
  find_leaves(list.slots, stored);
  if (shard.alone()) return list;
  list.widest = widest_share(list.slots, config, shard.size);
  list.slots = share_slots(list.slots, config, shard);
  std::vector<WeightType> types;
  for (const WeightSlot& slot : list.slots) types.push_back(list.types[slot.number]);
  list.types = std::move(types);
  return list;
}

void add_jobs(std::vector<Job>& jobs,
              const WeightSlot& slot,
              const std::vector<WeightSource>& sources,
              const Backend& backend) {
  for (int64_t index = 0; index < slot.n_matrices(); ++index) {
    const auto& [tensor, first_row] = sources[static_cast<size_t>(slot.first_matrix + index)];
    int64_t step = rows_per_job(slot, backend, row_bytes(tensor->type, slot.row_numel()));
    if (tensor->rows != nullptr) step *= ceil_div(tensor->rows->row_step(), step);
    for (int64_t row = 0; row < slot.n_rows(); row += step) {
      jobs.push_back({&slot, index, tensor, first_row, row, std::min(row + step, slot.n_rows())});
    }
  }
}

// Found here it is named and ends the work; later it would only turn every answer into NaN.
void check_finite(const Job& job, const std::byte* rows, WeightType type) {
  if (all_finite(type, rows, job.numel())) return;
  const WeightSlot& slot = *job.slot;
  const std::string name =
      slot.kind == Kind::experts
          ? fmt::format(
                "{}.{}.{}.weight", slot.name, slot.first_matrix + job.index, slot.projection)
          : slot.name;
  fail(
      ErrorKind::corrupt_file,
      "{}: tensor {}: rows {} to {}: expected finite numbers in {}, got NaN or an infinity; is the "
      "file damaged?",
      job.tensor->file->name(),
      name,
      job.first_model_row(),
      job.first_model_row() + job.n_rows() - 1,
      weight_type_name(type));
}

// One thread's buffers, reused from job to job.
class Loader {
 public:
  explicit Loader(const Backend& backend) : backend_(&backend) {}

  void load(const Job& job) {
    const WeightSlot& slot = *job.slot;
    std::byte* rows = read(job);
    check_finite(job, rows, job.tensor->type);
    if (slot.kind == Kind::vector) {
      backend_->upload(*slot.vector, converted(job, rows, WeightType::f32));
      return;
    }
    const WeightType type = slot.weight->type();
    if (type != job.tensor->type) {
      rows = converted(job, rows, type);
      check_finite(job, rows, type);  // float32 reaches a little further than bf16
    }
    backend_->pack_weight(
        *slot.weight, job.index, {type, rows, job.n_rows(), slot.row_numel()}, job.row_begin);
  }

 private:
  std::byte* read(const Job& job) {
    std::byte* rows = grow(raw_, job.bytes());
    const WeightSlot& slot = *job.slot;
    const int64_t n_columns = job.model_columns();
    const Range columns = slot.columns.empty() ? Range{0, n_columns} : slot.columns;
    std::byte* to = rows;
    slot.for_each_piece(job.row_begin, job.row_end, [&](int64_t row, int64_t count) {
      job.tensor->read_columns(
          job.first_row + row, count, n_columns, columns.begin, columns.end, to);
      to += count * row_bytes(job.tensor->type, slot.row_numel());
    });
    return rows;
  }

  // The numbers of `rows` as `type`, which is plain.
  std::byte* converted(const Job& job, const std::byte* rows, WeightType type) {
    const int64_t numel = job.numel();
    const WeightType stored = job.tensor->type;
    std::byte* to = grow(converted_, row_bytes(type, numel));
    if (is_plain(stored)) {
      convert_elements(to, dtype_of(type), rows, dtype_of(stored), numel);
    } else if (type == WeightType::f32) {
      widen(reinterpret_cast<float*>(to), stored, rows, numel);
    } else {
      widened_.resize(static_cast<size_t>(numel));
      widen(widened_.data(), stored, rows, numel);
      convert_elements(to, dtype_of(type), widened_.data(), DType::f32, numel);
    }
    return to;
  }

  static std::byte* grow(std::vector<std::byte>& buffer, int64_t bytes) {
    if (buffer.size() < static_cast<size_t>(bytes)) buffer.resize(static_cast<size_t>(bytes));
    return buffer.data();
  }

  const Backend* backend_;
  std::vector<std::byte> raw_, converted_;
  std::vector<float> widened_;
};

void run(std::vector<Job>& jobs, const Backend& backend, int n_threads, const Progress& progress) {
  // In the order of the files, so that a cold disk is read forwards.
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
    if (a.tensor->file != b.tensor->file) return std::less<>()(a.tensor->file, b.tensor->file);
    return a.file_offset() < b.file_offset();
  });
  int64_t total = 0;
  for (const Job& job : jobs) total += job.bytes();
  std::atomic<int64_t> done{0};
  const auto report = [&](int64_t bytes) {
    if (progress) progress("loading weights", bytes, total);
  };
  std::vector<Loader> loaders(static_cast<size_t>(n_threads), Loader(backend));
  report(0);
  run_jobs(
      static_cast<int64_t>(jobs.size()),
      n_threads,
      [&](int64_t i, int thread) {
        const Job& job = jobs[static_cast<size_t>(i)];
        loaders[static_cast<size_t>(thread)].load(job);
        done.fetch_add(job.bytes());
      },
      [&] {
        if (const int64_t bytes = done.load(); bytes < total) report(bytes);
      });
  report(total);
}

}  // namespace

WeightsInMemory random_weights_in_memory(const HfConfig& config,
                                         const Backend& backend,
                                         WeightType type,
                                         const Shard& shard) {
  Weights weights;
  std::vector<WeightSlot> slots = weight_slots(config, weights);
  find_leaves(slots, std::vector<WeightType>(slots.size(), type));
  HfConfig widest = config;
  if (!shard.alone()) {
    widest = widest_share(slots, config, shard.size);
    slots = share_slots(slots, config, shard);
  }
  Arena measure;
  carve(measure, slots, std::vector<WeightType>(slots.size(), type), backend);
  return {measure.used(), type, std::move(widest)};
}

WeightsInMemory weights_in_memory(const TensorSource& files,
                                  const Backend& backend,
                                  WeightsDType dtype,
                                  const Shard& shard) {
  Weights weights;
  LoadList list = list_loads(files, backend, dtype, shard, weights);
  Arena measure;
  carve(measure, list.slots, list.types, backend);
  int64_t numel[kWeightTypes] = {};
  for (size_t i = 0; i < list.slots.size(); ++i) {
    if (list.slots[i].kind == Kind::vector) continue;
    numel[static_cast<size_t>(list.types[i])] += list.slots[i].shape.numel();
  }
  const auto most = std::max_element(std::begin(numel), std::end(numel)) - std::begin(numel);
  return {measure.used(), static_cast<WeightType>(most), std::move(list.widest)};
}

int64_t n_parameters(const HfConfig& config) {
  Weights weights;
  int64_t n = 0;
  for (const WeightSlot& slot : weight_slots(config, weights)) n += slot.shape.numel();
  return n;
}

int64_t n_active_parameters(const HfConfig& config) {
  Weights weights;
  int64_t n = 0;
  for (const WeightSlot& slot : weight_slots(config, weights)) {
    const bool only_looked_up = slot.weight == &weights.embed_tokens && !config.tie_word_embeddings;
    if (only_looked_up) continue;
    n += slot.kind == Kind::experts
             ? slot.shape.numel() / config.num_experts * config.num_experts_per_tok
             : slot.shape.numel();
  }
  return n;
}

Weights load_weights(const TensorSource& files,
                     const Backend& backend,
                     WeightsDType dtype,
                     int n_threads,
                     const Progress& progress,
                     const Shard& shard) {
  QWEN3_CHECK(
      n_threads >= 1, ErrorKind::invalid_argument, "threads: expected >= 1, got {}", n_threads);
  Weights weights;
  const LoadList list = list_loads(files, backend, dtype, shard, weights);
  check_tied_head(files, n_threads);
  allocate(weights,
           list.slots,
           list.types,
           backend,
           backend.available_bytes() / shard.size,
           files.name());
  std::vector<Job> jobs;
  for (size_t i = 0; i < list.slots.size(); ++i) {
    add_jobs(jobs, list.slots[i], list.sources[list.slots[i].number], backend);
  }
  run(jobs, backend, n_threads, progress);
  files.check_unchanged();
  if (files.config().tie_word_embeddings) weights.lm_head.weight = weights.embed_tokens;
  return weights;
}

}  // namespace qwen3
