#include "server/api/tool_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "chat/call_reader.h"
#include "grammar/schema.h"

namespace qwen3::server {
namespace {

using Expr = GrammarBuilder::Expr;
using Form = GrammarBuilder::TextForm;

constexpr int kMostWidenings = 16;  // then any object

// The arguments are an object, whatever the schema says of other values.
Json object_schema(const Json& function) {
  const auto given = function.find("parameters");
  if (given == function.end() || !given->is_object()) return {{"type", "object"}};
  Json schema = *given;
  const auto type = schema.find("type");
  const bool other = type != schema.end() && type->is_string() && *type != "object";
  if (!other) schema["type"] = "object";
  return schema;
}

// Texts that stand between <parameter=k>\n and \n</parameter> and are read as they are (chat/coder_body.h).
const TextDfa& raw_values() {
  static const TextDfa set = (TextDfa::search("^(</parameter>|<function=)") |
                              TextDfa::search("\\n(</parameter>|<function=)"))
                                 .complement();
  return set;
}

// Texts that are never read as another value than a text (chat/parameter_value.h).
const TextDfa& plain_texts() {
  static const TextDfa set =
      (TextDfa::search("^[ \\t\\r\\n\\f\\v]*[-+.0-9\\[{(]") |
       TextDfa::full_match("[ \\t\\r\\n\\f\\v]*([nN][uU][lL][lL]|[nN][oO][nN][eE]|[tT][rR][uU][eE]|"
                           "[fF][aA][lL][sS][eE])[ \\t\\r\\n\\f\\v]*"))
          .complement();
  return set;
}

bool can_be_named(std::string_view key) {
  return !key.empty() && key.find_first_of(">\n\r<") == key.npos;
}

class CallWriter {
 public:
  CallWriter(GrammarBuilder& builder, const ToolRules& rules) : b_(builder), rules_(rules) {}

  // From behind <tool_call> on.
  Expr body(const std::string& name, const Json& schema) {
    const Expr end = b_.sequence({b_.bytes("\n"), tag(rules_.close, kCallClose)});
    if (rules_.format == ToolFormat::hermes) {
      return b_.sequence({b_.bytes(fmt::format("\n{{\"name\": \"{}\", \"arguments\": ", name)),
                          schema_expression(b_, schema, {.numbers = rules_.numbers}),
                          b_.bytes("}"),
                          end});
    }
    return b_.sequence({b_.bytes(fmt::format("\n<function={}>\n", name)),
                        parameters(schema),
                        b_.bytes("</function>"),
                        end});
  }

  Expr calls(std::vector<Expr> bodies) {
    const Expr body = b_.choice(std::move(bodies));
    const Expr open = tag(rules_.open, kCallOpen);
    const Expr first = rules_.opened || rules_.in_text ? body : b_.sequence({open, body});
    if (rules_.single) return first;
    return b_.sequence({first, b_.repeat(b_.sequence({b_.bytes("\n"), open, body}), 0, -1)});
  }

 private:
  Expr tag(int32_t id, std::string_view text) { return id >= 0 ? b_.token(id) : b_.bytes(text); }

  Expr parameters(const Json& schema) {
    std::vector<Expr> ways;
    for (const SchemaObject& object : schema_objects(b_, schema, {.numbers = rules_.numbers})) {
      std::vector<Expr> parts;
      bool possible = true;
      for (const SchemaProperty& property : object.properties) {
        if (!can_be_named(property.name)) {
          possible = possible && !property.required;
          continue;
        }
        const Expr one = parameter(property);
        parts.push_back(property.required ? one : b_.optional(one));
      }
      if (possible) ways.push_back(b_.sequence(std::move(parts)));
    }
    return b_.choice(std::move(ways));
  }

  Expr parameter(const SchemaProperty& property) {
    return b_.sequence({b_.bytes(fmt::format("<parameter={}>\n", property.name)),
                        value(property.value),
                        b_.bytes("\n</parameter>\n")});
  }

  Expr value(const SchemaValue& value) {
    std::vector<Expr> ways;
    bool any_text = false;
    for (const SchemaText& text : value.texts) {
      TextDfa set = text.set & raw_values();
      if (!value.only_strings) set = set & plain_texts();
      any_text = any_text || (text.set.universal() && text.min_length <= 0 && text.max_length < 0);
      ways.push_back(b_.text(std::move(set), Form::raw, text.min_length, text.max_length));
    }
    // JSON of a text would be read with its quotes: only where every text is allowed.
    if (!value.only_strings && (value.texts.empty() || any_text)) ways.push_back(value.json);
    return b_.choice(std::move(ways));
  }

  GrammarBuilder& b_;
  const ToolRules& rules_;
};

struct Tool {
  std::string name;
  Json schema;
  bool strict = false;
  bool relaxed = false;
  std::string param;  // "tools[0].function.parameters"
};

std::vector<Tool> read_called(const Json& tools, const ToolRules& rules) {
  std::vector<Tool> out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json* function = function_of(tools[i]);
    if (function == nullptr) continue;
    const auto name = (*function)["name"].get<std::string>();
    const bool called = std::ranges::find(rules.names, name) != rules.names.end();
    const bool known =
        std::ranges::any_of(out, [&](const Tool& tool) { return tool.name == name; });
    if (!called || known) continue;
    const auto strict = function->find("strict");
    out.push_back({.name = name,
                   .schema = object_schema(*function),
                   .strict = strict != function->end() && *strict == true,
                   .param = fmt::format("tools[{}].function.parameters", i)});
  }
  return out;
}

// What all tools of a request may take together, in time of the thread's processor.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds time) : end_(thread_time() + time) {}
  // What is left; not less than nothing.
  std::chrono::milliseconds left() const {
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(end_ - thread_time()),
                    std::chrono::milliseconds(0));
  }

 private:
  std::chrono::nanoseconds end_;
};

// Weakens the tool until a grammar of its calls alone can be built, or the time is over.
void make_enforceable(Tool& tool, const ToolRules& rules, const Deadline& deadline) {
  for (int n = 0;; ++n) {
    try {
      if (n < kMostWidenings && deadline.left().count() == 0) {
        throw GrammarError(GrammarFault::too_complex,
                           "",
                           "the tools of this request take too long to compile together");
      }
      GrammarBudget budget;
      if (n < kMostWidenings) budget.time = deadline.left();
      GrammarBuilder builder(budget);
      builder.build(CallWriter(builder, rules).body(tool.name, tool.schema));
      return;
    } catch (const GrammarError& error) {
      if (tool.strict) refuse_grammar(tool.param, error);
      tool.relaxed = true;
      if (n > kMostWidenings) throw;
      if (n == kMostWidenings || !widen_schema(tool.schema, error.place())) {
        tool.schema = {{"type", "object"}};
        n = kMostWidenings;
      }
    }
  }
}

}  // namespace

std::string source_of(const Json& tools, const ToolRules& rules, const AnswerFormat& format) {
  return fmt::format("tools:{}:{}{}:{}:{}:{}:{}:{}",
                     static_cast<int>(rules.format),
                     rules.single ? '1' : '-',
                     rules.opened    ? 'o'
                     : rules.in_text ? 't'
                                     : '-',
                     rules.open,
                     dump_json(Json(rules.names)),
                     dump_json(tools),
                     rules.numbers.source(),
                     source_of(format));
}

CompiledGrammar compile_calls(const Json& tools,
                              const ToolRules& rules,
                              const AnswerFormat& format,
                              const TokenTrie& trie) {
  CompiledGrammar out;
  const GrammarBudget budget;
  const Deadline deadline(budget.time);
  std::vector<Tool> called = read_called(tools, rules);
  for (Tool& tool : called) {
    make_enforceable(tool, rules, deadline);
    if (tool.relaxed) out.relaxed.push_back(tool.name);
  }
  GrammarBuilder builder(budget);
  CallWriter writer(builder, rules);
  std::vector<Expr> bodies;
  for (const Tool& tool : called) bodies.push_back(writer.body(tool.name, tool.schema));
  Expr calls = writer.calls(std::move(bodies));
  if (rules.in_text) calls = builder.sequence({builder.free_text_until(kCallOpen), calls});
  std::vector<Expr> ways{calls};
  if (rules.in_text) ways.push_back(builder.free_text_without({std::string(kCallOpen)}));
  if (format) {
    try {
      ways.push_back(answer_expression(builder, format, trie));
    } catch (const GrammarError& error) {
      refuse_grammar(format.param, error);
    }
  }
  out.grammar = builder.build(builder.choice(std::move(ways)));
  return out;
}

}  // namespace qwen3::server
