// GrammarBuilder: puts a Grammar together from expressions. Each notation (schema, GBNF, tool calls) is a reader
// that calls this.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/text_dfa.h"

namespace qwen3 {

class GrammarBuilder {
 public:
  explicit GrammarBuilder(const GrammarBudget& budget = {});
  ~GrammarBuilder();
  GrammarBuilder(const GrammarBuilder&) = delete;

  enum class Expr : int32_t {};  // of this builder; may be used any number of times
  enum class Rule : int32_t {};

  Expr nothing();                        // matches no text
  Expr empty();                          // matches the empty text
  Expr bytes(std::string_view literal);  // any bytes
  Expr byte_range(uint8_t first, uint8_t last);
  Expr code_points(
      const std::vector<TextDfa::Edge>& ranges);  // one of them, as UTF-8; `to` is ignored
  Expr sequence(std::vector<Expr> parts);
  Expr choice(std::vector<Expr> ways);
  Expr repeat(Expr what,
              int64_t min,
              int64_t max);  // max -1: no limit; else ≤ 2^20, counted and not unrolled
  Expr optional(Expr what) { return repeat(what, 0, 1); }
  Expr token(int32_t id);  // this added token

  // A text of the set, as it stands (raw) or as the inside of a JSON string without its quotes: `"`, `\` and
  // controls by their shortest escape; other code points as they are; lone surrogates never. A set that is
  // universal also takes \/ and \u escapes of printable characters, for the text is not compared with anything.
  enum class TextForm { raw, json };
  Expr text(TextDfa set,
            TextForm form,
            int64_t min_length = 0,
            int64_t max_length = -1);  // in code points

  // Free text (UTF-8) up to and with the first of the triggers that occurs in it, one expression for each trigger;
  // and free text in which none occurs. A trigger that is an added token never occurs in text: there it is
  // sequence({text(TextDfa::all(), TextForm::raw), token(id)}).
  std::vector<Expr> free_text_until(const std::vector<std::string>& triggers);
  Expr free_text_until(std::string_view trigger) {
    return free_text_until(std::vector{std::string(trigger)})[0];
  }
  Expr free_text_without(const std::vector<std::string>& triggers);

  // min to max (-1: no limit) members of a JSON object, `"key" colon value`, with `comma` between two; no key twice.
  // The key sets must be disjoint.
  struct Member {
    TextDfa key;
    Expr value;
  };
  Expr members(std::vector<Member> kinds, Expr colon, Expr comma, int64_t min, int64_t max);

  Rule declare();  // for recursion; must be defined before build
  void define(Rule rule, Expr body);
  Expr call(Rule rule);

  // Checks of the budget that long readers of a source make now and then; throws too_complex.
  void spend(int64_t bytes = 0);

  // Dead parts are removed. GrammarError{unsatisfiable_schema} when nothing is left.
  GrammarPtr build(Expr root);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qwen3
