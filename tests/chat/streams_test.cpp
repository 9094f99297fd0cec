// Stop strings, reasoning and tool calls: the same result however the text is cut.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/json_text.h"
#include "chat/reasoning.h"
#include "chat/stop_stream.h"
#include "chat/tool_calls.h"

namespace qwen3 {
namespace {

constexpr size_t kWhole = SIZE_MAX;
constexpr size_t kChunks[] = {1, 2, 3, 5, 7, kWhole};

template <typename F>
void in_chunks(std::string_view text, size_t chunk, F&& f) {
  for (size_t at = 0; at < text.size(); at += std::min(chunk, text.size() - at))
    f(text.substr(at, chunk));
}

// Text of random pieces, among them everything that has a meaning to a parser.
std::string random_text(std::mt19937& random, const std::vector<std::string>& pieces, size_t n) {
  std::string text;
  for (size_t i = random() % (n + 1); i > 0; --i) text += pieces[random() % pieces.size()];
  return text;
}

// ---- stop strings ---------------------------------------------------------------------------

struct Stopped {
  std::string text;
  int matched;
  bool operator==(const Stopped&) const = default;
};

Stopped stop_by_search(const std::string& text,
                       const std::vector<std::string>& stops,
                       bool include) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool here = end >= stops[i].size() &&
                        text.compare(end - stops[i].size(), stops[i].size(), stops[i]) == 0;
      if (here && (best < 0 || stops[i].size() > stops[static_cast<size_t>(best)].size()))
        best = static_cast<int>(i);
    }
    if (best >= 0)
      return {text.substr(0, include ? end : end - stops[static_cast<size_t>(best)].size()), best};
  }
  return {text, -1};
}

// Cuts at character boundaries: the stream takes complete characters.
Stopped stop_by_stream(const std::string& text,
                       const std::vector<std::string>& stops,
                       bool include,
                       size_t chunk) {
  StopStream stream(stops, include);
  std::string out;
  std::string piece;
  const auto push = [&] {
    const std::string released = stream.push(std::exchange(piece, {}));
    EXPECT_TRUE(utf8_valid(released));
    out += released;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_sequence_length(text, at);
    piece += text.substr(at, n);
    at += n;
    if (piece.size() >= chunk) push();
  }
  push();
  out += stream.finish();
  EXPECT_EQ(stream.stopped(), stream.matched() >= 0);
  return {out, stream.matched()};
}

TEST(StopStreamTest, EqualsASearchOverTheWholeText) {
  std::mt19937 random(1);
  const std::vector<std::string> pieces = {
      "a", "b", "ab", "aab", "\n", "\n\n", "é", "ü", "😀", "User:", "U", "</s>", "<"};
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = random() % 5; i > 0; --i) {
      const std::string stop = random_text(random, pieces, 4);
      if (!stop.empty()) stops.push_back(stop);
    }
    const std::string text = random_text(random, pieces, 30);
    const bool include = random() % 2 == 0;
    const Stopped expected = stop_by_search(text, stops, include);
    for (const size_t chunk : kChunks) {
      const Stopped got = stop_by_stream(text, stops, include, chunk);
      ASSERT_EQ(got.text, expected.text) << text;
      ASSERT_EQ(got.matched < 0, expected.matched < 0);
      if (got.matched >= 0) {
        ASSERT_EQ(stops[static_cast<size_t>(got.matched)],
                  stops[static_cast<size_t>(expected.matched)]);
      }
    }
  }
}

TEST(StopStreamTest, HoldsBackOnlyWhatMayStop) {
  StopStream stream({"END", "NDX"});
  EXPECT_EQ(stream.push("a E"), "a ");
  EXPECT_EQ(stream.held_bytes(), 1u);
  EXPECT_EQ(stream.push("N"), "");
  EXPECT_EQ(stream.push("x"), "ENx");
  EXPECT_EQ(stream.push("EN"), "");
  EXPECT_EQ(stream.finish(), "EN");
  EXPECT_FALSE(stream.stopped());
  StopStream including({"."}, true);
  EXPECT_EQ(including.push("Hi. there"), "Hi.");
  EXPECT_TRUE(including.stopped());
  EXPECT_EQ(including.push("more"), "");
}

TEST(StopStreamTest, RefusesBadLists) {
  EXPECT_THROW(StopStream({""}), Error);
  EXPECT_THROW(StopStream({"\xC3"}), Error);
  EXPECT_THROW(StopStream({std::string(9000, 'a')}), Error);
  EXPECT_THROW(StopStream(std::vector<std::string>(257, "a")), Error);
}

// ---- reasoning ------------------------------------------------------------------------------

struct Split {
  std::string reasoning, content;
  bool operator==(const Split&) const = default;
};

Split split(
    std::string_view text, ReasoningMode mode, PromptState prompt, bool trim, size_t chunk) {
  ReasoningSplitter splitter(mode, prompt, trim);
  Split all;
  const auto add = [&](const ReasoningDelta& delta) {
    all.reasoning += delta.reasoning;
    all.content += delta.content;
  };
  in_chunks(text, chunk, [&](std::string_view piece) { add(splitter.push(piece)); });
  add(splitter.finish());
  return all;
}

// Under a constraint, which has accepted all that comes behind two newlines.
TEST(ReasoningTest, SoManyNewlinesBehindAThoughtAreDroppedAndNoMore) {
  for (const auto& [text, content] : {std::pair{"R</think>\n\nC", "C"},
                                      {"R</think>\nC", "C"},
                                      {"R</think>\n\n\n\nC", "\n\nC"},
                                      {"R</think>\n\n\n", "\n"},
                                      {"R</think>C\n\n", "C\n\n"}}) {
    for (size_t chunk = 1; chunk < 20; ++chunk) {
      ReasoningSplitter splitter(ReasoningMode::automatic, PromptState::inside_thinking, true, 2);
      std::string got;
      in_chunks(text, chunk, [&](std::string_view piece) { got += splitter.push(piece).content; });
      EXPECT_EQ(got + splitter.finish().content, content) << text << " by " << chunk;
    }
  }
}

TEST(ReasoningTest, Policies) {
  using enum ReasoningMode;
  using enum PromptState;
  struct Case {
    ReasoningMode mode;
    PromptState prompt;
    bool trim;
    std::string text, reasoning, content;
  };
  const Case cases[] = {
      {automatic, plain, false, "<think>\nR\n</think>\n\nC", "\nR\n", "\n\nC"},
      {automatic, plain, true, "<think>\nR\n\nS\n</think>\n\nC\n", "R\n\nS", "C\n"},
      {automatic, plain, false, "<think>\n\n</think>\n\nC", "\n\n", "\n\nC"},
      {automatic, plain, true, "<think>\n\n</think>\n\nC", "", "C"},
      {automatic, plain, false, "Hi", "", "Hi"},
      {automatic, plain, false, "Hi </think> x", "", "Hi </think> x"},
      {automatic, plain, false, " \n<think>R", "R", ""},
      {automatic, plain, false, "<think>R</thi", "R</thi", ""},
      {automatic, plain, false, "<thinking>", "", "<thinking>"},
      {automatic, plain, false, "<th", "", "<th"},
      {automatic, inside_thinking, false, "R\n</think>\n\nC", "R\n", "\n\nC"},
      {automatic, inside_thinking, true, "\nR\n</think>\n\nC", "R", "C"},
      {automatic, inside_thinking, false, "<think>R</think>C", "R", "C"},
      {automatic, inside_thinking, false, "R never closed", "R never closed", ""},
      {automatic, thinking_is_over, false, "C </think> C", "", "C </think> C"},
      {automatic, thinking_is_over, true, "\n\nC", "", "\n\nC"},
      {always, plain, false, "R</think>C</think>D", "R", "C</think>D"},
      {always, plain, false, "R", "R", ""},
      {always, thinking_is_over, false, "C", "", "C"},
      {never, inside_thinking, false, "<think>R</think>C", "", "<think>R</think>C"},
      {always, inside_thinking, false, "R </think </think>C", "R </think ", "C"},
      {always, inside_thinking, false, "", "", ""},
  };
  for (const Case& c : cases) {
    for (const size_t chunk : kChunks) {
      const Split got = split(c.text, c.mode, c.prompt, c.trim, chunk);
      EXPECT_EQ(got.reasoning, c.reasoning) << c.text << " in pieces of " << chunk;
      EXPECT_EQ(got.content, c.content) << c.text << " in pieces of " << chunk;
    }
  }
}

TEST(ReasoningTest, CutsDoNotMatter) {
  std::mt19937 random(2);
  const std::vector<std::string> pieces = {
      "<think>", "</think>", "<th", "ink>", "</", "\n", "\n\n", " ", "x", "é", "<", "think"};
  for (int round = 0; round < 5000; ++round) {
    const std::string text = random_text(random, pieces, 12);
    const auto mode = static_cast<ReasoningMode>(random() % 3);
    const auto prompt = static_cast<PromptState>(random() % 3);
    const bool trim = random() % 2 == 0;
    const Split whole = split(text, mode, prompt, trim, kWhole);
    for (const size_t chunk : kChunks)
      ASSERT_EQ(split(text, mode, prompt, trim, chunk), whole) << text;
    if (!trim && mode == ReasoningMode::never) {
      ASSERT_EQ(whole.content, text);
    }
  }
}

TEST(ReasoningTest, ReadsTheEndOfThePrompt) {
  const auto state = [](std::string content, std::string tail, std::string continued = "") {
    return prompt_state({{"<|im_start|>user\n", true},
                         {std::move(content), false},
                         {"<|im_end|>\n<|im_start|>assistant\n" + tail, true},
                         {std::move(continued), false}});
  };
  EXPECT_EQ(state("q", ""), PromptState::plain);
  EXPECT_EQ(state("q", "<think>\n"), PromptState::inside_thinking);
  EXPECT_EQ(state("q", "<think>\n\n</think>\n\n"), PromptState::thinking_is_over);
  // A user cannot open or close the thought, nor begin a turn.
  EXPECT_EQ(state("<think>", ""), PromptState::plain);
  EXPECT_EQ(state("</think>", "<think>\n"), PromptState::inside_thinking);
  EXPECT_EQ(prompt_state({{"<|im_start|>assistant\n<think>\n", true}, {"<|im_start|>", false}}),
            PromptState::inside_thinking);
  // A continued message carries its own tags.
  EXPECT_EQ(state("q", "", "<think>\nso far"), PromptState::inside_thinking);
}

// ---- tool calls -----------------------------------------------------------------------------

const Json& tools() {
  static const Json kTools =
      parse_json(R"([{"type": "function", "function": {"name": "f", "parameters": {"properties": {
    "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"},
    "o": {"type": "object"}, "l": {"type": "array"}, "x": {"type": "anything"}, "y": {}}}}}])",
                 "tools");
  return kTools;
}

ToolDelta parse_in_chunks(ToolFormat format, std::string_view text, size_t chunk) {
  const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools()));
  ToolDelta all;
  in_chunks(text, chunk, [&](std::string_view piece) { all.append(stream->push(piece)); });
  all.append(stream->finish());
  return all;
}

struct ToolCase {
  std::string text, content;
  std::vector<ToolCall> calls;
};

void check(ToolFormat format, const std::vector<ToolCase>& cases) {
  for (const ToolCase& c : cases) {
    for (const size_t chunk : kChunks) {
      const ToolDelta got = parse_in_chunks(format, c.text, chunk);
      EXPECT_EQ(got.content, c.content) << c.text << " in pieces of " << chunk;
      ASSERT_EQ(got.calls.size(), c.calls.size()) << c.text << " in pieces of " << chunk;
      for (size_t i = 0; i < c.calls.size(); ++i) {
        EXPECT_EQ(got.calls[i].name, c.calls[i].name);
        EXPECT_EQ(got.calls[i].arguments, c.calls[i].arguments) << c.text;
      }
    }
  }
}

TEST(ToolCallsTest, Hermes) {
  const std::string call =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  check(
      ToolFormat::hermes,
      {{"", "", {}},
       {"just text <tool", "just text <tool", {}},
       {"Hi.\n" + call, "Hi.\n", {{"f", "{\"a\": 1}"}}},
       {call + "\n" + call + " dropped", "", {{"f", "{\"a\": 1}"}, {"f", "{\"a\": 1}"}}},
       {"<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"é<&\",\"y\":[1.0,1e-7,true,null]}}</"
        "tool_call>",
        "",
        {{"f", "{\"x\": \"é<&\", \"y\": [1.0, 1e-7, true, null]}"}}},
       // The closing tag inside of a string does not end the call.
       {"<tool_call>{\"name\": \"f\", \"arguments\": {\"t\": \"</tool_call> \\\" "
        "<tool_call>\"}}</tool_call>",
        "",
        {{"f", "{\"t\": \"</tool_call> \\\" <tool_call>\"}"}}},
       // Unclosed: complete JSON counts, cut JSON does not.
       {"<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n", "", {{"f", "{}"}}},
       {"<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_c", "", {{"f", "{}"}}},
       {"<tool_call>\n{\"name\": \"f\", \"argum", "<tool_call>\n{\"name\": \"f\", \"argum", {}},
       // What is no call stays text.
       {"a<tool_call>not json</tool_call>b", "a<tool_call>not json</tool_call>b", {}},
       {"<tool_call>{\"name\": \"f\"}</tool_call>", "<tool_call>{\"name\": \"f\"}</tool_call>", {}},
       {"<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
        {}},
       {"<tool_call>{\"name\": \"f\", \"arguments\": {}}}</tool_call>!",
        "<tool_call>{\"name\": \"f\", \"arguments\": {}}}</tool_call>!",
        {}},
       {"<tool_call>\"</tool_call>" + call, "<tool_call>\"</tool_call>", {{"f", "{\"a\": 1}"}}},
       {"<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>", "", {{"f", "{}"}}}});
}

TEST(ToolCallsTest, Coder) {
  const std::string open = "<tool_call>\n<function=f>\n";
  const std::string close = "</function>\n</tool_call>";
  const auto one = [&](const std::string& key, const std::string& value) {
    return open + "<parameter=" + key + ">\n" + value + "\n</parameter>\n" + close;
  };
  check(ToolFormat::qwen3_coder,
        {{"text", "text", {}},
         {"Hi\n" + open + close, "Hi\n", {{"f", "{}"}}},
         {one("s", "a\n b "), "", {{"f", "{\"s\": \"a\\n b \"}"}}},
         {one("s", "12"), "", {{"f", "{\"s\": \"12\"}"}}},
         {one("s", "NULL"), "", {{"f", "{\"s\": \"NULL\"}"}}},
         {one("i", " 12 "), "", {{"f", "{\"i\": 12}"}}},
         {one("i", "1.5"), "", {{"f", "{\"i\": 1.5}"}}},
         {one("n", "3.0"), "", {{"f", "{\"n\": 3.0}"}}},
         {one("n", "2.5"), "", {{"f", "{\"n\": 2.5}"}}},
         {one("b", "True"), "", {{"f", "{\"b\": true}"}}},
         {one("b", "yes"), "", {{"f", "{\"b\": \"yes\"}"}}},
         {one("o", "{\"k\": [1, \"</tool_call>\"]}"),
          "",
          {{"f", "{\"o\": {\"k\": [1, \"</tool_call>\"]}}"}}},
         {one("l", "['a', True, None, (1, -2.5)]"),
          "",
          {{"f", "{\"l\": [\"a\", true, null, [1, -2.5]]}"}}},
         {one("l", "not a list"), "", {{"f", "{\"l\": \"not a list\"}"}}},
         {one("x", "range(3)"), "", {{"f", "{\"x\": \"range(3)\"}"}}},
         {one("x", "1) }}{{ (2"), "", {{"f", "{\"x\": \"1) }}{{ (2\"}"}}},
         {one("y", "5"), "", {{"f", "{\"y\": \"5\"}"}}},
         {one("unknown", "5"), "", {{"f", "{\"unknown\": \"5\"}"}}},
         {open + "<parameter=s>\na\n<parameter=i>\n3\n" + close,
          "",
          {{"f", "{\"s\": \"a\", \"i\": 3}"}}},
         {one("s", "a") + "\n" + one("i", "1") + "tail",
          "",
          {{"f", "{\"s\": \"a\"}"}, {"f", "{\"i\": 1}"}}},
         {"<function=f>" + close, "", {{"f", "{}"}}},
         {open + "<parameter=s>\na\n</parameter>\n", open + "<parameter=s>\na\n</parameter>\n", {}},
         {"x" + open + "<parameter=s>\ncut of", "x" + open + "<parameter=s>\ncut of", {}},
         {"a <tool_call> b", "a <tool_call> b", {}},
         {"a <tool_call>\n", "a <tool_call>\n", {}}});
}

ToolDelta parse_cut(ToolFormat format, std::string_view text, size_t chunk) {
  const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools()));
  ToolDelta all;
  in_chunks(text, chunk, [&](std::string_view piece) { all.append(stream->push(piece)); });
  all.append(stream->finish(true));
  return all;
}

// Output that a limit ends: what had begun a call is dropped, other text is not.
TEST(ToolCallsTest, OutputThatWasCut) {
  const std::string hermes = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\"}}";
  const std::string coder =
      "<tool_call>\n<function=f>\n<parameter=s>\nv\n</parameter>\n</function>";
  for (const size_t chunk : kChunks) {
    for (const auto& [format, call] :
         {std::pair{ToolFormat::hermes, hermes}, {ToolFormat::qwen3_coder, coder}}) {
      for (const std::string before : {"", " \n", "Hi. "}) {
        for (size_t n = before == "Hi. " ? 6 : 1; n < call.size(); ++n) {
          const ToolDelta got = parse_cut(format, before + call.substr(0, n), chunk);
          EXPECT_EQ(got.content, before) << call.substr(0, n);
          EXPECT_TRUE(got.calls.empty()) << call.substr(0, n);
          EXPECT_TRUE(got.cut_call) << call.substr(0, n);
        }
        const ToolDelta whole = parse_cut(format, before + call, chunk);
        EXPECT_EQ(whole.calls.size(), 1u);
        EXPECT_FALSE(whole.cut_call);
      }
      for (const std::string text : {"a <", "a <tool", "", "<b>", "see", "<tool_call> is a tag"}) {
        EXPECT_EQ(parse_cut(format, text, chunk).content, text);
        EXPECT_FALSE(parse_cut(format, text, chunk).cut_call) << text;
      }
    }
  }
}

TEST(ToolCallsTest, CutsDoNotMatter) {
  std::mt19937 random(3);
  const std::vector<std::string> pieces = {
      "<tool_call>",
      "</tool_call>",
      "\n",
      "{\"name\": \"f\", \"arguments\": ",
      "{\"a\": \"",
      "\"}",
      "}",
      "{",
      "\\",
      "\"",
      "<function=f>",
      "</function>",
      "<parameter=s>",
      "</parameter>",
      "<parameter=i>",
      "12",
      "é",
      " ",
      "<",
      "</tool",
      "text",
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"t\": \"</tool_call>\"}}\n</tool_call>",
      "<tool_call>\n<function=f>\n<parameter=s>\nv\n</parameter>\n</function>\n</tool_call>"};
  for (int round = 0; round < 10000; ++round) {
    const std::string text = random_text(random, pieces, 14);
    for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::qwen3_coder}) {
      const ToolDelta whole = parse_tool_calls(format, text, tools());
      for (const size_t chunk : kChunks) {
        ASSERT_EQ(parse_in_chunks(format, text, chunk), whole) << text << " in pieces of " << chunk;
        ASSERT_EQ(parse_cut(format, text, chunk), parse_tool_calls(format, text, tools(), true))
            << text << " in pieces of " << chunk;
      }
      for (const ToolCall& call : whole.calls) {
        ASSERT_NO_THROW(parse_json(call.arguments, "arguments")) << text;
      }
    }
  }
}

TEST(ToolCallsTest, TimeIsLinear) {
  const auto seconds = [](ToolFormat format, size_t n) {
    std::string text = format == ToolFormat::hermes
                           ? "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \""
                           : "<tool_call>\n<function=f>\n";
    for (size_t i = 0; i < n; ++i)
      text += format == ToolFormat::hermes ? "</tool_call>" : "<parameter=s>v";
    const auto start = std::chrono::steady_clock::now();
    parse_in_chunks(format, text, 7);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::qwen3_coder}) {
    EXPECT_LT(seconds(format, 100000), 2.0);  // 1.2 MB; a quadratic scan takes minutes
  }
}

TEST(JsonTextTest, PythonLiterals) {
  const std::pair<const char*, const char*> cases[] = {
      {"{'a': (1, 2.5), 'b': None}", R"({"a": [1, 2.5], "b": null})"},
      {"-3", "-3"},
      {" ( 1e22 ) ", "1e22"},
      {"(1,)", "[1]"},
      {"()", "[]"},
      {"[12345678901234567890123, True, ]", "[12345678901234567890123, true]"},
      {R"('x\'\n\x41\u00e9\101\q')", R"("x'\nAéA\\q")"}};
  for (const auto& [python, json] : cases) EXPECT_EQ(python_literal(python), json) << python;
  for (const char* text : {"",
                           "a",
                           "f()",
                           "1 + 2",
                           "[1",
                           "[,]",
                           "'a'|upper",
                           "'a' 'b'",
                           "1) }}x{{ (2",
                           "{1: 2}",
                           "{'a': 1, 'a': 2}",
                           "x.y",
                           "01",
                           "Nonee",
                           R"('\ud800')",
                           "# {#",
                           "{%"}) {
    EXPECT_FALSE(python_literal(text).has_value()) << text;
  }
  EXPECT_FALSE(python_literal(std::string(100000, '[')).has_value());
}

TEST(JsonTextTest, NumbersKeepTheirDigits) {
  const std::string digits(400, '7');
  for (const std::string number : {"1e22", "12345678901234567890123", "0.1", "1.0", "-0", "5E-3"}) {
    EXPECT_EQ(python_spelling("[" + number + ",\"a,b\\u00e9\\/\"]"), "[" + number + ", \"a,bé/\"]");
  }
  ASSERT_TRUE(read_json("{\"a\":" + digits + "}").has_value());
  EXPECT_FALSE(read_json("{\"a\":" + digits).has_value());
  EXPECT_EQ(member_text(R"({"x": {"a": 1}, "\u0061": [2, {"a": "}"}] , "b": 3})", "a"),
            " [2, {\"a\": \"}\"}] ");
}

}  // namespace
}  // namespace qwen3
