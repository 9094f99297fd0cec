#include "base/available_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace qwen3 {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

std::optional<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The number that follows `key` on its line, or the first word of the file when key is empty.
// "max" (no limit) and absent files give nothing.
std::optional<int64_t> read_number(const char* path, std::string_view key) {
  std::ifstream in(path);
  std::string word;
  while (in >> word) {
    if (key.empty()) return parse_int(word);
    if (word == key && in >> word) return parse_int(word);
  }
  return std::nullopt;
}

// File cache counts as used in a control group but is given back under pressure.
int64_t left_in_group(const char* limit, const char* used, const char* stat, const char* cache) {
  const auto limit_bytes = read_number(limit, "");
  const auto used_bytes = read_number(used, "");
  if (!limit_bytes || !used_bytes) return kUnlimited;
  const int64_t cache_bytes = read_number(stat, cache).value_or(0);
  return std::max<int64_t>(0, *limit_bytes - *used_bytes + std::min(cache_bytes, *used_bytes));
}

int64_t left_of_address_space() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  const int64_t pages = read_number("/proc/self/statm", "").value_or(0);
  const int64_t used = pages * ::sysconf(_SC_PAGESIZE);
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
}

}  // namespace

int64_t available_memory_bytes() {
  int64_t left = left_of_address_space();
  if (const auto kib = read_number("/proc/meminfo", "MemAvailable:")) {
    left = std::min(left, *kib * 1024);
  }
  left = std::min(left,
                  left_in_group("/sys/fs/cgroup/memory.max",
                                "/sys/fs/cgroup/memory.current",
                                "/sys/fs/cgroup/memory.stat",
                                "inactive_file"));
  return std::min(left,
                  left_in_group("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                "/sys/fs/cgroup/memory/memory.stat",
                                "total_inactive_file"));
}

std::string format_bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.1f} GB", value / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{} bytes", bytes);
}

}  // namespace qwen3
