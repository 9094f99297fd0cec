// A file in memory that can fail as disks do, and remembers what had reached the disk.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "eval/run/append_file.h"

namespace qwen3::test {

struct MemoryDisk {
  std::string bytes;   // what a reader sees
  std::string synced;  // what is certain to be on the disk
  int64_t capacity = int64_t{1} << 40;
  int64_t syncs_until_error = -1;  // 0: the next sync fails; < 0: never
  int sync_error = EIO;            // with this
  int n_syncs = 0;
  // Everything that happened: a write or truncation gives `bytes` afterwards, a sync "".
  struct Step {
    bool sync;
    std::string bytes;
  };
  bool recording = false;
  std::vector<Step> steps;
};

class MemoryFile final : public eval::AppendFile {
 public:
  explicit MemoryFile(MemoryDisk& disk) : disk_(disk) {}

  const std::string& name() const override { return name_; }
  int64_t size() override { return static_cast<int64_t>(disk_.bytes.size()); }

  int64_t read(int64_t offset, std::span<char> out) override {
    const auto from = std::min(static_cast<size_t>(offset), disk_.bytes.size());
    const size_t n = std::min(out.size(), disk_.bytes.size() - from);
    if (n > 0) std::memcpy(out.data(), disk_.bytes.data() + from, n);
    return static_cast<int64_t>(n);
  }

  int64_t append(std::string_view bytes) override {
    const auto room = static_cast<size_t>(disk_.capacity - size());
    if (room == 0 && !bytes.empty()) return -ENOSPC;
    const size_t n = std::min(room, bytes.size());
    disk_.bytes.append(bytes.substr(0, n));
    record(false);
    return static_cast<int64_t>(n);
  }

  int sync() override {
    ++disk_.n_syncs;
    if (disk_.syncs_until_error == 0) {
      disk_.syncs_until_error = -1;  // as Linux does: the next one says all is well
      return disk_.sync_error;
    }
    if (disk_.syncs_until_error > 0) --disk_.syncs_until_error;
    disk_.synced = disk_.bytes;
    record(true);
    return 0;
  }

  int truncate(int64_t size) override {
    disk_.bytes.resize(static_cast<size_t>(size));
    record(false);
    return 0;
  }

 private:
  void record(bool sync) {
    if (disk_.recording) disk_.steps.push_back({sync, disk_.bytes});
  }

  MemoryDisk& disk_;
  std::string name_ = "memory.jsonl";
};

inline std::unique_ptr<eval::AppendFile> open_memory(MemoryDisk& disk) {
  return std::make_unique<MemoryFile>(disk);
}

}  // namespace qwen3::test
