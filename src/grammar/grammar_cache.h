// GrammarCache: grammars that have been compiled, for requests that come again. Any number of threads may use one.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "grammar/grammar.h"

namespace qwen3 {

class GrammarCache {
 public:
  explicit GrammarCache(int64_t max_bytes = 64 << 20) : max_bytes_(max_bytes) {}
  GrammarCache(const GrammarCache&) = delete;

  // The grammar of a source: its notation ("regex"), its text, and the options it is compiled with, in any spelling
  // that says all of them. Who asks first compiles; others wait for him, and get his grammar or his error. Errors
  // are not kept.
  GrammarPtr get(std::string_view notation,
                 std::string_view text,
                 std::string_view options,
                 const std::function<GrammarPtr()>& compile);

  struct Counts {
    int64_t n_grammars = 0, bytes = 0, n_hits = 0, n_compiled = 0;
  };
  Counts counts() const;

 private:
  struct Entry {
    std::shared_future<GrammarPtr> grammar;
    int64_t bytes = -1;                    // -1: being compiled
    std::list<std::string>::iterator use;  // in uses_
  };

  GrammarPtr compile_and_keep(const std::string& key,
                              std::promise<GrammarPtr> promise,
                              const std::function<GrammarPtr()>& compile);
  void keep(const std::string& key, int64_t bytes);

  const int64_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> uses_;  // keys of complete entries, the latest use first
  Counts counts_;
};

}  // namespace qwen3
