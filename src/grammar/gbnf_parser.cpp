#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "grammar/gbnf_text.h"
#include "grammar/gbnf_tree.h"
#include "grammar/grammar_error.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

// Line ends mean nothing by themselves: a rule ends where the next one begins, with a name and ::=.
class GbnfParser : GbnfText {
 public:
  using GbnfText::GbnfText;

  GbnfTree run() {
    refuse_other_notations();
    for (skip_blanks(); pos_ < source_.size(); skip_blanks()) take_rule();
    for (const GbnfRule& rule : tree_.rules) {
      if (rule.body < 0) refuse(rule.pos, fmt::format("the rule {} is not defined", rule.name));
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) refuse(0, "expected a rule named root");
    tree_.root = root->second;
    return std::move(tree_);
  }

 private:
  using Kind = GbnfNode::Kind;

  // Lark writes "start: …".
  void refuse_other_notations() {
    skip_blanks();
    const size_t begin = pos_;
    while (is_name(peek()) || peek() == '?' || peek() == '!') ++pos_;
    const bool is_lark = pos_ > begin && peek() == ':' && !source_.substr(pos_).starts_with("::=");
    pos_ = begin;
    if (is_lark || source_.substr(begin).starts_with("%")) {
      throw GrammarError(GrammarFault::unsupported_grammar,
                         gbnf_place(source_, begin),
                         "this looks like Lark, which is not supported; expected GBNF: root ::= …");
    }
  }

  // Whether a name and ::= stand here.
  bool at_rule() {
    const size_t begin = pos_;
    const bool named = !take_name().empty();
    skip_blanks();
    const bool found = named && source_.substr(pos_).starts_with("::=");
    pos_ = begin;
    return found;
  }

  int32_t rule(std::string_view name, size_t pos) {
    const auto [entry, is_new] =
        rules_.try_emplace(std::string(name), static_cast<int32_t>(tree_.rules.size()));
    if (is_new) tree_.rules.push_back({std::string(name), -1, pos});
    return entry->second;
  }

  void take_rule() {
    const size_t begin = pos_;
    if (!at_rule()) refuse(begin, "expected a rule: name ::= …");
    const auto index = static_cast<size_t>(rule(take_name(), begin));
    skip_blanks();
    skip("::=");
    if (tree_.rules[index].body >= 0) {
      refuse(begin, fmt::format("the rule {} is defined twice", tree_.rules[index].name));
    }
    tree_.rules[index].pos = begin;
    const int32_t body = take_choice(0);
    if (peek() == ')') refuse(pos_, ") without (");
    tree_.rules[index].body = body;
  }

  int32_t take_choice(int64_t depth) {
    GbnfNode choice;
    choice.kind = Kind::choice;
    choice.pos = pos_;
    do {
      choice.parts.push_back(take_sequence(depth));
    } while (skip("|"));
    return tree_.add(std::move(choice));
  }

  int32_t take_sequence(int64_t depth) {
    GbnfNode sequence;
    skip_blanks();
    sequence.pos = pos_;
    for (; pos_ < source_.size() && peek() != '|' && peek() != ')' && !at_rule(); skip_blanks()) {
      sequence.parts.push_back(take_repeats(take_element(depth)));
    }
    return tree_.add(std::move(sequence));
  }

  int32_t take_element(int64_t depth) {
    const size_t begin = pos_;
    const char c = peek();
    if (c == '"') return take_literal();
    if (c == '[') return take_class();
    if (c == '<') return take_token();
    if (c == '(') return take_group(depth);
    GbnfNode node;
    node.pos = begin;
    if (skip(".")) {
      node.kind = Kind::set;
      node.set = CodePoints::all();
      return tree_.add(std::move(node));
    }
    if (is_name(c)) {
      node.kind = Kind::rule;
      node.index = rule(take_name(), begin);
      return tree_.add(std::move(node));
    }
    if (c == '*' || c == '+' || c == '?' || c == '{') refuse(begin, "nothing to repeat");
    refuse(begin, "expected \"text\", [characters], a rule, (…) or <token>");
  }

  int32_t take_group(int64_t depth) {
    const size_t begin = pos_;
    if (depth >= kMaxGbnfDepth) {
      throw GrammarError(GrammarFault::too_complex,
                         gbnf_place(source_, begin),
                         fmt::format("more than {} parentheses in each other", kMaxGbnfDepth));
    }
    skip("(");
    const int32_t node = take_choice(depth + 1);
    if (!skip(")")) refuse(begin, "( without )");
    return node;
  }

  int32_t take_repeats(int32_t node) {
    for (int64_t n = 0;;) {
      skip_blanks_of_line();
      GbnfNode repeat;
      repeat.kind = Kind::repeat;
      repeat.pos = pos_;
      repeat.parts = {node};
      if (skip("*")) {
      } else if (skip("+")) {
        repeat.min = 1;
      } else if (skip("?")) {
        repeat.max = 1;
      } else if (peek() == '{') {
        take_bounds(repeat);
      } else {
        return node;
      }
      if (++n > kMaxGbnfDepth) {
        throw GrammarError(GrammarFault::too_complex,
                           gbnf_place(source_, pos_),
                           fmt::format("more than {} repetitions of each other", kMaxGbnfDepth));
      }
      node = tree_.add(std::move(repeat));
    }
  }

  void take_bounds(GbnfNode& repeat) {
    skip("{");
    repeat.min = take_number();
    repeat.max = repeat.min;
    skip_blanks_of_line();
    if (skip(",")) {
      skip_blanks_of_line();
      repeat.max = peek() == '}' ? -1 : take_number();
    }
    skip_blanks_of_line();
    if (!skip("}")) refuse(repeat.pos, "expected {n}, {n,} or {n,m}");
    if (repeat.max >= 0 && repeat.min > repeat.max)
      refuse(repeat.pos, "a repetition whose bounds are out of order");
  }

  int32_t take_literal() {
    GbnfNode node;
    node.kind = Kind::literal;
    node.pos = pos_;
    skip("\"");
    while (!skip("\"")) utf8_append(node.text, take_character(node.pos, '"'));
    return tree_.add(std::move(node));
  }

  int32_t take_class() {
    GbnfNode node;
    node.kind = Kind::set;
    node.pos = pos_;
    skip("[");
    const bool negated = skip("^");
    std::vector<CodePoints::Range> ranges;
    while (!skip("]")) {
      const size_t where = pos_;
      const char32_t first = take_character(node.pos, ']');
      char32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        skip("-");
        last = take_character(node.pos, ']');
      }
      if (first > last) refuse(where, "a range that ends before it begins");
      ranges.push_back({first, last});
    }
    node.set = CodePoints(std::move(ranges));
    if (negated) node.set = node.set.complement();
    if (node.set.empty()) refuse(node.pos, "no character is in this class");
    return tree_.add(std::move(node));
  }

  int32_t take_token() {
    GbnfNode node;
    node.pos = pos_;
    const size_t end = source_.find('>', pos_);
    if (end == std::string_view::npos ||
        source_.substr(pos_, end - pos_).find('\n') != std::string_view::npos) {
      refuse(pos_, "< without >");
    }
    node.text = source_.substr(pos_, end + 1 - pos_);
    node.kind = Kind::token;
    if (skip("<[")) {
      node.kind = Kind::token_id;
      int64_t id = 0;
      for (; peek() >= '0' && peek() <= '9' && id <= INT32_MAX; ++pos_)
        id = id * 10 + (peek() - '0');
      if (pos_ == node.pos + 2 || id > INT32_MAX || !skip("]>"))
        refuse(node.pos, "expected <[the number of a token]>");
      node.index = static_cast<int32_t>(id);
    }
    pos_ = end + 1;
    return tree_.add(std::move(node));
  }

  GbnfTree tree_;
  std::map<std::string, int32_t, std::less<>> rules_;
};

}  // namespace

GbnfTree parse_gbnf(std::string_view source) { return GbnfParser(source).run(); }

}  // namespace qwen3
