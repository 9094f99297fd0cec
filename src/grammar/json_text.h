// JsonText: how JSON is spelled in a grammar: marks with the blanks that may stand beside them, and values of
// which nothing is asked.
#pragma once

#include <optional>
#include <string>

#include "grammar/grammar.h"
#include "grammar/grammar_builder.h"

namespace qwen3 {

class JsonText {
 public:
  using Expr = GrammarBuilder::Expr;

  // Throws GrammarError{invalid_regex} for a whitespace pattern that also matches what is no JSON whitespace.
  JsonText(GrammarBuilder& builder, const JsonSchemaOptions& options);

  // Blanks stand behind `{ [ , :` and before `} ]`, once in an empty pair of brackets.
  Expr open_object() const { return open_object_; }    // without the blanks behind it
  Expr close_object() const { return close_object_; }  // with those before it
  Expr open_array() const { return open_array_; }
  Expr close_array() const { return close_array_; }
  Expr blanks() const { return blanks_; }
  Expr comma() const { return comma_; }
  Expr colon() const { return colon_; }
  Expr key(const std::string& name) const;  // in quotes
  Expr quoted(Expr inside) const;
  // Numbers: every one with an exponent too; of a set, by the automaton of its spellings.
  Expr any_number() const;
  Expr numbers(TextDfa spellings) const;

 private:
  GrammarBuilder& builder_;
  Expr blanks_, open_object_, close_object_, open_array_, close_array_, comma_, colon_;
};

}  // namespace qwen3
