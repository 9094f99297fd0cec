// The syntax of regular expressions. No recursion: open groups lie on a stack of their own.
#include <fmt/format.h>

#include "grammar/limits.h"
#include "grammar/regex_escape.h"
#include "grammar/regex_tree.h"

namespace qwen3 {
namespace {

class RegexParser {
 public:
  RegexParser(std::string_view regex, std::string_view place) : text_(regex, place) {}

  RegexTree run() {
    groups_.emplace_back();
    while (!text_.at_end()) take_one();
    if (groups_.size() > 1) text_.refuse(groups_.back().start, "( without )");
    tree_.root = close_group();
    return std::move(tree_);
  }

 private:
  using Kind = RegexNode::Kind;

  struct Group {
    size_t start = 0;
    std::vector<int32_t> ways;   // the alternatives that are complete
    std::vector<int32_t> parts;  // of the one being read
    bool repeatable = false;     // the last of `parts` may take a quantifier
  };

  void take_one() {
    const size_t start = text_.pos();
    switch (text_.peek()) {
      case '(':
        return open(start);
      case ')':
        if (groups_.size() == 1) text_.refuse(start, ") without (");
        text_.skip(")");
        return add_part(close_group(), true);
      case '|':
        text_.skip("|");
        close_way();
        return;
      case '*':
      case '+':
      case '?':
        return take_quantifier();
      case '{':
        if (begins_quantifier()) return take_quantifier();
        break;
      case '^':
      case '$':
        return add_part(add({text_.take() == '^' ? Kind::at_begin : Kind::at_end, {}, {}, 0, -1}),
                        false);
      default:
        break;
    }
    add_part(add({Kind::set, take_set(start), {}, 0, -1}), true);
  }

  CodePoints take_set(size_t start) {
    if (text_.skip("[")) return take_class(start);
    if (text_.skip(".")) {
      return CodePoints({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}).complement();
    }
    if (text_.skip("\\")) {
      RegexEscape escape = take_escape(text_, false);
      if (escape.is_set) return std::move(escape.set);
      return CodePoints({{escape.character, escape.character}});
    }
    const char32_t c = text_.take();
    return CodePoints({{c, c}});
  }

  RegexEscape take_class_member(size_t start) {
    if (text_.at_end()) text_.refuse(start, "[ without ]");
    if (text_.skip("\\")) return take_escape(text_, true);
    return {false, {}, text_.take()};
  }

  CodePoints take_class(size_t start) {
    const bool negated = text_.skip("^");
    std::vector<CodePoints::Range> ranges;
    const auto include = [&](const RegexEscape& member) {
      if (!member.is_set) {
        ranges.push_back({member.character, member.character});
      } else {
        ranges.insert(ranges.end(), member.set.ranges().begin(), member.set.ranges().end());
      }
    };
    while (!text_.skip("]")) {
      const size_t where = text_.pos();
      const RegexEscape first = take_class_member(start);
      if (text_.peek() != '-' || text_.peek(1) == ']' || text_.peek(1) == '\0') {
        include(first);
        continue;
      }
      text_.skip("-");
      const RegexEscape last = take_class_member(start);
      if (first.is_set || last.is_set) {  // [\w-.]: a hyphen, as ECMA-262 B.1.2 has it
        include(first);
        include({false, {}, '-'});
        include(last);
        continue;
      }
      if (first.character > last.character)
        text_.refuse(where, "a range that ends before it begins");
      ranges.push_back({first.character, last.character});
    }
    CodePoints set(std::move(ranges));
    return negated ? set.complement() : set;
  }

  void open(size_t start) {
    if (std::ssize(groups_) > kMaxRegexDepth) {
      text_.refuse(start, fmt::format("more than {} groups in each other", kMaxRegexDepth));
    }
    text_.skip("(");
    if (text_.skip("?") && !text_.skip(":")) {
      for (const std::string_view look : {"=", "!", "<=", "<!"}) {
        if (text_.skip(look)) text_.refuse(start, "look-ahead and look-behind are not supported");
      }
      if (!text_.skip("<")) text_.refuse(start, "flags and conditions in groups are not supported");
      size_t length = 0;
      for (; !text_.at_end() && text_.peek() != '>'; ++length) text_.take();
      if (length == 0 || !text_.skip(">"))
        text_.refuse(start, "expected the name of a group, as in (?<name>…)");
    }
    groups_.emplace_back();
    groups_.back().start = start;
  }

  bool begins_quantifier() {
    if (text_.peek(1) == ',')
      text_.refuse(text_.pos(), "a repetition without its lower bound; write {0,n}");
    return text_.peek(1) >= '0' && text_.peek(1) <= '9';
  }

  void take_quantifier() {
    const size_t start = text_.pos();
    Group& group = groups_.back();
    if (group.parts.empty() || !group.repeatable) text_.refuse(start, "nothing to repeat");
    RegexNode node{Kind::repeat, {}, {group.parts.back()}, 0, -1};
    const char32_t c = text_.take();
    if (c == '+') node.min = 1;
    if (c == '?') node.max = 1;
    if (c == '{') take_bounds(start, node);
    text_.skip("?");  // lazy: the same texts
    group.parts.back() = add(std::move(node));
    group.repeatable = false;
  }

  void take_bounds(size_t start, RegexNode& node) {
    node.min = text_.take_number();
    node.max = node.min;
    if (text_.skip(",")) node.max = text_.take_number();
    if (!text_.skip("}")) text_.refuse(start, "expected {n}, {n,} or {n,m}");
    if (node.max >= 0 && node.min > node.max)
      text_.refuse(start, "a repetition whose bounds are out of order");
  }

  int32_t add(RegexNode node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<int32_t>(tree_.nodes.size()) - 1;
  }

  void add_part(int32_t node, bool repeatable) {
    groups_.back().parts.push_back(node);
    groups_.back().repeatable = repeatable;
  }

  void close_way() {
    Group& group = groups_.back();
    group.ways.push_back(add({Kind::sequence, {}, std::move(group.parts), 0, -1}));
    group.parts.clear();
    group.repeatable = false;
  }

  int32_t close_group() {
    close_way();
    std::vector<int32_t> ways = std::move(groups_.back().ways);
    groups_.pop_back();
    return ways.size() == 1 ? ways[0] : add({Kind::choice, {}, std::move(ways), 0, -1});
  }

  RegexText text_;
  RegexTree tree_;
  std::vector<Group> groups_;
};

}  // namespace

RegexTree parse_regex(std::string_view regex, std::string_view place) {
  return RegexParser(regex, place).run();
}

}  // namespace qwen3
