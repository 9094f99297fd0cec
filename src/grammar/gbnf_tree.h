// llama.cpp's GBNF as it is written, rule by rule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/code_points.h"

namespace qwen3 {

struct GbnfNode {
  enum class Kind : uint8_t { literal, set, rule, token, token_id, sequence, choice, repeat };
  Kind kind = Kind::sequence;
  std::string text;  // literal; token: with its angle brackets
  CodePoints set;
  std::vector<int32_t> parts;  // sequence, choice; repeat: one
  int32_t index = 0;           // rule; token_id
  int64_t min = 0, max = -1;   // repeat; max -1: no limit
  size_t pos = 0;              // in the source
};

struct GbnfRule {
  std::string name;
  int32_t body = -1;  // a choice; -1: used and not defined
  size_t pos = 0;     // where it is defined, or first used
};

struct GbnfTree {
  std::vector<GbnfNode> nodes;
  std::vector<GbnfRule> rules;
  int32_t root = -1;

  GbnfNode& node(int32_t id) { return nodes[static_cast<size_t>(id)]; }
  const GbnfNode& node(int32_t id) const { return nodes[static_cast<size_t>(id)]; }
  int32_t add(GbnfNode node) {
    nodes.push_back(std::move(node));
    return static_cast<int32_t>(nodes.size()) - 1;
  }
};

// "line:column" of a byte of the source, as GrammarError::place().
std::string gbnf_place(std::string_view source, size_t pos);

// GrammarError{invalid_grammar, unsupported_grammar, too_complex}.
GbnfTree parse_gbnf(std::string_view source);

// Rewrites rules that begin with themselves, a ::= a "x" | "y" as a ::= "y" "x"*; refuses rules that do so by way
// of others, and names the cycle.
void remove_left_recursion(GbnfTree& tree, std::string_view source);

}  // namespace qwen3
