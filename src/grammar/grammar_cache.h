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
#include <vector>

#include "grammar/grammar.h"
#include "grammar/limits.h"

namespace qwen3 {

struct CompiledGrammar {
  GrammarPtr grammar;
  std::vector<std::string> relaxed =
      {};  // names of its parts that allow more than their sources say
};

class GrammarCache {
 public:
  explicit GrammarCache(int64_t max_bytes = kMaxCacheBytes) : max_bytes_(max_bytes) {}
  GrammarCache(const GrammarCache&) = delete;

  // The grammar of a source: its notation ("regex"), its text, and the options it is compiled with, in any spelling
  // that says all of them. Who asks first compiles; others wait for him, and get his grammar or his error. Errors
  // are not kept. Within a TimeSlice neither compiling nor waiting outlasts it.
  CompiledGrammar get(std::string_view notation,
                      std::string_view text,
                      std::string_view options,
                      const std::function<CompiledGrammar()>& compile);

  struct Counts {
    int64_t n_grammars = 0, bytes = 0, n_hits = 0, n_compiled = 0;
  };
  Counts counts() const;

 private:
  struct Entry {
    std::shared_future<CompiledGrammar> compiled;
    int64_t bytes = -1;                    // -1: being compiled
    std::list<std::string>::iterator use;  // in uses_
  };

  CompiledGrammar get_once(const std::string& key, const std::function<CompiledGrammar()>& compile);
  CompiledGrammar compile_and_keep(const std::string& key,
                                   std::promise<CompiledGrammar> promise,
                                   const std::function<CompiledGrammar()>& compile);
  void keep(const std::string& key, int64_t bytes);

  const int64_t max_bytes_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> uses_;  // keys of complete entries, the latest use first
  Counts counts_;
};

}  // namespace qwen3
