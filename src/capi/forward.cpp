// One forward pass: its logits and whatever intermediates were asked for, kept as they come until the caller closes them.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/available_memory.h"
#include "base/error.h"
#include "capi/model.h"
#include "capi/structs.h"
#include "engine/evaluate.h"
#include "tensor/tensor.h"
#include "trace/filter_tap.h"
#include "trace/glob.h"
#include "trace/tap.h"
#include "trace/tap_name.h"

namespace qwen3::capi {
namespace {

constexpr std::string_view kLogits = "logits";
constexpr size_t kMostPatterns = 4096;

struct KeptTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  int64_t n_bytes = 0;
  std::unique_ptr<std::byte[]> bytes;
};

struct TensorsObject : Object {
  static constexpr Kind kKind = Kind::tensors;
  TensorsObject() : Object(kKind) {}
  std::vector<KeptTensor> tensors;
};

KeptTensor room_for(std::string_view name, DType dtype, const Shape& shape) {
  const int64_t n_bytes = shape.numel() * dtype_size(dtype);
  const int64_t available = available_memory_bytes();
  QWEN3_CHECK(n_bytes <= available,
              ErrorKind::out_of_memory,
              "{}: needs {}; {} are available; give fewer ids, taps, or a larger first_row",
              name,
              format_bytes(n_bytes),
              format_bytes(available));
  return {.name = std::string(name),
          .dtype = dtype,
          .shape = shape,
          .n_bytes = n_bytes,
          .bytes = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(n_bytes))};
}

void copy_rows(const Tensor& from, std::byte* to) {
  if (from.numel() == 0) return;
  const int64_t rows = from.dim(0);
  const auto row_bytes = static_cast<size_t>(from.numel() / rows * dtype_size(from.dtype()));
  const auto stride = static_cast<size_t>(from.row_stride() * dtype_size(from.dtype()));
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    std::memcpy(
        to + row * row_bytes, static_cast<const std::byte*>(from.data()) + row * stride, row_bytes);
  }
}

class Keeper final : public Tap {
 public:
  explicit Keeper(TensorsObject& to) : to_(to) {}
  bool wants(std::string_view name) const override { return name != kLogits; }
  void tensor(std::string_view name, const Tensor& value) override {
    if (name == kLogits) return;  // those come by themselves
    KeptTensor kept = room_for(name, value.dtype(), value.shape());
    copy_rows(value, kept.bytes.get());
    to_.tensors.push_back(std::move(kept));
  }

 private:
  TensorsObject& to_;
};

std::vector<std::string> patterns_of(const qwen3_forward_options& options,
                                     std::span<const std::string> names) {
  if (options.n_taps > 0) check_given(options.taps, "options.taps");
  QWEN3_CHECK(options.n_taps <= kMostPatterns,
              ErrorKind::invalid_argument,
              "options.taps: expected at most {} patterns; got {}",
              kMostPatterns,
              options.n_taps);
  std::vector<std::string> patterns;
  for (size_t i = 0; i < options.n_taps; ++i) {
    check_given(options.taps[i], "options.taps");
    const std::string_view pattern = patterns.emplace_back(options.taps[i]);
    QWEN3_CHECK(std::any_of(names.begin(),
                            names.end(),
                            [&](const std::string& name) { return glob_match(pattern, name); }),
                ErrorKind::invalid_argument,
                "options.taps: \"{}\" names no tensor of this model; docs/model.md has their names",
                pattern);
  }
  return patterns;
}

std::shared_ptr<TensorsObject> forward(Model& model,
                                       std::span<const int32_t> ids,
                                       const qwen3_forward_options& options) {
  const std::vector<std::string> names = all_tap_names(model.shape());
  const std::vector<std::string> patterns = patterns_of(options, names);
  QWEN3_CHECK(options.first_row >= 0 && (options.first_row == 0 || patterns.empty()),
              ErrorKind::invalid_argument,
              "options.first_row: expected {}; got {}",
              patterns.empty() ? "0 or more" : "0, as taps need",
              options.first_row);
  auto object = std::make_shared<TensorsObject>();
  Keeper keeper(*object);
  FilterTap tap(patterns, names, keeper);
  const bool keep_logits = options.logits != 0;
  const int64_t n_rows = std::max<int64_t>(0, std::ssize(ids) - options.first_row);
  KeptTensor logits;
  evaluate(model,
           ids,
           {.tap = patterns.empty() ? nullptr : &tap, .first_row = options.first_row},
           [&](int64_t first_row, const Tensor& rows) {
             if (!keep_logits) return;
             if (logits.bytes == nullptr)
               logits = room_for(kLogits, rows.dtype(), {n_rows, rows.dim(1)});
             const int64_t row_bytes = rows.dim(1) * dtype_size(rows.dtype());
             copy_rows(rows, logits.bytes.get() + (first_row - options.first_row) * row_bytes);
           });
  if (logits.bytes != nullptr) object->tensors.push_back(std::move(logits));
  return object;
}

int32_t dtype_of(DType type) {
  switch (type) {
    case DType::f32:
      return QWEN3_FLOAT32;
    case DType::bf16:
      return QWEN3_BFLOAT16;
    case DType::f16:
      return QWEN3_FLOAT16;
    case DType::i32:
    case DType::q8:  // of caches alone: no tap has them
      break;
  }
  return QWEN3_INT32;
}

qwen3_tensor view_of(const KeptTensor& kept) {
  auto out = defaults<qwen3_tensor>();
  out.name = kept.name.c_str();
  out.data = kept.bytes.get();
  out.n_bytes = static_cast<size_t>(kept.n_bytes);
  out.dtype = dtype_of(kept.dtype);
  out.rank = kept.shape.rank();
  for (int i = 0; i < kept.shape.rank(); ++i) out.shape[i] = kept.shape[i];
  return out;
}

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_forward(qwen3_model handle,
                           const int32_t* ids,
                           size_t n_ids,
                           const qwen3_forward_options* options,
                           qwen3_tensors* tensors) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_given(tensors, "tensors");
    if (n_ids > 0) check_given(ids, "ids");
    const auto read = read_optional_struct(options, "options");
    *tensors = new_handle<qwen3_tensors>(forward(*model->need_weights(), {ids, n_ids}, read));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_tensors_count(qwen3_tensors handle, size_t* count) {
  return guarded(__func__, [&] {
    const auto object = object_of<TensorsObject>(handle);
    check_given(count, "count");
    *count = object->tensors.size();
    return QWEN3_OK;
  });
}

qwen3_status qwen3_tensors_get(qwen3_tensors handle, size_t index, qwen3_tensor* tensor) {
  return guarded(__func__, [&] {
    const auto object = object_of<TensorsObject>(handle);
    check_struct(tensor, "tensor");
    check_index(index, object->tensors.size());
    write_struct(view_of(object->tensors[index]), tensor);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_tensors_find(qwen3_tensors handle, const char* name, qwen3_tensor* tensor) {
  return guarded(__func__, [&] {
    const auto object = object_of<TensorsObject>(handle);
    check_given(name, "name");
    check_struct(tensor, "tensor");
    const auto found = std::find_if(object->tensors.begin(),
                                    object->tensors.end(),
                                    [&](const KeptTensor& kept) { return kept.name == name; });
    QWEN3_CHECK(found != object->tensors.end(),
                qwen3::ErrorKind::not_found,
                "name: this pass left no tensor \"{}\"; name it among the taps",
                name);
    write_struct(view_of(*found), tensor);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_tensors_close(qwen3_tensors tensors) {
  return guarded(__func__, [&] {
    close_handle<TensorsObject>(tensors);
    return QWEN3_OK;
  });
}
