// Hostile texts: long runs on a small stack, in time that grows with the text (T-T1, T-T2, T-T4).
#include <gtest/gtest.h>
#include <pthread.h>
#include <time.h>

#include <functional>
#include <string>
#include <vector>

#include "tokenizer/fixture.h"
#include "tokenizer/normalizer.h"

namespace qwen3::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

constexpr size_t kMiB = size_t{1} << 20;

std::string run_of(std::string_view unit, size_t n_bytes) {
  std::string text;
  while (text.size() < n_bytes) text += unit;
  return text;
}

// Runs `work` on a thread with a stack of 256 KiB; sanitizers need more for their own frames.
void on_small_stack(const std::function<void()>& work) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kSanitized ? kMiB : kMiB / 4), 0);
  const auto entry = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, &attributes, entry, const_cast<std::function<void()>*>(&work)),
            0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

// Processor seconds of this thread, so that a busy machine does not fail a test.
double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double encode_seconds(const Tokenizer& tokenizer, const std::string& text) {
  const double begin = thread_seconds();
  const auto ids = tokenizer.encode(text);
  const double seconds = thread_seconds() - begin;
  EXPECT_FALSE(ids.empty());
  return seconds;
}

const std::vector<std::string> kHostileUnits{"A",
                                             "\n",
                                             "7",
                                             "\u0301",
                                             "a ",
                                             " \n",
                                             "中",
                                             "<",
                                             "<|im_start",
                                             "<|im_end|>",
                                             "'",
                                             "'s",
                                             "!",
                                             "\r\n",
                                             "각",
                                             "e\u0301",
                                             "ﬁ\u3000",
                                             "acgt"};
const std::vector<std::string> kWorstUnits{"A", " ", "\u0301\u0316", "👩‍", "a1"};

void check_hostile_runs(const Tokenizer& tokenizer,
                        const std::vector<std::string>& units,
                        size_t n_bytes) {
  for (const std::string& unit : units) {
    const std::string text = run_of(unit, n_bytes);
    on_small_stack([&] {
      const double begin = thread_seconds();
      const auto ids = tokenizer.encode(text);
      const double seconds = thread_seconds() - begin;
      if (!kSanitized) {
        EXPECT_LE(seconds, static_cast<double>(n_bytes) / kMiB) << "a run of \"" << unit << "\"";
      }
      std::string storage;
      EXPECT_TRUE(tokenizer.decode(ids) == to_nfc(text, storage)) << "a run of \"" << unit << "\"";
    });
  }
}

TEST(Pathological, RunsOfOneMebibyte) { check_hostile_runs(tiny(), kHostileUnits, kMiB); }

TEST(Pathological, RunsOfEightMebibytes) {
  if (kSanitized) GTEST_SKIP() << "too slow with sanitizers; the runs of 1 MiB cover the code";
  check_hostile_runs(tiny(), kWorstUnits, 8 * kMiB);
}

TEST(Pathological, RunsWithTheOfficialTokenizer) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  check_hostile_runs(official(), kWorstUnits, kMiB);
}

TEST(Pathological, IllFormedRunIsRefusedAtOnce) {
  on_small_stack([] {
    const std::string text = run_of("a", 8 * kMiB) + "\x80";
    const Thrown thrown = thrown_by([&] { tiny().encode(text); });
    EXPECT_EQ(thrown.kind, ErrorKind::invalid_argument);
  });
}

// 32 times the text may take 32 times as long, and n log n some more; n^2 would take 1024 times.
TEST(Pathological, TimeGrowsWithTheText) {
  if (kSanitized) GTEST_SKIP() << "times mean nothing with sanitizers";
  for (const std::string unit : {"A", "ab", "acgt", "\u0301\u0316"}) {
    const std::string small = run_of(unit, kMiB / 16), large = run_of(unit, 2 * kMiB);
    double best_small = 1e9, best_large = 1e9;
    for (int i = 0; i < 3; ++i) {
      best_small = std::min(best_small, encode_seconds(tiny(), small));
      best_large = std::min(best_large, encode_seconds(tiny(), large));
    }
    EXPECT_LE(best_large, 32 * 5 * best_small) << unit;
  }
}

// Added tokens of 64 KiB, and texts that nearly hold them again and again.
TEST(Pathological, HugeAddedTokens) {
  Json added = parse_json(tiny_json(), "tiny")["added_tokens"];
  const std::string a = run_of("a", 65536);
  const int64_t id = static_cast<int64_t>(tiny().size());
  const Json flags = {{"normalized", false}};
  for (const std::string& content :
       {a, a + "b", std::string("aaa"), "b" + a, std::string("c ") + a}) {
    Json token = flags;
    token["id"] = id + static_cast<int64_t>(added.size());
    token["content"] = content;
    added.push_back(token);
  }
  const Tokenizer t = Tokenizer::from_json(patched_tiny({{"added_tokens", added}}), "huge");
  const std::string near = run_of(a.substr(1) + "c ", 4 * kMiB);
  const double begin = thread_seconds();
  EXPECT_EQ(t.decode(t.encode(near)), near);
  EXPECT_EQ(t.encode(a + a + "b" + a).size(), 3U);
  const double seconds = thread_seconds() - begin;
  if (!kSanitized) {
    EXPECT_LE(seconds, 4.0);
  }
}

}  // namespace
}  // namespace qwen3::test
