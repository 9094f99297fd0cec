// SharedMasks: masks that one answer has worked out, for the others that are held to the same grammar: n choices, a batch
// of requests of one form. Kept while one of them lives. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace qwen3 {

class SharedMasks {
 public:
  struct Entry {
    std::shared_ptr<const std::vector<uint64_t>> allowed;
    int64_t work;  // that it took: who finds it pays the same, so company changes nothing
  };

  SharedMasks() = default;
  ~SharedMasks();
  SharedMasks(const SharedMasks&) = delete;

  // `place`: where an answer stands, in words that are the same for all (Configurations::describe).
  std::optional<Entry> find(const std::string& place) const;
  // Not kept where all grammars together have kMaxSharedMaskBytes.
  void add(const std::string& place, Entry entry);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  int64_t bytes_ = 0;
};

// Of a grammar: finds the masks of its living answers.
class SharedMasksOfGrammar {
 public:
  // `vocabulary` tells tokens apart: masks of another one are not these.
  std::shared_ptr<SharedMasks> get(const void* vocabulary);

 private:
  std::mutex mutex_;
  const void* vocabulary_ = nullptr;
  std::weak_ptr<SharedMasks> masks_;
};

}  // namespace qwen3
