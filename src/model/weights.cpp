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
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "model/parallel_jobs.h"
#include "model/tied_head.h"
#include "model/unused_tensors.h"
#include "model/weight_slots.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;

// Where one matrix (or vector) of a slot comes from.
struct Source {
  const SourceTensor* tensor;
  int64_t first_row;  // in `tensor`, seen as rows of the slot's row_numel
};

struct Job {
  const WeightSlot* slot;
  int64_t index;  // of the matrix
  const SourceTensor* tensor;
  int64_t first_row;  // of row_begin, in `tensor`
  int64_t row_begin, row_end;

  int64_t n_rows() const { return row_end - row_begin; }
  int64_t numel() const { return n_rows() * slot->row_numel(); }
  int64_t bytes() const { return n_rows() * row_bytes(tensor->type, slot->row_numel()); }
  int64_t file_offset() const {
    return tensor->begin + first_row * row_bytes(tensor->type, slot->row_numel());
  }
};

// Everything that loading is going to do, known from the headers.
struct LoadList {
  std::vector<WeightSlot> slots;
  std::vector<std::vector<Source>> sources;  // of each slot
  std::vector<WeightType> types;             // that each slot is kept in
};

std::string to_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void check_shape(const SourceTensor& tensor,
                 std::string_view name,
                 const std::vector<int64_t>& expected) {
  QWEN3_CHECK(
      tensor.shape == expected,
      ErrorKind::corrupt_file,
      "{}: tensor {}: expected shape {}, got {}; are config and weights from the same model?",
      tensor.file->name(),
      name,
      to_text(expected),
      to_text(tensor.shape));
}

constexpr std::string_view kEmbedTokens =
    "embed_tokens.weight";  // the first tensor that is looked for

// Programs that save a model from inside another object put that one's name before every tensor's:
// torch.compile "_orig_mod.", PEFT "base_model.model.".
void refuse_prefix(const TensorSource& files) {
  for (const auto& [name, tensor] : files.tensors()) {
    if (!name.ends_with(fmt::format(".{}", kEmbedTokens))) continue;
    std::string_view prefix = std::string_view(name).substr(0, name.size() - kEmbedTokens.size());
    if (prefix.ends_with(".model.")) prefix.remove_suffix(std::string_view("model.").size());
    fail(ErrorKind::not_found,
         "{}: tensor {}: expected the name model.{}, got a prefix before it; take \"{}\" off the "
         "names of "
         "all tensors, or save the inner model alone",
         tensor.file->name(),
         quote_for_message(name),
         kEmbedTokens,
         quote_for_message(prefix));
  }
}

const SourceTensor& require(const TensorSource& files,
                            const std::string& name,
                            const std::vector<int64_t>& shape) {
  const SourceTensor* tensor = files.find(name);
  if (tensor == nullptr && name.ends_with(kEmbedTokens)) refuse_prefix(files);
  QWEN3_CHECK(tensor != nullptr,
              ErrorKind::not_found,
              "{}: tensor {}: expected shape {}, got no such tensor; are config and weights from "
              "the same model, and is the download complete?",
              files.name(),
              name,
              to_text(shape));
  check_shape(*tensor, name, shape);
  return *tensor;
}

// transformers 5 may store all experts of a layer in one tensor; nullptr if this file does not.
const SourceTensor* find_fused(const TensorSource& files, const std::string& name) {
  const SourceTensor* tensor = files.find(name);
  return tensor != nullptr ? tensor : files.find(name + ".weight");
}

// All experts of one projection in one tensor: beside the router in mlx-lm's files, among the experts
// in GGUF. nullptr if this file does not have it.
const SourceTensor* find_stack(const TensorSource& files, const WeightSlot& slot) {
  const std::string mlp = slot.name.substr(0, slot.name.rfind('.'));
  const SourceTensor* stack =
      files.find(fmt::format("{}.switch_mlp.{}.weight", mlp, slot.projection));
  if (stack == nullptr && slot.projection != "down_proj") {
    stack = find_fused(files, fmt::format("{}.{}", slot.name, slot.projection));
  }
  return stack;
}

std::vector<Source> expert_sources(const TensorSource& files, const WeightSlot& slot) {
  const int64_t n_experts = slot.shape[0], out = slot.shape[1], in = slot.shape[2];
  std::vector<Source> sources;
  if (const SourceTensor* stack = find_stack(files, slot)) {
    check_shape(*stack, fmt::format("{} of {}", slot.projection, slot.name), {n_experts, out, in});
    for (int64_t e = 0; e < n_experts; ++e) sources.push_back({stack, e * out});
    return sources;
  }
  const bool down = slot.projection == "down_proj";
  const std::string fused_name = slot.name + (down ? ".down_proj" : ".gate_up_proj");
  if (const SourceTensor* fused = find_fused(files, fused_name)) {
    // gate_up_proj holds the rows of gate_proj, then those of up_proj, expert by expert.
    const int64_t stride = down ? out : 2 * out;
    check_shape(*fused, fused_name, {n_experts, stride, in});
    const int64_t first = slot.projection == "up_proj" ? out : 0;
    for (int64_t e = 0; e < n_experts; ++e) sources.push_back({fused, e * stride + first});
    return sources;
  }
  for (int64_t e = 0; e < n_experts; ++e) {
    const std::string name = fmt::format("{}.{}.{}.weight", slot.name, e, slot.projection);
    sources.push_back({&require(files, name, {out, in}), 0});
  }
  return sources;
}

std::vector<Source> find_sources(const TensorSource& files, const WeightSlot& slot) {
  if (slot.kind == Kind::experts) return expert_sources(files, slot);
  std::vector<int64_t> shape;
  for (int i = 0; i < slot.shape.rank(); ++i) shape.push_back(slot.shape[i]);
  const SourceTensor& tensor = require(files, slot.name, shape);
  QWEN3_CHECK(slot.kind != Kind::vector || is_plain(tensor.type),
              ErrorKind::unsupported,
              "{}: tensor {}: expected plain numbers, as norms and biases have them, got {}",
              tensor.file->name(),
              slot.name,
              tensor.file_dtype);
  return {{&tensor, 0}};
}

std::unordered_set<const SourceTensor*> tensors_of(
    const std::vector<std::vector<Source>>& sources) {
  std::unordered_set<const SourceTensor*> tensors;
  for (const std::vector<Source>& of_slot : sources) {
    for (const Source& source : of_slot) tensors.insert(source.tensor);
  }
  return tensors;
}

WeightType kept_type(WeightsDType wanted,
                     const WeightSlot& slot,
                     const std::vector<Source>& sources,
                     const Backend& backend) {
  if (wanted == WeightsDType::f32) return WeightType::f32;
  if (wanted == WeightsDType::bf16) return WeightType::bf16;
  const WeightType first = sources.front().tensor->type;
  const bool same = std::all_of(sources.begin(), sources.end(), [&](const Source& source) {
    return source.tensor->type == first;
  });
  // Experts stored in different types: float32 holds them all.
  return same ? backend.kept_type(first, slot.row_numel()) : WeightType::f32;
}

// REQUIRES: `weights` stays where it is while the list is used.
LoadList list_loads(const TensorSource& files,
                    const Backend& backend,
                    WeightsDType dtype,
                    Weights& weights) {
  LoadList list{.slots = weight_slots(files.config(), weights), .sources = {}, .types = {}};
  std::vector<WeightSlot>& slots = list.slots;
  if (slots.back().weight == &weights.lm_head.weight && files.find(slots.back().name) == nullptr) {
    slots.pop_back();  // an embedding model
  }
  for (const WeightSlot& slot : slots) {
    list.sources.push_back(find_sources(files, slot));
    list.types.push_back(kept_type(dtype, slot, list.sources.back(), backend));
  }
  check_all_used(files, tensors_of(list.sources));
  return list;
}

void add_jobs(std::vector<Job>& jobs,
              const WeightSlot& slot,
              const std::vector<Source>& sources,
              const Backend& backend) {
  for (size_t index = 0; index < sources.size(); ++index) {
    const auto& [tensor, first_row] = sources[index];
    int64_t step = rows_per_job(slot, backend, row_bytes(tensor->type, slot.row_numel()));
    if (tensor->rows != nullptr) step *= ceil_div(tensor->rows->row_step(), step);
    for (int64_t row = 0; row < slot.n_rows(); row += step) {
      jobs.push_back({&slot,
                      static_cast<int64_t>(index),
                      tensor,
                      first_row + row,
                      row,
                      std::min(row + step, slot.n_rows())});
    }
  }
}

// Found here it is named and ends the work; later it would only turn every answer into NaN.
void check_finite(const Job& job, const std::byte* rows, WeightType type) {
  if (all_finite(type, rows, job.numel())) return;
  const WeightSlot& slot = *job.slot;
  const std::string name =
      slot.kind == Kind::experts
          ? fmt::format("{}.{}.{}.weight", slot.name, job.index, slot.projection)
          : slot.name;
  fail(
      ErrorKind::corrupt_file,
      "{}: tensor {}: rows {} to {}: expected finite numbers in {}, got NaN or an infinity; is the "
      "file damaged?",
      job.tensor->file->name(),
      name,
      job.row_begin,
      job.row_end - 1,
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
    job.tensor->read_rows(job.first_row, job.n_rows(), job.slot->row_numel(), rows);
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

int64_t weights_bytes(const HfConfig& config, const Backend& backend, WeightType type) {
  Weights weights;
  const std::vector<WeightSlot> slots = weight_slots(config, weights);
  Arena measure;
  carve(measure, slots, std::vector<WeightType>(slots.size(), type), backend);
  return measure.used();
}

WeightsInMemory weights_in_memory(const TensorSource& files,
                                  const Backend& backend,
                                  WeightsDType dtype) {
  Weights weights;
  const LoadList list = list_loads(files, backend, dtype, weights);
  Arena measure;
  carve(measure, list.slots, list.types, backend);
  int64_t numel[kWeightTypes] = {};
  for (size_t i = 0; i < list.slots.size(); ++i) {
    if (list.slots[i].kind == Kind::vector) continue;
    numel[static_cast<size_t>(list.types[i])] += list.slots[i].shape.numel();
  }
  const auto most = std::max_element(std::begin(numel), std::end(numel)) - std::begin(numel);
  return {measure.used(), static_cast<WeightType>(most)};
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
                     const Progress& progress) {
  QWEN3_CHECK(
      n_threads >= 1, ErrorKind::invalid_argument, "threads: expected >= 1, got {}", n_threads);
  Weights weights;
  const LoadList list = list_loads(files, backend, dtype, weights);
  check_tied_head(files, n_threads);
  allocate(weights, list.slots, list.types, backend, files.name());
  std::vector<Job> jobs;
  for (size_t i = 0; i < list.slots.size(); ++i) {
    add_jobs(jobs, list.slots[i], list.sources[i], backend);
  }
  run(jobs, backend, n_threads, progress);
  files.check_unchanged();
  if (files.config().tie_word_embeddings) weights.lm_head.weight = weights.embed_tokens;
  return weights;
}

}  // namespace qwen3
