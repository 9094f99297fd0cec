// The interpreter against Jinja2 as transformers configures it
// (tests/goldens/make_chat_goldens.py).
#include "chat/template.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "chat/golden.h"

namespace qwen3 {
namespace {

using testing::hash_text;
using testing::read_file;
using testing::read_golden;
using testing::source_path;

// The text, or nothing for an error; the message goes to *error.
std::optional<std::string> try_render(std::string_view source,
                                      const Json& context,
                                      std::string* error = nullptr) {
  try {
    return ChatTemplate::parse(source, "test").render(context);
  } catch (const Error& e) {
    if (error != nullptr) *error = e.what();
    return std::nullopt;
  }
}

std::string shown(const std::optional<std::string>& text) {
  return text ? "\"" + *text + "\"" : "an error";
}

TEST(TemplateTest, SnippetsRenderAsInJinja) {
  const Json golden = read_golden("chat_snippets.json");
  size_t n_bad = 0;
  for (const Json& row : golden["cases"]) {
    const auto source = row[0].get<std::string>();
    const auto expected =
        row[1].is_null() ? std::nullopt : std::optional(row[1].get<std::string>());
    std::string error;
    const auto got = try_render(source, golden["context"], &error);
    if (got == expected) continue;
    if (++n_bad <= 60) {
      ADD_FAILURE() << source << "\n  expected " << shown(expected) << "\n  got " << shown(got)
                    << " " << error;
    }
  }
  EXPECT_EQ(n_bad, 0u) << "of " << golden["cases"].size();
  EXPECT_GT(golden["cases"].size(), 5000u);
}

// T-J4: every operator over all pairs of types and lengths.
TEST(TemplateTest, OperatorsOnAllPairsOfTypes) {
  const Json golden = read_golden("chat_operators.json");
  const Json context = read_golden("chat_snippets.json")["context"];
  for (const Json& row : golden["rows"]) {
    for (size_t i = 0; i < golden["operands"].size(); ++i) {
      const Json& expected = row[2][i];
      const std::string source = "{{ " + row[1].get<std::string>() + " " +
                                 row[0].get<std::string>() + " " +
                                 golden["operands"][i].get<std::string>() + " }}";
      std::string error;
      const auto got = try_render(source, context, &error);
      if (expected == "skip") continue;
      const auto wanted =
          expected.is_null() ? std::nullopt : std::optional(expected.get<std::string>());
      EXPECT_EQ(got, wanted) << source << " " << error;
    }
  }
}

// What Jinja2 3.1.6 with markupsafe 3.0.3 makes of them, autoescape being off.
TEST(TemplateTest, WhatIsAddedToSafeTextIsEscaped) {
  const Json context = {{"user", "<c>"}};
  const std::pair<const char*, const char*> cases[] = {
      {R"({{ "x" | safe + "<b>" }})", "x&lt;b&gt;"},
      {R"({{ "<b>" + ("x" | safe) }})", "&lt;b&gt;x"},
      {R"({{ ("<i>" | safe) + ("<b>" | e) }})", "<i>&lt;b&gt;"},
      {R"({{ ("<i>" | safe) ~ "<b>" }})", "<i><b>"},
      {R"({{ "a" + "<" }})", "a<"},
      {R"({{ ("<i>" | safe)[1:] + "<" }})", "i>&lt;"},
      {R"({{ ("<i>" | safe).upper() + "<" }})", "<I>&lt;"},
      {R"({{ ("a" | safe | upper) + "<" }})", "A&lt;"},
      {R"({{ ("<" | safe) * 2 + "<" }})", "<<&lt;"},
      {R"({{ ("" | safe) + "<" }})", "&lt;"},
      {R"({{ ("a" | safe) + "" + "<" }})", "a&lt;"},
      {R"({{ "<" | e | e }})", "&lt;"},
      {R"({{ "<" | e | forceescape }})", "&amp;lt;"},
      {R"({{ "<" is escaped }}{{ ("<" | safe) is escaped }})", "FalseTrue"},
      {R"({% set x = "a" | safe %}{{ x + user }})", "a&lt;c&gt;"},
      {R"({% set y %}{{ "a" | safe }}{% endset %}{{ y + "<" }})", "a<"}};
  for (const auto& [source, wanted] : cases) {
    std::string error;
    EXPECT_EQ(try_render(source, context, &error), std::optional<std::string>(wanted))
        << source << " " << error;
  }
  // Escaping does not make the context's text trusted.
  const auto segments =
      ChatTemplate::parse(R"({{ ("<" | safe) + user }})", "t").render_segments(context);
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[1], (Segment{"&lt;c&gt;", false}));
}

void check_renders(const std::string& name,
                   const ChatTemplate& chat,
                   const Json& contexts,
                   const Json& hashes) {
  ASSERT_EQ(contexts.size(), hashes.size());
  for (size_t i = 0; i < contexts.size(); ++i) {
    std::string text;
    std::string got = "error";
    try {
      const auto segments = chat.render_segments(contexts[i]);
      text = join_segments(segments);
      got = hash_text(text);
      EXPECT_EQ(text, chat.render(contexts[i]));
      for (size_t s = 1; s < segments.size(); ++s) {
        EXPECT_NE(segments[s].trusted, segments[s - 1].trusted);
      }
    } catch (const Error& e) {
      text = e.what();
    }
    EXPECT_EQ(got, hashes[i].get<std::string>())
        << name << " #" << i << " " << dump_json(contexts[i]) << "\n"
        << text;
  }
}

TEST(TemplateTest, ConversationsRenderAsInTransformers) {
  const Json golden = read_golden("chat_conversations.json");
  for (const auto& [name, hashes] : golden["renders"].items()) {
    const std::string path = source_path("tests/data/templates/" + name);
    check_renders(name, ChatTemplate::parse(read_file(path), name), golden["contexts"], hashes);
  }
  EXPECT_GE(golden["renders"].size() * golden["contexts"].size(), 1400u);
}

TEST(TemplateTest, OfficialHybridTemplate) {
  const std::string path = source_path(testing::kOfficialTokenizer);
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "the official tokenizer is not here; script/bootstrap fetches it";
  }
  const Json config = parse_json(read_file(path), path);
  const Json golden = read_golden("chat_conversations.json");
  const auto source = config["chat_template"].get<std::string>();
  check_renders(
      "official", ChatTemplate::parse(source, path), golden["contexts"], golden["official"]);
}

TEST(TemplateTest, ErrorsNameFileAndLine) {
  const auto message = [](std::string_view source, ErrorKind* kind) -> std::string {
    try {
      ChatTemplate::parse(source, "model/chat_template.jinja").render(Json::object());
    } catch (const Error& e) {
      *kind = e.kind();
      return e.what();
    }
    return "";
  };
  ErrorKind kind{};
  EXPECT_EQ(message("a\n\n{{ 1 +", &kind),
            "model/chat_template.jinja: line 3: unexpected end of template inside a tag");
  EXPECT_EQ(kind, ErrorKind::corrupt_file);
  EXPECT_EQ(message("a\n{% include 'x' %}", &kind),
            "model/chat_template.jinja: line 2: 'include' is not supported in chat templates");
  EXPECT_EQ(kind, ErrorKind::unsupported);
  EXPECT_EQ(message("a\n{{ x.y }}", &kind), "model/chat_template.jinja: line 2: 'x' is undefined");
  EXPECT_EQ(kind, ErrorKind::invalid_argument);
  EXPECT_EQ(
      message("{% if true %}\n{{ raise_exception('No user query found') }}{% endif %}", &kind),
      "No user query found");
  EXPECT_EQ(kind, ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace qwen3
