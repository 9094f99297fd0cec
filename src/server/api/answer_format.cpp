#include "server/api/answer_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "grammar/limits.h"
#include "grammar/notations.h"
#include "grammar/schema.h"

namespace qwen3::server {
namespace {

using Kind = AnswerFormat::Kind;

constexpr size_t kMostTextBytes = static_cast<size_t>(kMaxSchemaBytes);

// A schema, or the text of one.
Json schema_of(ExactNumbers& numbers, const Json& value, const std::string& path) {
  if (value.is_object() || value.is_boolean()) return value;
  if (!value.is_string()) {
    refuse(path, fmt::format("expected a JSON Schema, got {}", describe(value)));
  }
  try {
    Json schema = parse_json(value.get_ref<const std::string&>(), "schema");
    numbers.add_for(schema, value.get_ref<const std::string&>());
    return schema;
  } catch (const Error& error) {
    ApiError refusal(400, "invalid_schema", error.what());
    refusal.param = path;
    throw refusal;
  }
}

AnswerFormat with_schema(const Json& value, std::string path) {
  AnswerFormat format{.kind = Kind::json_schema, .param = std::move(path)};
  format.schema = schema_of(format.options.numbers, value, format.param);
  return format;
}

// An empty form would be read as none, and the answer be free. But clients of llama.cpp send "grammar": "" where
// there is none, and other texts of the request itself are like it.
void refuse_empty(const Json& value, const std::string& path) {
  const bool inside = path.find('.') != path.npos;
  const bool empty = (inside && value.is_string() && value.get_ref<const std::string&>().empty()) ||
                     (value.is_array() && value.empty());
  if (empty) refuse(path, "is empty; leave it out for an answer of any form");
}

AnswerFormat with_text(Fields& fields, Kind kind, std::string_view name) {
  return {.kind = kind, .param = fields.path(name), .text = *fields.text(name, kMostTextBytes)};
}

AnswerFormat with_choices(Fields& fields, std::string_view name) {
  AnswerFormat format{.kind = Kind::choice, .param = fields.path(name)};
  const Json* list = fields.array(name, static_cast<size_t>(kMaxChoices));
  if (list->empty()) refuse(format.param, "expected at least one text, got none");
  for (const Json& one : *list) {
    if (!one.is_string()) {
      refuse(format.param, fmt::format("expected a list of texts, got {}", describe(one)));
    }
    format.choices.push_back(one.get<std::string>());
  }
  return format;
}

// The whole of a response_format, or its text.
AnswerFormat with_tag(const Json& value, std::string path) {
  AnswerFormat format{.kind = Kind::structural_tag, .param = std::move(path)};
  format.schema = schema_of(format.options.numbers, value, format.param);
  return format;
}

AnswerFormat read_response_format(const Json& value) {
  Fields fields(value, "response_format");
  const auto type = fields.text("type", 64);
  if (!type) {
    refuse("response_format.type",
           "is missing; expected \"text\", \"json_object\", \"json_schema\" or \"structural_tag\"");
  }
  if (*type == "text") return {};
  if (*type == "structural_tag") return with_tag(value, "response_format");
  if (*type == "json_object") {
    if (const Json* schema = fields.value("schema")) {
      return with_schema(*schema, fields.path("schema"));
    }
    return {.kind = Kind::json_object, .param = "response_format"};
  }
  if (*type != "json_schema") {
    refuse("response_format.type",
           fmt::format(
               "expected \"text\", \"json_object\", \"json_schema\" or \"structural_tag\", got "
               "\"{}\"",
               quote_for_message(*type)));
  }
  const Json* named = fields.object("json_schema");
  if (named == nullptr) {
    const Json* schema = fields.value("schema");
    if (schema == nullptr) refuse("response_format.json_schema", "is missing");
    return with_schema(*schema, fields.path("schema"));
  }
  Fields inner(*named, fields.path("json_schema"));
  inner.text("name", 256);
  inner.text("description", kMostTextBytes);
  inner.boolean("strict");  // it is kept exactly either way
  const Json* schema = inner.value("schema");
  if (schema == nullptr) refuse(inner.path("schema"), "is missing");
  return with_schema(*schema, inner.path("schema"));
}

// The names that say it in a word, in `fields`; `found` takes what is there.
using Found = std::function<void(AnswerFormat)>;

void read_named(Fields& fields,
                Kind kind,
                std::initializer_list<std::string_view> names,
                const Found& found) {
  for (const std::string_view name : names) {
    const Json* value = fields.value(name);
    if (value == nullptr) continue;
    refuse_empty(*value, fields.path(name));
    if (kind != Kind::json_schema && !fields.used(name)) continue;
    switch (kind) {
      case Kind::json_schema:
        found(with_schema(*fields.value(name), fields.path(name)));
        break;
      case Kind::choice:
        found(with_choices(fields, name));
        break;
      case Kind::json_object:
        if (*fields.boolean(name)) found({.kind = kind, .param = fields.path(name)});
        break;
      default:
        found(with_text(fields, kind, name));
    }
  }
}

void read_whitespace(Fields& fields, std::string_view name, JsonSchemaOptions& options) {
  options.whitespace_pattern = fields.text(name, 4096);
}

// Of vLLM's StructuredOutputsParams; the last are settings of its own.
constexpr std::array<std::string_view, 14> kStructuredOutputs = {"json",
                                                                 "regex",
                                                                 "choice",
                                                                 "choices",
                                                                 "grammar",
                                                                 "json_object",
                                                                 "structural_tag",
                                                                 "disable_any_whitespace",
                                                                 "disable_additional_properties",
                                                                 "whitespace_pattern",
                                                                 "disable_fallback",
                                                                 "backend",
                                                                 "_backend",
                                                                 "_backend_was_auto"};

// vLLM's. An empty schema is one here: any value.
void read_structured_outputs(const Json& value, const Found& given, JsonSchemaOptions& options) {
  Fields fields(value, "structured_outputs");
  for (const auto& [name, ignored] : value.items()) {
    if (std::ranges::find(kStructuredOutputs, name) == kStructuredOutputs.end()) {
      refuse(fields.path(name),
             "is not known; expected one of json, regex, choice, grammar, structural_tag and "
             "json_object");
    }
  }
  bool any = false;
  const Found found = [&](AnswerFormat format) {
    any = true;
    given(std::move(format));
  };
  if (const Json* tag = fields.value("structural_tag")) {
    refuse_empty(*tag, fields.path("structural_tag"));
    found(with_tag(*tag, fields.path("structural_tag")));
  }
  if (const Json* schema = fields.value("json")) {
    found(with_schema(*schema, fields.path("json")));
  }
  read_named(fields, Kind::regex, {"regex"}, found);
  read_named(fields, Kind::choice, {"choice", "choices"}, found);
  read_named(fields, Kind::gbnf, {"grammar"}, found);
  read_named(fields, Kind::json_object, {"json_object"}, found);
  options.any_whitespace = !fields.boolean("disable_any_whitespace").value_or(false);
  options.open_objects = !fields.boolean("disable_additional_properties").value_or(true);
  read_whitespace(fields, "whitespace_pattern", options);
  const Json* no_object = fields.value("json_object");
  if (!any && no_object == nullptr) {
    refuse("structured_outputs",
           "expected one of json, regex, choice, grammar, structural_tag and json_object");
  }
}

}  // namespace

AnswerFormat read_answer_format(Fields& fields) {
  AnswerFormat format;
  const Found found = [&](AnswerFormat other) {
    if (!other) return;
    if (format) {
      refuse(other.param,
             fmt::format("not together with {}: one answer has one form", format.param));
    }
    format = std::move(other);
  };
  JsonSchemaOptions options;
  if (const Json* value = fields.object("response_format")) found(read_response_format(*value));
  if (const Json* value = fields.object("structured_outputs")) {
    read_structured_outputs(*value, found, options);
  }
  if (fields.used("structural_tag")) {
    found(with_tag(*fields.value("structural_tag"), "structural_tag"));
  }
  read_named(fields, Kind::json_schema, {"guided_json", "json_schema"}, found);
  read_named(fields, Kind::regex, {"guided_regex", "regex"}, found);
  read_named(fields, Kind::choice, {"guided_choice"}, found);
  read_named(fields, Kind::gbnf, {"guided_grammar", "grammar", "ebnf"}, found);
  if (fields.used("guided_whitespace_pattern")) {
    read_whitespace(fields, "guided_whitespace_pattern", options);
  }
  fields.value("guided_decoding_backend");  // there is one
  options.numbers = std::move(format.options.numbers);
  format.options = std::move(options);
  return format;
}

AnswerFormat with_digits(AnswerFormat format, std::string_view body) {
  format.options.numbers.add_for(format.schema, body);
  return format;
}

void check_answer_format(const AnswerFormat& format, const SamplingParams& sampling) {
  if (!format) return;
  if (sampling.ignore_eos) {
    refuse("ignore_eos",
           fmt::format("not together with {}, which says where to end", format.param));
  }
  if (!sampling.allowed_token_ids.empty()) {
    refuse("allowed_token_ids",
           fmt::format("not together with {}: no token might be left", format.param));
  }
}

namespace {

GrammarPtr compile_alone(const AnswerFormat& format, const TokenTrie& trie) {
  switch (format.kind) {
    case Kind::json_schema:
      return compile_json_schema(format.schema, format.options);
    case Kind::json_object:
      return compile_json_object(format.options);
    case Kind::regex:
      return compile_regex(format.text);
    case Kind::choice:
      return compile_choice(format.choices);
    case Kind::gbnf:
      return compile_gbnf(format.text, trie);
    case Kind::structural_tag: {
      GrammarBuilder builder;
      return builder.build(structural_tag_expression(builder, format.schema, trie, format.options));
    }
    case Kind::none:
      break;
  }
  return nullptr;
}

}  // namespace

GrammarPtr compile_answer(const AnswerFormat& format, ModelGrammars& grammars) {
  if (!format) return nullptr;
  try {
    const auto compile = [&]() -> CompiledGrammar {
      GrammarPtr grammar = compile_alone(format, *grammars.trie());
      check_start(grammar, grammars.trie());
      return {std::move(grammar)};
    };
    return grammars.cache().get("answer", source_of(format), "", compile).grammar;
  } catch (const GrammarError& error) {
    refuse_grammar(format.param, error);
  }
}

GrammarBuilder::Expr answer_expression(GrammarBuilder& builder,
                                       const AnswerFormat& format,
                                       const TokenTrie& trie) {
  switch (format.kind) {
    case Kind::json_schema:
      return schema_expression(builder, format.schema, format.options);
    case Kind::json_object:
      return schema_expression(builder, {{"type", "object"}}, format.options);
    case Kind::regex:
      return regex_expression(builder, format.text);
    case Kind::choice:
      return choice_expression(builder, format.choices);
    case Kind::gbnf:
      return gbnf_expression(builder, format.text, trie);
    case Kind::structural_tag:
      return structural_tag_expression(builder, format.schema, trie, format.options);
    case Kind::none:
      break;
  }
  return builder.empty();
}

std::string source_of(const AnswerFormat& format) {
  const JsonSchemaOptions& o = format.options;
  return fmt::format("{}{}{}{}:{}:{}:{}:{}",
                     static_cast<int>(format.kind),
                     o.any_whitespace ? 'w' : '-',
                     o.open_objects ? 'o' : '-',
                     o.whitespace_pattern ? dump_json(Json(*o.whitespace_pattern)) : "",
                     dump_json(format.schema),
                     o.numbers.source(),
                     dump_json(Json(format.choices)),
                     format.text);
}

void refuse_grammar(std::string_view param, const GrammarError& error) {
  ApiError refusal(400, std::string(fault_name(error.fault())), error.what());
  refusal.param = param;
  throw refusal;
}

}  // namespace qwen3::server
