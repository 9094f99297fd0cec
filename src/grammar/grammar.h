// Grammar: a language of answers, compiled, and how a request is held to it.
//
//   schema, regex, choices, GBNF ── compile ──> Grammar (immutable, shared)
//   Grammar + TokenTrie (of the model, once) ── start ──> TokenConstraint (of one answer)
//
// Exact or refused: what compiles means what its source says, and what cannot is a GrammarError.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "grammar/exact_numbers.h"
#include "grammar/grammar_error.h"
#include "grammar/token_trie.h"
#include "qwen3/constraint.h"

namespace qwen3 {

class Grammar;  // network.h
using GrammarPtr = std::shared_ptr<const Grammar>;

// What compiling may cost, in time of the thread's processor; beyond: GrammarFault::too_complex.
struct GrammarBudget {
  std::chrono::milliseconds time{300};
  int64_t bytes = 64 << 20;
};

struct JsonSchemaOptions {
  // Blanks behind { [ , : and before } ]: none, one space, or one newline and at most 20 blanks.
  bool any_whitespace = true;                          // false: none at all
  std::optional<std::string> whitespace_pattern = {};  // a regular expression instead
  // An object whose schema has `properties` and says nothing of others holds no others; true: it may, as
  // JSON Schema says.
  bool open_objects = false;
  // Of the text that the schema was read from; without them a number is the shortest one that is read as its double.
  ExactNumbers numbers = {};
};

// Of a parsed JSON Schema (draft-04 to 2020-12; `$schema` decides, absent: 2020-12), or true or false.
GrammarPtr compile_json_schema(const Json& schema,
                               const JsonSchemaOptions& options = {},
                               const GrammarBudget& budget = {});
GrammarPtr compile_json_object(const JsonSchemaOptions& options = {});  // any JSON object
GrammarPtr compile_regex(std::string_view regex,
                         const GrammarBudget& budget = {});  // the whole answer
GrammarPtr compile_choice(const std::vector<std::string>& choices,
                          const GrammarBudget& budget = {});
// llama.cpp's GBNF, from its rule `root`. `trie`: the tokens that <name> may name.
GrammarPtr compile_gbnf(std::string_view text,
                        const TokenTrie& trie,
                        const GrammarBudget& budget = {});

class GrammarConstraint : public TokenConstraint {
 public:
  // In so many more bytes, and as many tokens, the answer can be whole (shortest_endings.h).
  virtual int64_t bytes_to_end() = 0;

  // From the next fill() on, an answer that can be whole in n_tokens more stays one. -1, as at first: it has as many as
  // it wants.
  virtual void close_within(int64_t n_tokens) = 0;
};

// One answer held to the grammar from its first token on.
std::unique_ptr<GrammarConstraint> start_grammar(GrammarPtr grammar,
                                                 std::shared_ptr<const TokenTrie> trie);

// Works out what an answer may begin with, as the engine will: GrammarError{too_complex} where that costs too much.
void check_start(const GrammarPtr& grammar, const std::shared_ptr<const TokenTrie>& trie);

// Whether the whole text belongs to the language; for tests and for text that is to be continued.
enum class Membership { no, beginning, whole };
Membership match_bytes(const Grammar& grammar, std::string_view bytes);

}  // namespace qwen3
