// Scratch: a buffer that grows to what is asked and stays, so that a steady state allocates
// nothing.
#pragma once

#include <cstdint>

#include "tensor/storage.h"

namespace qwen3::cpu {

class Scratch {
 public:
  // At least this many elements, 64-byte aligned; earlier contents and pointers are lost on growth.
  template <typename T>
  T* get(int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (storage_.bytes() < bytes) storage_ = Storage(bytes);
    return reinterpret_cast<T*>(storage_.data());
  }

 private:
  Storage storage_;
};

}  // namespace qwen3::cpu
