#include "grammar/grammar_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "base/time_slice.h"
#include "grammar/network.h"
#include "grammar/support.h"

namespace qwen3 {
namespace {

TEST(GrammarCache, CompilesOnceForAllWhoAsk) {
  GrammarCache cache;
  std::atomic<int> n_compiled = 0;
  std::vector<GrammarPtr> got(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i) {
    threads.emplace_back([&, i] {
      got[i] = cache
                   .get("regex",
                        "a+",
                        "",
                        [&] {
                          ++n_compiled;
                          std::this_thread::sleep_for(std::chrono::milliseconds(20));
                          return CompiledGrammar{compile_regex("a+")};
                        })
                   .grammar;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(n_compiled, 1);
  for (const auto& grammar : got) EXPECT_EQ(grammar, got[0]);
  EXPECT_EQ(cache.counts().n_hits, 7);
}

// All the states that there may be.
constexpr std::string_view kCostly = "(a|b)*a(a|b){11}";

TEST(GrammarCache, NeitherCompilingNorWaitingOutlastsASliceOfTime) {
  GrammarCache cache;
  const auto compile = [] { return CompiledGrammar{compile_regex(kCostly)}; };
  {
    const TimeSlice slice(std::chrono::milliseconds(1));
    EXPECT_THROW(cache.get("regex", kCostly, "", compile), TimeSlice::Over);
  }
  std::promise<void> begun, go_on;
  std::thread other([&] {
    cache.get("regex", kCostly, "", [&] {
      begun.set_value();
      go_on.get_future().wait();
      return compile();
    });
  });
  begun.get_future().wait();
  {
    const TimeSlice slice(std::chrono::milliseconds(1));
    EXPECT_THROW(cache.get("regex", kCostly, "", compile), TimeSlice::Over);
  }
  go_on.set_value();
  other.join();
  const TimeSlice slice(std::chrono::milliseconds(5));
  EXPECT_NE(cache.get("regex", kCostly, "", compile).grammar, nullptr);  // it is there
  EXPECT_EQ(cache.counts().n_compiled, 2);
}

// Who has time compiles himself when the one he waited for had none.
TEST(GrammarCache, TheEndOfOnesSliceIsNotTheOthers) {
  GrammarCache cache;
  std::promise<void> begun, go_on;
  std::thread hurried([&] {
    const TimeSlice slice(std::chrono::milliseconds(1));
    EXPECT_THROW(cache.get("regex",
                           kCostly,
                           "",
                           [&] {
                             begun.set_value();
                             go_on.get_future().wait();
                             return CompiledGrammar{compile_regex(kCostly)};
                           }),
                 TimeSlice::Over);
  });
  begun.get_future().wait();
  std::thread waits([&] {
    EXPECT_NE(
        cache.get("regex", kCostly, "", [] { return CompiledGrammar{compile_regex(kCostly)}; })
            .grammar,
        nullptr);
  });
  while (cache.counts().n_hits == 0) std::this_thread::yield();
  go_on.set_value();
  hurried.join();
  waits.join();
}

TEST(GrammarCache, NotationTextAndOptionsTellGrammarsApart) {
  GrammarCache cache;
  const auto make = [] { return CompiledGrammar{compile_regex("a")}; };
  const std::vector<GrammarPtr> all{cache.get("a", "bc", "", make).grammar,
                                    cache.get("ab", "c", "", make).grammar,
                                    cache.get("a", "b", "c", make).grammar,
                                    cache.get("", "abc", "", make).grammar};
  EXPECT_EQ(std::set<GrammarPtr>(all.begin(), all.end()).size(), 4u);
  EXPECT_EQ(cache.get("a", "bc", "", make).grammar, all[0]);
}

TEST(GrammarCache, KeepsWhatIsSaidOfAGrammar) {
  GrammarCache cache;
  const auto make = [] { return CompiledGrammar{compile_regex("a"), {"f"}}; };
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cache.get("tools", "", "", make).relaxed, std::vector<std::string>{"f"});
  }
  EXPECT_EQ(cache.counts().n_hits, 1);
}

TEST(GrammarCache, ErrorsReachWhoAsksAndAreNotKept) {
  GrammarCache cache;
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(cache.get("regex", "(", "", [] { return CompiledGrammar{compile_regex("(")}; }),
                 GrammarError);
  }
  EXPECT_EQ(cache.counts().n_compiled, 2);
  EXPECT_EQ(cache.counts().n_grammars, 0);
}

TEST(GrammarCache, StaysWithinItsMemoryAndKeepsWhatIsUsed) {
  const int64_t one = compile_regex("a")->bytes() + 512;
  GrammarCache cache(one * 10);
  const auto get = [&](int i) {
    return cache
        .get("regex", std::to_string(i), "", [] { return CompiledGrammar{compile_regex("a")}; })
        .grammar;
  };
  const GrammarPtr first = get(0);
  for (int i = 1; i < 200; ++i) {
    get(i);
    EXPECT_EQ(get(0), first);
    EXPECT_LE(cache.counts().bytes, one * 10);
  }
  EXPECT_EQ(cache.counts().n_grammars, 10);
  // One that is larger than a quarter of all is made and not kept.
  cache.get("regex", "large", "", [] { return CompiledGrammar{compile_regex("[a-f]{300}")}; });
  EXPECT_EQ(get(0), first);
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

// GRAMMAR_CACHE_SCHEMAS=100000: the long form.
TEST(GrammarCache, DistinctSchemasDoNotFillTheMemory) {
  const char* asked = std::getenv("GRAMMAR_CACHE_SCHEMAS");
  const int n_schemas = asked != nullptr ? std::atoi(asked) : 4000;
  GrammarCache cache;
  const auto trie = nano_trie();
  int64_t before = 0;
  for (int i = 0; i < n_schemas; ++i) {
    const std::string n = std::to_string(i);
    const Json schema = parse_json(R"({"type": "object", "properties": {"k)" + n +
                                       R"(": {"type": "integer", "maximum": )" + n +
                                       R"(}, "s": {"type": "string", "maxLength": 9}}})",
                                   "schema");
    const auto made =
        cache.get("schema", n, "", [&] { return CompiledGrammar{compile_json_schema(schema)}; });
    std::vector<uint64_t> allowed(static_cast<size_t>(trie->n_tokens()) / 64 + 1);
    int32_t one = -1;
    start_grammar(made.grammar, trie)->fill(allowed, one);
    if (i == 200) before = resident_bytes();  // what a process takes for anything at all is there
  }
  EXPECT_LE(resident_bytes() - before, int64_t{64} << 20);
  EXPECT_GT(cache.counts().n_grammars, 100);
}

}  // namespace
}  // namespace qwen3
