// Answers that are whole within a number of tokens, whatever is sampled.
#include <gmock/gmock.h>

#include "grammar/configurations.h"
#include "grammar/support.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

GrammarPtr of_schema(const Json& schema) { return compile_json_schema(schema); }
GrammarPtr of_schema(const char* schema) { return of_schema(parse_json(schema, "schema")); }

// A schema as it comes, and nothing that is refused.
class RandomSchemas {
 public:
  explicit RandomSchemas(uint64_t seed) : random_(seed) {}

  Json next(int depth = 3) {
    switch (below(depth > 0 ? 8 : 4)) {
      case 0:
        return text();
      case 1:
        return {{"type", "integer"}, {"minimum", below(2000) - 1000}};
      case 2:
        return {{"enum", {"first", 2, Json{{"a", Json::array()}}, "été"}}};
      case 3:
        return {{"type", {"boolean", "null"}}};
      case 4:
        return {{"anyOf", {next(depth - 1), next(depth - 1)}}};
      case 5: {
        const int n = below(4);
        return {
            {"type", "array"}, {"items", next(depth - 1)}, {"minItems", n}, {"maxItems", n + 3}};
      }
      case 6:
        return object(depth);
      default:
        return {{"type", "object"},
                {"minProperties", below(5)},
                {"patternProperties",
                 {{"^[ab]{1,2}$", next(depth - 1)}, {"^k[0-9]*$", next(depth - 1)}}},
                {"additionalProperties", false}};
    }
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  Json text() {
    Json schema{{"type", "string"}};
    if (below(2) == 0) schema["minLength"] = below(6);
    if (below(2) == 0) schema["maxLength"] = 6 + below(9);
    if (below(3) == 0) schema["pattern"] = below(2) == 0 ? "ab.$" : "^[éa]+";
    return schema;
  }
  Json object(int depth) {
    Json schema{{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
    for (int i = 0; i < 4; ++i) {
      const std::string name = "name" + std::to_string(i);
      if (below(2) == 0) schema["properties"][name] = next(depth - 1);
      if (below(2) == 0) schema["required"].push_back(name);
    }
    if (below(2) == 0) schema["additionalProperties"] = next(depth - 1);
    return schema;
  }

  std::mt19937_64 random_;
};

// A walk over what is allowed, within n tokens.
std::string walk(Matcher& matcher, int64_t n, std::mt19937_64& random) {
  std::string text;
  for (int64_t left = n; left > 0 && !matcher.exhausted(); --left) {
    matcher.close_within(left);
    const auto tokens = tokens_of(matcher, *nano_trie());
    if (tokens.empty()) break;
    const int32_t token = tokens[random() % tokens.size()];
    matcher.accept(token);
    text += nano_trie()->bytes(token);
  }
  return text;
}

void expect_closed_in_time(const std::string& name,
                           const GrammarPtr& grammar,
                           int n_walks,
                           bool json) {
  std::mt19937_64 random(11);
  for (int i = 0; i < n_walks; ++i) {
    Matcher matcher(grammar, nano_trie(), {.slices = i % 2 == 0, .cache = i % 4 < 2});
    const int64_t shortest = matcher.bytes_to_end();
    ASSERT_LT(shortest, 2000) << name;
    const int64_t n = shortest + static_cast<int64_t>(random() % 60);
    const std::string text = walk(matcher, n, random);
    EXPECT_TRUE(matcher.may_end()) << name << ", " << n << " tokens: " << text;
    EXPECT_EQ(match_bytes(*grammar, text), Membership::whole) << name << ": " << text;
    if (json) {
      EXPECT_NO_THROW(parse_json(text, "answer")) << name << ": " << text;
    }
  }
}

TEST(ShortestEndings, AnswersOfRandomSchemasAreClosedInTime) {
  RandomSchemas schemas(7);
  for (int i = 0; i < 150; ++i) {
    const Json schema = schemas.next();
    expect_closed_in_time(dump_json(schema), of_schema(schema), 8, true);
  }
}

TEST(ShortestEndings, AnswersOfAnyGrammarAreClosedInTime) {
  expect_closed_in_time("any object", compile_json_object(), 60, true);
  for (const char* schema : {R"({"type": "string", "pattern": "abcdef$"})",
                             R"({"type": "string", "minLength": 9, "pattern": "^[一-龥]*$"})",
                             R"({"type": "array", "items": {"$ref": "#"}, "maxItems": 9})",
                             R"({"type": "string", "format": "date-time"})"}) {
    expect_closed_in_time(schema, of_schema(schema), 40, true);
  }
  for (const char* regex :
       {"([\\p{L} ]+|[^\"<]{0,7}é)*\\d{2,}", "([a-z]{1,6},){3,300}end", "a|bcd|bcde"}) {
    expect_closed_in_time(regex, compile_regex(regex), 40, false);
  }
  const char* gbnf = "root ::= \"a\" | \"(\" root \")\" root?";
  expect_closed_in_time(gbnf, compile_gbnf(gbnf, *nano_trie()), 40, false);
}

TEST(ShortestEndings, Bytes) {
  const auto expect = [](const GrammarPtr& grammar, int64_t bytes) {
    Matcher matcher(grammar, nano_trie());
    EXPECT_EQ(matcher.bytes_to_end(), bytes);
  };
  expect(compile_json_object(), 2);
  expect(compile_regex("(ab){3,}|c{5}"), 5);
  expect(compile_choice({"yesterday", "no"}), 2);
  expect(of_schema(R"({"type": "string", "minLength": 3})"), 5);
  expect(of_schema(R"({"type": "string", "pattern": "é"})"), 4);
  expect(of_schema(R"({"type": "string", "minLength": 9, "pattern": "^[一-龥]*$"})"), 29);
  // {"":true,"a":true,"b":true}
  expect(of_schema(
             R"({"type": "object", "minProperties": 3, "additionalProperties": {"const": true}})"),
         27);
  // {"b":1,"a":[],"d":[]}, or an array for each: the least of both kinds.
  expect(of_schema(R"({"type": "object", "minProperties": 3, "additionalProperties": false,
            "patternProperties": {"^b$": {"const": 1}, "^[acde]$": {"type": "array"}}})"),
         21);
  expect(
      of_schema(R"({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/b"}},
            "$defs": {"b": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 1}, {"const": 10}]}}})"),
      8);
}

// A key in use is no way out, and neither is what begins as one.
TEST(ShortestEndings, KeysInUseAreNoEndings) {
  const GrammarPtr grammar = of_schema(
      R"({"type": "object", "minProperties": 2, "additionalProperties": false,
          "patternProperties": {"^(a|bcdefg)$": {"const": 1}}})");
  Matcher matcher(grammar, nano_trie());
  EXPECT_EQ(matcher.bytes_to_end(), 18);  // {"a":1,"bcdefg":1}
  for (const int32_t id : nano_tokenizer().encode("{\"a\":1,\"")) matcher.accept(id);
  EXPECT_EQ(matcher.bytes_to_end(), 10);
  expect_closed_in_time("two keys", grammar, 40, true);
}

// From wherever a walk comes to, with a little room.
TEST(ShortestEndings, ClosingForbidsWhatCannotBeClosedAndNothingElse) {
  std::mt19937_64 random(12);
  for (
      const GrammarPtr& grammar :
      {compile_json_object(),
       compile_regex("([a-z]{1,6},){3,300}end"),
       compile_choice({"", "yes", "yesterday", "no", "はい", "いいえ"}),
       of_schema(
           R"({"type": "object", "minProperties": 3, "additionalProperties": {"type": "boolean"}})")}) {
    Matcher matcher(grammar, nano_trie());
    for (int i = 0; i < 40 && !matcher.exhausted(); ++i) {
      const auto every = tokens_of(matcher, *nano_trie());
      if (every.empty()) break;
      const int64_t room = matcher.bytes_to_end() + static_cast<int64_t>(random() % 4);
      matcher.close_within(room);
      const auto some = tokens_of(matcher, *nano_trie());
      matcher.close_within(1 << 20);
      EXPECT_EQ(tokens_of(matcher, *nano_trie()), every);
      matcher.close_within(-1);
      for (const int32_t token : every) {
        matcher.accept(token);
        const bool in_time = matcher.bytes_to_end() < room;
        matcher.rollback(1);
        EXPECT_EQ(std::binary_search(some.begin(), some.end(), token), in_time) << token;
      }
      matcher.accept(every[random() % every.size()]);
    }
  }
}

// It cannot be whole in time whatever comes.
TEST(ShortestEndings, AnAnswerThatCannotBeClosedIsLeftAlone) {
  Matcher matcher(compile_regex("[a-z]{5}"), nano_trie());
  EXPECT_EQ(matcher.bytes_to_end(), 5);
  const auto every = tokens_of(matcher, *nano_trie());
  matcher.close_within(4);
  EXPECT_EQ(tokens_of(matcher, *nano_trie()), every);
}

}  // namespace
}  // namespace qwen3
