// Storage: owner of the bytes behind tensors. Host memory, page-aligned, zeroed, with transparent
// huge pages where the system grants them (streaming weights through 4 KiB pages costs TLB misses,
// above all under virtualisation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tensor/tensor.h"

namespace qwen3 {

class Storage {
 public:
  Storage() = default;
  // Throws Error{out_of_memory}. The memory is reserved here and becomes resident when touched.
  explicit Storage(int64_t bytes);
  ~Storage();
  Storage(Storage&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Storage& operator=(Storage&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Storage(const Storage&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Hands out aligned pieces of one Storage, in order. Measure first with a null storage (only
// `used()` counts), allocate once, then carve.
class Arena {
 public:
  Arena() = default;  // measuring: what it hands out has no data
  explicit Arena(const Storage& storage) : base_(storage.data()), capacity_(storage.bytes()) {}

  // 64-byte aligned; null while measuring. Throws Error{internal} when the storage is too small.
  std::byte* take(int64_t bytes);
  Tensor take(DType type, Shape shape);
  int64_t used() const { return used_; }

 private:
  std::byte* base_ = nullptr;
  int64_t capacity_ = 0;
  int64_t used_ = 0;
};

}  // namespace qwen3
