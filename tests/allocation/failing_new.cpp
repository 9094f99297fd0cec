#include "allocation/failing_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace qwen3::testing {
namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> seen{0}, failed{0};
std::atomic<int64_t> first{0}, last{0};  // those that fail
thread_local int spared = 0;

bool must_fail() {
  if (spared > 0 || !counting.load(std::memory_order_acquire)) return false;
  const int64_t number = seen.fetch_add(1, std::memory_order_relaxed) + 1;
  if (number < first || number > last) return false;
  failed.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void* allocate(size_t bytes, size_t alignment) {
  if (must_fail()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(size_t bytes, size_t alignment) {
  void* const memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

FailingNew::FailingNew(int64_t nth, int64_t n_failing) {
  seen = 0;
  failed = 0;
  first = nth;
  last = n_failing > kNever - nth ? kNever : nth + n_failing - 1;
  counting.store(true, std::memory_order_release);
}

FailingNew::~FailingNew() { counting.store(false, std::memory_order_release); }

int64_t FailingNew::n_seen() const { return seen.load(std::memory_order_relaxed); }
int64_t FailingNew::n_failed() const { return failed.load(std::memory_order_relaxed); }

SparedThread::SparedThread() { ++spared; }
SparedThread::~SparedThread() { --spared; }

}  // namespace qwen3::testing

using qwen3::testing::allocate;
using qwen3::testing::allocate_or_throw;

constexpr size_t kPlain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

void* operator new(size_t bytes) { return allocate_or_throw(bytes, kPlain); }
void* operator new[](size_t bytes) { return allocate_or_throw(bytes, kPlain); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, kPlain); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, kPlain);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
