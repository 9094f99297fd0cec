// AnswerFormat: the form in which a request wants its answer, by whichever of its names: OpenAI's
// response_format, vLLM's structured_outputs and guided_*, llama.cpp's grammar and json_schema, SGLang's regex,
// ebnf and structural_tag. One of them at most.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "grammar/grammar_builder.h"
#include "qwen3/request.h"
#include "server/api/fields.h"
#include "server/api/model_grammars.h"

namespace qwen3::server {

struct AnswerFormat {
  enum class Kind { none, json_schema, json_object, regex, choice, gbnf, structural_tag };

  Kind kind = Kind::none;
  std::string param = {};  // the field: "response_format.json_schema.schema"
  Json schema = nullptr;   // or the structural tag
  std::string text = {};   // a regular expression, or GBNF
  std::vector<std::string> choices = {};
  JsonSchemaOptions options = {};

  explicit operator bool() const { return kind != Kind::none; }
};

AnswerFormat read_answer_format(Fields& fields);

// With the digits of its schema's numbers, which stand in the body of the request.
AnswerFormat with_digits(AnswerFormat format, std::string_view body);

// Refuses what cannot be kept beside a format.
void check_answer_format(const AnswerFormat& format, const SamplingParams& sampling);

// Of the whole answer; null without a format. Refuses, with the field, what is none or is not enforced.
GrammarPtr compile_answer(const AnswerFormat& format, ModelGrammars& grammars);

// The same as a part of a larger grammar. REQUIRES: a format. Throws GrammarError.
GrammarBuilder::Expr answer_expression(GrammarBuilder& builder,
                                       const AnswerFormat& format,
                                       const TokenTrie& trie);

// Everything about it that decides its grammar.
std::string source_of(const AnswerFormat& format);

// 400 in the grammar's words: {"param": …, "code": "unsupported_schema", "message": "/properties/a: …"}.
[[noreturn]] void refuse_grammar(std::string_view param, const GrammarError& error);

}  // namespace qwen3::server
