#include "grammar/grammar_cache.h"

#include <fmt/format.h>

#include "base/sha256.h"
#include "base/time_slice.h"
#include "grammar/network.h"

namespace qwen3 {
namespace {

constexpr int64_t kEntryBytes = 512;  // key, list and map

// Lengths first, so that no two sources read the same.
std::string key_of(std::string_view notation, std::string_view text, std::string_view options) {
  return sha256_hex(fmt::format(
      "{} {} {}\n{}{}{}", notation.size(), text.size(), options.size(), notation, text, options));
}

}  // namespace

CompiledGrammar GrammarCache::get(std::string_view notation,
                                  std::string_view text,
                                  std::string_view options,
                                  const std::function<CompiledGrammar()>& compile) {
  const std::string key = key_of(notation, text, options);
  while (true) {
    try {
      return get_once(key, compile);
    } catch (const TimeSlice::Over&) {
      // Who has all the time may have waited for one who has not.
      if (TimeSlice::left()) throw;
    }
  }
}

// Who works in a slice of time waits no longer than it lasts.
CompiledGrammar GrammarCache::get_once(const std::string& key,
                                       const std::function<CompiledGrammar()>& compile) {
  std::promise<CompiledGrammar> promise;
  std::shared_future<CompiledGrammar> found;
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, is_new] = entries_.try_emplace(key);
    if (is_new) {
      entry->second.compiled = promise.get_future().share();
      ++counts_.n_compiled;
    } else {
      ++counts_.n_hits;
      found = entry->second.compiled;
      if (entry->second.bytes >= 0) uses_.splice(uses_.begin(), uses_, entry->second.use);
    }
  }
  if (!found.valid()) return compile_and_keep(key, std::move(promise), compile);
  const auto patience = TimeSlice::left();
  if (patience && found.wait_for(*patience) != std::future_status::ready) throw TimeSlice::Over{};
  return found.get();
}

CompiledGrammar GrammarCache::compile_and_keep(const std::string& key,
                                               std::promise<CompiledGrammar> promise,
                                               const std::function<CompiledGrammar()>& compile) {
  try {
    CompiledGrammar compiled = compile();
    int64_t bytes = compiled.grammar->bytes() + kEntryBytes;
    for (const std::string& name : compiled.relaxed) bytes += std::ssize(name) + 32;
    keep(key, bytes);
    promise.set_value(compiled);
    return compiled;
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      const auto entry = entries_.find(key);
      if (entry != entries_.end() && entry->second.bytes < 0) entries_.erase(entry);
    }
    promise.set_exception(std::current_exception());
    throw;
  }
}

void GrammarCache::keep(const std::string& key, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(key);
  if (bytes > max_bytes_ / 4) {  // it would push out everything else
    entries_.erase(entry);
    return;
  }
  uses_.push_front(key);
  entry->second.use = uses_.begin();
  entry->second.bytes = bytes;
  counts_.bytes += bytes;
  while (counts_.bytes > max_bytes_) {
    const auto oldest = entries_.find(uses_.back());
    counts_.bytes -= oldest->second.bytes;
    entries_.erase(oldest);
    uses_.pop_back();
  }
}

auto GrammarCache::counts() const -> Counts {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.n_grammars = std::ssize(uses_);
  return counts;
}

}  // namespace qwen3
