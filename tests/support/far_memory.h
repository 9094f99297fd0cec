// Memory as a device has it: one file mapped twice. The view that is handed out has no access rights, the
// other one is for operations.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "base/error.h"
#include "tensor/storage.h"

namespace qwen3::test {

// The memory of all FarBackends: address that is handed out → the same bytes, accessible.
class FarMemory {
 public:
  static FarMemory& all() {
    static FarMemory memory;
    return memory;
  }

  Storage allocate(int64_t bytes) {
    if (bytes == 0) return {};
    const auto size = static_cast<size_t>(bytes);
    const int file = memfd_create("far", 0);
    QWEN3_CHECK(file >= 0 && ftruncate(file, bytes) == 0,
                ErrorKind::out_of_memory,
                "far: cannot allocate {} bytes",
                bytes);
    void* far = mmap(nullptr, size, PROT_NONE, MAP_SHARED, file, 0);
    void* near = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    QWEN3_CHECK(far != MAP_FAILED && near != MAP_FAILED,
                ErrorKind::out_of_memory,
                "far: cannot map {} bytes",
                bytes);
    const std::lock_guard lock(mutex_);
    regions_[static_cast<std::byte*>(far)] = {bytes, static_cast<std::byte*>(near)};
    return {static_cast<std::byte*>(far), bytes, Place::device, [](std::byte* data, int64_t) {
              all().release(data);
            }};
  }

  // Null for an address that is none of ours.
  std::byte* near(const void* address) {
    const auto* at = static_cast<const std::byte*>(address);
    const std::lock_guard lock(mutex_);
    auto it = regions_.upper_bound(const_cast<std::byte*>(at));
    if (it == regions_.begin()) return nullptr;
    --it;
    const int64_t offset = at - it->first;
    return offset <= it->second.bytes ? it->second.near + offset : nullptr;
  }

 private:
  struct Region {
    int64_t bytes;
    std::byte* near;
  };

  void release(std::byte* far) {
    const std::lock_guard lock(mutex_);
    const auto it = regions_.find(far);
    munmap(far, static_cast<size_t>(it->second.bytes));
    munmap(it->second.near, static_cast<size_t>(it->second.bytes));
    regions_.erase(it);
  }

  std::mutex mutex_;
  std::map<std::byte*, Region> regions_;
};

}  // namespace qwen3::test
