#include "tensor/storage.h"

#include <sys/mman.h>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3 {
namespace {
constexpr int64_t kHugePageBytes = 2 << 20;
constexpr int64_t kTensorAlignment = 64;  // one cache line, one AVX-512 register
}  // namespace

Storage::Storage(int64_t bytes) {
  QWEN3_CHECK(bytes >= 0, ErrorKind::internal, "storage: negative size {}", bytes);
  if (bytes == 0) return;
  // Large blocks are rounded to whole huge pages, and the kernel places such mappings aligned.
  const int64_t rounded = bytes >= kHugePageBytes ? round_up(bytes, kHugePageBytes) : bytes;
  void* memory = ::mmap(nullptr,
                        static_cast<size_t>(rounded),
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
  QWEN3_CHECK(memory != MAP_FAILED,
              ErrorKind::out_of_memory,
              "memory: cannot allocate {} bytes; a smaller model, context or cache may fit",
              bytes);
  if (rounded >= kHugePageBytes) ::madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(memory);
  bytes_ = rounded;
  release_ = [](std::byte* data, int64_t size) { ::munmap(data, static_cast<size_t>(size)); };
}

std::byte* Arena::take(int64_t bytes) {
  const int64_t begin = round_up(used_, kTensorAlignment);
  used_ = begin + bytes;
  if (base_ == nullptr) return nullptr;
  QWEN3_CHECK(
      used_ <= capacity_, ErrorKind::internal, "arena: {} bytes used of {}", used_, capacity_);
  return base_ + begin;
}

Tensor Arena::take(DType type, Shape shape) {
  return {take(shape.numel() * dtype_size(type)), type, shape, place_};
}

}  // namespace qwen3
