#include "hardware/affinity.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>

namespace qwen3 {
namespace {

constexpr int kMaxCores = 8192;

// Sets of any number of cores: cpu_set_t has room for 1,024.
class CoreSet {
 public:
  CoreSet() : set_(CPU_ALLOC(kMaxCores)), bytes_(CPU_ALLOC_SIZE(kMaxCores)) {
    if (set_ != nullptr) CPU_ZERO_S(bytes_, set_);
  }
  ~CoreSet() {
    if (set_ != nullptr) CPU_FREE(set_);
  }
  CoreSet(const CoreSet&) = delete;
  CoreSet& operator=(const CoreSet&) = delete;

  bool get() { return set_ != nullptr && sched_getaffinity(0, bytes_, set_) == 0; }
  bool put() const { return set_ != nullptr && sched_setaffinity(0, bytes_, set_) == 0; }
  void add(int core) {
    if (set_ != nullptr && core >= 0 && core < kMaxCores) {
      CPU_SET_S(static_cast<size_t>(core), bytes_, set_);
    }
  }
  std::vector<int> cores() const {
    std::vector<int> all;
    for (int core = 0; set_ != nullptr && core < kMaxCores; ++core) {
      if (CPU_ISSET_S(static_cast<size_t>(core), bytes_, set_)) all.push_back(core);
    }
    return all;
  }

 private:
  cpu_set_t* const set_;
  const size_t bytes_;
};

}  // namespace

std::vector<int> own_cores() {
  CoreSet set;
  return set.get() ? set.cores() : std::vector<int>{};
}

// The kernel cuts what is asked for to what the cgroup has.
std::vector<int> possible_cores() {
  CoreSet before, all;
  if (!before.get()) return {};
  for (int core = 0; core < kMaxCores; ++core) all.add(core);
  if (!all.put()) return before.cores();
  const std::vector<int> possible = own_cores();
  before.put();
  return possible;
}

std::vector<int> core_share(const std::vector<int>& cores,
                            const std::vector<int>& node_of_core,
                            int index,
                            int count) {
  std::vector<size_t> order(cores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return node_of_core[a] < node_of_core[b];
  });
  const auto n = cores.size(), i = static_cast<size_t>(index), of = static_cast<size_t>(count);
  if (n < of) return {};
  std::vector<int> mine;
  for (size_t at = n * i / of; at < n * (i + 1) / of; ++at) mine.push_back(cores[order[at]]);
  std::sort(mine.begin(), mine.end());
  return mine;
}

std::vector<int> memory_nodes(const std::vector<int>& cores) {
  namespace fs = std::filesystem;
  constexpr std::string_view kPrefix = "node";
  std::vector<int> nodes(cores.size());
  for (size_t i = 0; i < cores.size(); ++i) {
    // /sys/devices/system/cpu/cpu3/node1
    std::error_code error;
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cores[i]);
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(kPrefix)) continue;
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), nodes[i]);
    }
  }
  return nodes;
}

bool bind_to(const std::vector<int>& cores) {
  CoreSet set;
  for (const int core : cores) set.add(core);
  return !cores.empty() && set.put();
}

}  // namespace qwen3
