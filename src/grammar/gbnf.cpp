// GBNF to a Grammar. A repetition of something regular becomes one text: inside of it a mask is quickly made.
#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "grammar/gbnf_tree.h"
#include "grammar/grammar_builder.h"
#include "grammar/limits.h"
#include "grammar/notations.h"
#include "grammar/regex.h"
#include "grammar/regex_tree.h"

namespace qwen3 {
namespace {

using Builder = GrammarBuilder;

// Larger regular parts stay as they are: automata that are made for nothing take time.
constexpr size_t kMaxRegularNodes = 200;
constexpr int kMaxRegularDepth = 40;
constexpr int64_t kMaxRegularRepeat = 20;
constexpr int64_t kMaxRegularWork = 1 << 17;  // below a millisecond

// Of Qwen3: the engine allows them where the answer may end, and nowhere else.
constexpr std::string_view kEndTokens[] = {"<|im_end|>", "<|endoftext|>"};

class GbnfReader {
 public:
  GbnfReader(Builder& builder, std::string_view source, const TokenTrie& trie)
      : source_(source), trie_(trie), builder_(builder), tree_(parse_gbnf(source)) {
    builder_.spend();
    remove_left_recursion(tree_, source);
    builder_.spend();
  }

  Builder::Expr run() {
    for (size_t i = 0; i < tree_.rules.size(); ++i) rules_.push_back(builder_.declare());
    for (size_t i = 0; i < tree_.rules.size(); ++i) {
      builder_.define(rules_[i], expression(tree_.rules[i].body));
    }
    return builder_.call(rules_[static_cast<size_t>(tree_.root)]);
  }

 private:
  using Kind = GbnfNode::Kind;

  // The depth of the tree is bounded by kMaxGbnfDepth.
  Builder::Expr expression(int32_t id) {
    const GbnfNode& node = tree_.node(id);
    switch (node.kind) {
      case Kind::literal:
        return builder_.bytes(node.text);
      case Kind::set:
        return characters(node.set);
      case Kind::rule:
        return builder_.call(rules_[static_cast<size_t>(node.index)]);
      case Kind::token:
      case Kind::token_id:
        return token(node);
      case Kind::sequence:
        return builder_.sequence(expressions(node));
      case Kind::choice:
        return builder_.choice(expressions(node));
      case Kind::repeat: {
        if (node.max < 0 && node.min <= 1) {
          if (const auto text = regular_text(id)) return *text;
        }
        return builder_.repeat(expression(node.parts[0]), node.min, node.max);
      }
    }
    return builder_.nothing();
  }

  std::vector<Builder::Expr> expressions(const GbnfNode& node) {
    std::vector<Builder::Expr> parts;
    for (const int32_t part : std::vector<int32_t>(node.parts)) parts.push_back(expression(part));
    return parts;
  }

  Builder::Expr characters(const CodePoints& set) {
    std::vector<TextDfa::Edge> ranges;
    for (const auto& range : set.ranges()) ranges.push_back({range.first, range.last, 0});
    return builder_.code_points(ranges);
  }

  [[noreturn]] void refuse(const GbnfNode& node, const std::string& message) const {
    throw GrammarError(GrammarFault::invalid_grammar, gbnf_place(source_, node.pos), message);
  }

  Builder::Expr token(const GbnfNode& node) {
    int32_t id = node.index;
    if (node.kind == Kind::token) {
      const auto found = trie_.added_token(node.text);
      if (!found) refuse(node, fmt::format("{} is no added token of the model", node.text));
      id = *found;
    } else if (trie_.added_token(trie_.bytes(id)) != id) {
      refuse(node, fmt::format("<[{}]> is no added token of the model", id));
    }
    for (const std::string_view end : kEndTokens) {
      if (trie_.bytes(id) == end)
        refuse(node, fmt::format("{} ends the answer; a grammar cannot name it", end));
    }
    return builder_.token(id);
  }

  // Without recursion, tokens and long counts: the node as one automaton.
  std::optional<Builder::Expr> regular_text(int32_t id) {
    RegexTree tree;
    tree.root = regular(id, tree, 0);
    if (tree.root < 0) return std::nullopt;
    builder_.spend();
    try {
      return builder_.text(tree_nfa(tree, RegexMatch::whole).determinize(kMaxRegularWork),
                           Builder::TextForm::raw);
    } catch (const GrammarError& e) {
      if (e.fault() != GrammarFault::too_complex) throw;
      builder_.spend();  // if it is the budget that is spent, this throws too
      return std::nullopt;
    }
  }

  // Adds the node to `tree`; -1 if it cannot be.
  int32_t regular(int32_t id, RegexTree& tree, int depth) {
    const GbnfNode& node = tree_.node(id);
    if (depth > kMaxRegularDepth) return -1;
    RegexNode made;
    std::vector<int32_t> parts = node.parts;
    switch (node.kind) {
      case Kind::literal:
        return regular_literal(node.text, tree);
      case Kind::set:
        made.kind = RegexNode::Kind::set;
        made.set = node.set;
        break;
      case Kind::rule:
        return regular(tree_.rules[static_cast<size_t>(node.index)].body, tree, depth + 1);
      case Kind::sequence:
        made.kind = RegexNode::Kind::sequence;
        break;
      case Kind::choice:
        made.kind = RegexNode::Kind::choice;
        break;
      case Kind::repeat:
        if (std::max(node.min, node.max) > kMaxRegularRepeat) return -1;
        made.kind = RegexNode::Kind::repeat;
        made.min = node.min;
        made.max = node.max;
        break;
      default:
        return -1;
    }
    for (const int32_t part : parts) {
      made.parts.push_back(regular(part, tree, depth + 1));
      if (made.parts.back() < 0) return -1;
    }
    if (tree.nodes.size() >= kMaxRegularNodes) return -1;
    tree.nodes.push_back(std::move(made));
    return static_cast<int32_t>(tree.nodes.size()) - 1;
  }

  static int32_t regular_literal(std::string_view text, RegexTree& tree) {
    RegexNode sequence;
    sequence.kind = RegexNode::Kind::sequence;
    for (size_t pos = 0; pos < text.size();) {
      const char32_t c = utf8_decode(text, pos);
      RegexNode node;
      node.kind = RegexNode::Kind::set;
      node.set = CodePoints({{c, c}});
      sequence.parts.push_back(static_cast<int32_t>(tree.nodes.size()));
      tree.nodes.push_back(std::move(node));
      if (tree.nodes.size() >= kMaxRegularNodes) return -1;
    }
    tree.nodes.push_back(std::move(sequence));
    return static_cast<int32_t>(tree.nodes.size()) - 1;
  }

  std::string_view source_;
  const TokenTrie& trie_;
  Builder& builder_;
  GbnfTree tree_;
  std::vector<Builder::Rule> rules_;
};

}  // namespace

Builder::Expr gbnf_expression(Builder& builder, std::string_view text, const TokenTrie& trie) {
  return GbnfReader(builder, text, trie).run();
}

GrammarPtr compile_gbnf(std::string_view text, const TokenTrie& trie, const GrammarBudget& budget) {
  GrammarBuilder builder(budget);
  const Builder::Expr root = gbnf_expression(builder, text, trie);
  try {
    return builder.build(root);
  } catch (const GrammarError& e) {
    if (e.fault() != GrammarFault::unsatisfiable_schema) throw;
    throw GrammarError(GrammarFault::invalid_grammar, "", "no text matches this grammar");
  }
}

}  // namespace qwen3
