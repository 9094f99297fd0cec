// Notations as parts of a larger grammar: what a structural tag holds, and the answer beside calls of tools. (A JSON
// Schema: schema.h.) They throw GrammarError, whose place is as of the whole notation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar_builder.h"

namespace qwen3 {

// The texts that the regular expression matches whole; invalid_regex if there is none.
GrammarBuilder::Expr regex_expression(GrammarBuilder& builder, std::string_view regex);

// One of the texts.
GrammarBuilder::Expr choice_expression(GrammarBuilder& builder,
                                       const std::vector<std::string>& choices);

// llama.cpp's GBNF, from its rule `root`.
GrammarBuilder::Expr gbnf_expression(GrammarBuilder& builder,
                                     std::string_view text,
                                     const TokenTrie& trie);

// A structural tag of xgrammar, as vLLM and SGLang take it (docs/structured-output.md). Places are JSON pointers.
//
//   {"structures": [{"begin", "schema", "end"}], "triggers": [text]}    free text, and tags in it
//   {"format": {"type": "sequence" | "tag" | "triggered_tags" | …}}     formats within formats
GrammarBuilder::Expr structural_tag_expression(GrammarBuilder& builder,
                                               const Json& tag,
                                               const TokenTrie& trie,
                                               const JsonSchemaOptions& options = {});

}  // namespace qwen3
