// Expressions: what a GrammarBuilder has been told, before it is a network.
#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/grammar_builder.h"
#include "grammar/network.h"

namespace qwen3 {

// Holds a compilation to its budget. Time is that of the thread's processor: a busy machine refuses nothing.
class Spending {
 public:
  explicit Spending(const GrammarBudget& budget);
  void spend(int64_t bytes);  // GrammarError{too_complex}

 private:
  const GrammarBudget budget_;
  const std::chrono::nanoseconds begin_;
  int64_t bytes_ = 0;
  int64_t n_calls_ = 0;
};

struct Expression {
  enum class Kind : uint8_t {
    nothing,
    empty,
    literal,
    byte_set,
    sequence,
    choice,
    repeat,
    text,
    token,
    members,
    call
  };
  Kind kind = Kind::nothing;
  std::vector<int32_t>
      parts;  // sequence, choice; repeat: one; members: colon, comma, then the values
  std::string literal;
  std::bitset<256> byte_set;
  int32_t index = 0;         // text, members: in the grammar; token: id; call: rule
  int64_t min = 0, max = 0;  // repeat, members
  int32_t depth = 0;
  int32_t n_uses = 0;
  bool productive = false;  // matches some text
  bool nullable = false;    // matches the empty text
};

struct Expressions {
  std::vector<Expression> all;
  std::vector<int32_t> bodies;  // by rule; -1 while undefined
  Grammar grammar;              // texts and members, to which the network is added

  Expression& at(int32_t id) { return all[static_cast<size_t>(id)]; }
};

// Finds `productive` and `nullable`, and drops what cannot match: members whose value is nothing.
void analyze(Expressions& expressions, Spending& spending);

// The network of `root`, which is productive.
GrammarPtr compile_network(Expressions& expressions, int32_t root, Spending& spending);

}  // namespace qwen3
