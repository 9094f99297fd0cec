#include <fmt/format.h>

#include <algorithm>

#include "grammar/gbnf_tree.h"
#include "grammar/grammar_error.h"

namespace qwen3 {
namespace {

class LeftRecursion {
 public:
  LeftRecursion(GbnfTree& tree, std::string_view source) : tree_(tree), source_(source) {}

  void run() {
    for (size_t i = 0; i < tree_.rules.size(); ++i) rewrite(static_cast<int32_t>(i));
    find_nullable();
    colors_.assign(tree_.rules.size(), Color::unseen);
    for (size_t i = 0; i < tree_.rules.size(); ++i) refuse_cycles(static_cast<int32_t>(i));
  }

 private:
  using Kind = GbnfNode::Kind;
  enum class Color : uint8_t { unseen, open, done };

  // The alternatives of a rule; one that is nothing but parentheses counts as those in it.
  std::vector<int32_t> alternatives(int32_t body) const {
    std::vector<int32_t> found, open{body};
    while (!open.empty()) {
      const int32_t id = open.back();
      open.pop_back();
      const GbnfNode& node = tree_.node(id);
      if (node.kind == Kind::choice) {
        open.insert(open.end(), node.parts.rbegin(), node.parts.rend());
      } else if (node.kind == Kind::sequence && node.parts.size() == 1 &&
                 tree_.node(node.parts[0]).kind == Kind::choice) {
        open.push_back(node.parts[0]);
      } else {
        found.push_back(id);
      }
    }
    return found;
  }

  void rewrite(int32_t rule) {
    const int32_t body = tree_.rules[static_cast<size_t>(rule)].body;
    GbnfNode begins, goes_on;
    begins.kind = goes_on.kind = Kind::choice;
    begins.pos = goes_on.pos = tree_.node(body).pos;
    bool recursive = false;
    for (const int32_t id : alternatives(body)) {
      const GbnfNode& way = tree_.node(id);
      const bool itself = !way.parts.empty() && tree_.node(way.parts[0]).kind == Kind::rule &&
                          tree_.node(way.parts[0]).index == rule;
      if (!itself) {
        begins.parts.push_back(id);
        continue;
      }
      recursive = true;
      GbnfNode rest = way;
      rest.parts.erase(rest.parts.begin());
      if (!rest.parts.empty()) goes_on.parts.push_back(tree_.add(std::move(rest)));
    }
    if (!recursive) return;
    GbnfNode repeat, sequence, choice;
    repeat.kind = Kind::repeat;
    choice.kind = Kind::choice;
    repeat.pos = sequence.pos = choice.pos = begins.pos;
    sequence.parts.push_back(tree_.add(std::move(begins)));
    repeat.parts.push_back(tree_.add(std::move(goes_on)));
    sequence.parts.push_back(tree_.add(std::move(repeat)));
    choice.parts.push_back(tree_.add(std::move(sequence)));
    tree_.rules[static_cast<size_t>(rule)].body = tree_.add(std::move(choice));
  }

  void find_nullable() {
    nullable_.assign(tree_.nodes.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = 0; i < tree_.nodes.size(); ++i) {
        if (nullable_[i] || !is_nullable(tree_.nodes[i])) continue;
        nullable_[i] = true;
        changed = true;
      }
    }
  }

  bool is_nullable(const GbnfNode& node) const {
    const auto nullable = [this](int32_t part) { return nullable_[static_cast<size_t>(part)]; };
    switch (node.kind) {
      case Kind::literal:
        return node.text.empty();
      case Kind::rule:
        return nullable(tree_.rules[static_cast<size_t>(node.index)].body);
      case Kind::sequence:
        return std::all_of(node.parts.begin(), node.parts.end(), nullable);
      case Kind::choice:
        return std::any_of(node.parts.begin(), node.parts.end(), nullable);
      case Kind::repeat:
        return node.min == 0 || nullable(node.parts[0]);
      default:
        return false;
    }
  }

  // The rules that can stand at the beginning of `rule`.
  std::vector<int32_t> first_rules(int32_t rule) const {
    std::vector<int32_t> found, open{tree_.rules[static_cast<size_t>(rule)].body};
    while (!open.empty()) {
      const GbnfNode& node = tree_.node(open.back());
      open.pop_back();
      if (node.kind == Kind::rule) found.push_back(node.index);
      for (const int32_t part : node.parts) {
        open.push_back(part);
        if (node.kind == Kind::sequence && !nullable_[static_cast<size_t>(part)]) break;
      }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  // Depth first, with a stack of its own.
  void refuse_cycles(int32_t start) {
    struct Open {
      int32_t rule;
      std::vector<int32_t> next;
    };
    if (color(start) != Color::unseen) return;
    std::vector<Open> path;
    const auto enter = [&](int32_t rule) {
      color(rule) = Color::open;
      path.push_back({rule, first_rules(rule)});
    };
    for (enter(start); !path.empty();) {
      if (path.back().next.empty()) {
        color(path.back().rule) = Color::done;
        path.pop_back();
        continue;
      }
      const int32_t next = path.back().next.back();
      path.back().next.pop_back();
      if (color(next) == Color::unseen)
        enter(next);
      else if (color(next) == Color::open) {
        std::vector<int32_t> cycle;
        for (const Open& open : path) {
          if (!cycle.empty() || open.rule == next) cycle.push_back(open.rule);
        }
        refuse(cycle);
      }
    }
  }

  [[noreturn]] void refuse(const std::vector<int32_t>& cycle) const {
    constexpr size_t kShown = 8;
    std::string names;
    for (size_t i = 0; i < std::min(cycle.size(), kShown); ++i) {
      names += tree_.rules[static_cast<size_t>(cycle[i])].name + " → ";
    }
    if (cycle.size() > kShown) names += "… → ";
    const GbnfRule& first = tree_.rules[static_cast<size_t>(cycle[0])];
    throw GrammarError(
        GrammarFault::invalid_grammar,
        gbnf_place(source_, first.pos),
        fmt::format(
            "left recursion: {}{}; a rule may begin with itself only directly", names, first.name));
  }

  Color& color(int32_t rule) { return colors_[static_cast<size_t>(rule)]; }

  GbnfTree& tree_;
  std::string_view source_;
  std::vector<bool> nullable_;
  std::vector<Color> colors_;
};

}  // namespace

void remove_left_recursion(GbnfTree& tree, std::string_view source) {
  LeftRecursion(tree, source).run();
}

}  // namespace qwen3
