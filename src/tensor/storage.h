// Storage: owner of the bytes behind tensors. By itself it is host memory, page-aligned, zeroed, with
// transparent huge pages where the system grants them (streaming weights through 4 KiB pages costs TLB
// misses, above all under virtualisation). Backends make other kinds (Backend::allocate).
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
  // Memory of a backend's own, which `release` gives back.
  using Release = void (*)(std::byte* data, int64_t bytes);
  Storage(std::byte* data, int64_t bytes, Place place, Release release)
      : data_(data), bytes_(bytes), place_(place), release_(release) {}
  ~Storage() {
    if (data_ != nullptr) release_(data_, bytes_);
  }
  Storage(Storage&& other) noexcept { swap(other); }
  Storage& operator=(Storage&& other) noexcept {
    swap(other);
    return *this;
  }
  Storage(const Storage&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Place place() const { return place_; }

 private:
  void swap(Storage& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(place_, other.place_);
    std::swap(release_, other.release_);
  }

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  Place place_ = Place::host;
  Release release_ = nullptr;
};

// Hands out aligned pieces of one Storage, in order. Measure first with a null storage (only
// `used()` counts), allocate once, then carve.
class Arena {
 public:
  Arena() = default;  // measuring: what it hands out has no data
  explicit Arena(const Storage& storage)
      : base_(storage.data()), capacity_(storage.bytes()), place_(storage.place()) {}

  // 64-byte aligned; null while measuring. Throws Error{internal} when the storage is too small.
  std::byte* take(int64_t bytes);
  Tensor take(DType type, Shape shape);
  int64_t used() const { return used_; }

 private:
  std::byte* base_ = nullptr;
  int64_t capacity_ = 0;
  Place place_ = Place::host;
  int64_t used_ = 0;
};

}  // namespace qwen3
