#include "grammar/grammar_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "grammar/network.h"

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

}  // namespace
}  // namespace qwen3
