#include "base/json.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <string>

#include "support/expect_error.h"

namespace qwen3 {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;

TEST(Json, KeepsTheOrderOfKeys) {
  const std::string text = R"({"z":1,"a":[true,null,-2,1.5,"é"],"m":{"y":{},"b":[]}})";
  EXPECT_EQ(dump_json(parse_json(text, "t")), text);
}

TEST(Json, Scalars) {
  EXPECT_EQ(parse_json(" 7 ", "t").get<int>(), 7);
  EXPECT_EQ(parse_json("\"\\u00e9\\ud83d\\ude00\"", "t").get<std::string>(), "é😀");
  EXPECT_EQ(parse_json("18446744073709551615", "t").get<uint64_t>(), 18446744073709551615u);
  EXPECT_TRUE(parse_json("18446744073709551616", "t").is_number_float());
  EXPECT_TRUE(parse_json("null", "t").is_null());
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string bad :
       {"",       " ",   "{",           "[1,]",    "{\"a\":1,}",  "{'a':1}", "{a:1}",
        "[1 2]",  "1 2", "nul",         "+1",      "01",          ".5",      "1.",
        "1e",     "0x1", "\"a",         "\"\\x\"", "\"\\ud800\"", "\"\t\"",  "[1]]",
        "/*c*/1", "-",   "\xEF\xBB\xBF"}) {
    EXPECT_ERROR(parse_json(bad, "file.json"), kCorrupt, "file.json: not valid JSON at byte ");
  }
}

TEST(Json, RefusesIllFormedUtf8) {
  for (const std::string bad : {"\"\x80\"",
                                "\"\xC0\xAF\"",
                                "\"\xED\xA0\x80\"",
                                "\"\xF4\x90\x80\x80\"",
                                "\"\xE2\x82\"",
                                "\xFF",
                                "{\"\xC3\":1}"}) {
    EXPECT_ERROR(parse_json(bad, "f"), kCorrupt, "f: not valid JSON at byte ");
  }
}

TEST(Json, ANulByteDoesNotEndTheText) {
  using namespace std::string_literals;
  EXPECT_ERROR(
      parse_json("{\"a\":1}\0 tail"s, "f"), kCorrupt, "f: not valid JSON at byte 7", "NUL");
  EXPECT_ERROR(parse_json("1\0"s, "f"), kCorrupt, "NUL");
}

TEST(Json, NamesNaNAndInfinity) {
  for (const std::string bad : {"{\"eps\": NaN}", "[Infinity]", "[-Infinity]"}) {
    EXPECT_ERROR(parse_json(bad, "f"), kCorrupt, "NaN and Infinity are not JSON");
  }
}

TEST(Json, RefusesNumbersBeyondDouble) {
  EXPECT_ERROR(parse_json("[1e400]", "f"), kCorrupt, "f: not valid JSON at byte ", "1e400");
  EXPECT_EQ(parse_json("1e308", "f").get<double>(), 1e308);
  EXPECT_EQ(parse_json("1e-400", "f").get<double>(), 0);
  // A megabyte of digits is refused, and the message stays short (EXPECT_ERROR looks).
  EXPECT_ERROR(parse_json(std::string(1 << 20, '9'), "f"), kCorrupt, "number overflow");
  EXPECT_ERROR(parse_json(std::string(1 << 20, 'x'), "f"), kCorrupt, "f: ");
}

TEST(Json, RefusesDuplicateKeysAtEveryLevel) {
  EXPECT_ERROR(parse_json(R"({"a":1,"b":2,"a":3})", "f"), kCorrupt, "f: duplicate key \"a\"");
  EXPECT_ERROR(parse_json(R"([{"x":{"":0,"k":1,"":2}}])", "f"), kCorrupt, "duplicate key \"\"");
  EXPECT_ERROR(parse_json(R"({"\u0061":1,"a":2})", "f"), kCorrupt, "duplicate key \"a\"");
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})", "f"));
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_NO_THROW(parse_json(nested(64), "f"));
  EXPECT_ERROR(parse_json(nested(65), "f"), kCorrupt, "f: JSON nested deeper than 64");
  EXPECT_NO_THROW(parse_json(nested(3), "f", {.max_depth = 3}));
  EXPECT_ERROR(parse_json(nested(4), "f", {.max_depth = 3}), kCorrupt, "deeper than 3");
  EXPECT_ERROR(parse_json(std::string(16 << 20, '['), "f"), kCorrupt, "deeper than 64");
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  EXPECT_ERROR(parse_json(objects, "f"), kCorrupt, "deeper than 64");
}

TEST(Json, TheNumberOfValuesIsBounded) {
  EXPECT_NO_THROW(parse_json("[1,2,3]", "f", {.max_values = 4}));
  EXPECT_ERROR(
      parse_json("[1,2,3,4]", "f", {.max_values = 4}), kCorrupt, "f: more than 4 JSON values");
  EXPECT_NO_THROW(parse_json(R"({"a":{"b":1}})", "f", {.max_values = 3}));
  EXPECT_ERROR(
      parse_json(R"({"a":{"b":[]},"c":1})", "f", {.max_values = 3}), kCorrupt, "more than 3");
}

// Processor time of this thread: a busy machine does not count.
double seconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
  };
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

// Eight times the text must take about eight times as long. The bound of 20 leaves room for cache
// effects and n log n; a quadratic reader takes 64.
TEST(Json, TimeIsNearlyLinear) {
  const auto keys = [](int n) {
    std::string text = "{";
    for (int i = 0; i < n; ++i) text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":0";
    return text + "}";
  };
  const auto array = [](int n) {
    std::string text = "[0";
    for (int i = 1; i < n; ++i) text += ",[]";
    return text + "]";
  };
  for (const auto& make : {std::function(keys), std::function(array)}) {
    const std::string part = make(125'000), whole = make(1'000'000);
    const double t1 = seconds([&] { parse_json(part, "f"); });
    const double t2 = seconds([&] { parse_json(whole, "f"); });
    EXPECT_LT(t2 / t1, 20.0) << t1 << " s, " << t2 << " s";
  }
}

TEST(Json, DumpNeverThrowsOnIllFormedUtf8) {
  EXPECT_EQ(dump_json(Json("a\xFFz")), "\"a\xEF\xBF\xBDz\"");
}

TEST(Json, QuoteForMessageIsShortAndPrintable) {
  EXPECT_EQ(quote_for_message("plain é"), "plain é");
  EXPECT_EQ(quote_for_message("a\nb\x7F\x1B[0m"), "a\\x0ab\\x7f\\x1b[0m");
  EXPECT_EQ(quote_for_message("a\xFF"), "a\xEF\xBF\xBD");
  EXPECT_EQ(quote_for_message("abcdef", 3), "abc…");
  EXPECT_EQ(quote_for_message("aé", 2), "a\xEF\xBF\xBD…");
}

}  // namespace
}  // namespace qwen3
