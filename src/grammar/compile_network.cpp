// Expressions to nodes, from the end backwards: every expression is compiled in front of the node that follows.
#include <algorithm>
#include <map>
#include <set>

#include "grammar/expressions.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

class NetworkCompiler {
 public:
  NetworkCompiler(Expressions& expressions, Spending& spending)
      : expressions_(expressions), spending_(spending), grammar_(expressions.grammar) {}

  GrammarPtr run(int32_t root) {
    rule_of(root);
    for (size_t i = 0; i < sources_.size(); ++i) {
      const int32_t entry = compile_body(sources_[i], kEnd);
      grammar_.rules[i].entry = entry;
    }
    classify_bytes(grammar_);
    spending_.spend(0);
    if (!rank_rules(grammar_)) {
      throw GrammarError(GrammarFault::invalid_grammar,
                         "",
                         "a rule calls itself before anything else: nothing would ever be read");
    }
    spending_.spend(0);
    if (grammar_.bytes() > kMaxNetworkBytes) {
      throw GrammarError(GrammarFault::too_complex, "", "too large when it is compiled");
    }
    return std::make_shared<const Grammar>(std::move(grammar_));
  }

 private:
  static constexpr int32_t kEnd = 0;
  using Kind = Expression::Kind;

  // An expression as a rule, compiled later.
  int32_t rule_of(int32_t id) {
    const auto [entry, is_new] = rules_.try_emplace(id, static_cast<int32_t>(sources_.size()));
    if (is_new) {
      sources_.push_back(id);
      NetworkRule rule;
      rule.nullable = expressions_.at(id).nullable;
      grammar_.rules.push_back(rule);
    }
    return entry->second;
  }

  int32_t add(const Node& node) {
    const auto [entry, is_new] =
        nodes_.try_emplace(node, static_cast<int32_t>(grammar_.nodes.size()));
    if (is_new) {
      spending_.spend(static_cast<int64_t>(3 * sizeof(Node)));
      grammar_.nodes.push_back(node);
    }
    return entry->second;
  }

  // REQUIRES: productive.
  int32_t compile(int32_t id, int32_t next) {
    const Expression& e = expressions_.at(id);
    if (e.kind == Kind::call)
      return call(rule_of(expressions_.bodies[static_cast<size_t>(e.index)]), next);
    const bool is_large = !e.parts.empty() || e.kind == Kind::text;
    if (e.n_uses > 1 && is_large) return call(rule_of(id), next);
    return compile_body(id, next);
  }

  int32_t call(int32_t rule, int32_t next) { return add({Node::Kind::call, next, rule, 0}); }

  int32_t compile_body(int32_t id, int32_t next) {
    const Expression& e = expressions_.at(id);
    switch (e.kind) {
      case Kind::nothing:
      case Kind::empty:
        return next;
      case Kind::literal:
        return literal(e.literal, next);
      case Kind::byte_set:
        return byte_set(e.byte_set, next);
      case Kind::sequence:
        for (size_t i = e.parts.size(); i-- > 0;) next = compile(e.parts[i], next);
        return next;
      case Kind::choice:
        return choice(e, next);
      case Kind::repeat:
        return repeat(e, next);
      case Kind::text:
        return add({Node::Kind::text, next, e.index, 0});
      case Kind::token:
        return add({Node::Kind::token, next, e.index, 0});
      case Kind::members:
        return members(e, next);
      case Kind::call:
        return compile(id, next);
    }
    return next;
  }

  int32_t literal(std::string_view text, int32_t next) {
    if (text.empty()) return next;
    const auto [entry, is_new] =
        literals_.try_emplace(std::string(text), static_cast<int32_t>(grammar_.literals.size()));
    if (is_new) {
      spending_.spend(2 * std::ssize(text) + 64);
      grammar_.literals += text;
    }
    return add({Node::Kind::literal, next, entry->second, static_cast<int32_t>(text.size())});
  }

  int32_t byte_set(const std::bitset<256>& set, int32_t next) {
    const auto found = std::find(grammar_.byte_sets.begin(), grammar_.byte_sets.end(), set);
    const auto index = static_cast<int32_t>(found - grammar_.byte_sets.begin());
    if (found == grammar_.byte_sets.end()) grammar_.byte_sets.push_back(set);
    return add({Node::Kind::bytes, next, index, 0});
  }

  int32_t split(std::vector<int32_t> ways) {
    std::sort(ways.begin(), ways.end());
    ways.erase(std::unique(ways.begin(), ways.end()), ways.end());
    if (ways.size() == 1) return ways[0];
    const auto [entry, is_new] =
        splits_.try_emplace(ways, static_cast<int32_t>(grammar_.targets.size()));
    if (is_new) {
      spending_.spend(8 * std::ssize(ways) + 64);
      grammar_.targets.insert(grammar_.targets.end(), ways.begin(), ways.end());
    }
    return add({Node::Kind::split, 0, entry->second, static_cast<int32_t>(ways.size())});
  }

  int32_t choice(const Expression& e, int32_t next) {
    std::vector<int32_t> ways;
    std::set<std::string_view> literals;
    for (const int32_t part : e.parts) {
      const Expression& way = expressions_.at(part);
      if (!way.productive) continue;
      if (way.kind == Kind::literal || way.kind == Kind::empty) {
        literals.insert(way.literal);
      } else {
        ways.push_back(compile(part, next));
      }
    }
    if (!literals.empty()) {
      ways.push_back(literal_tree({literals.begin(), literals.end()}, next));
    }
    return split(std::move(ways));
  }

  // One of the texts, which are sorted and differ: a tree, so that few items are alive at a time.
  int32_t literal_tree(const std::vector<std::string_view>& texts, int32_t next) {
    // Open branches, the deepest last: how much all texts of a branch share, and the nodes behind that.
    struct Branch {
      size_t depth;
      std::vector<int32_t> ways;
    };
    std::vector<Branch> open{{0, {}}};
    for (size_t i = 0; i < texts.size(); ++i) {
      size_t common = 0;  // with the next text
      if (i + 1 < texts.size()) {
        const std::string_view a = texts[i], b = texts[i + 1];
        while (common < a.size() && common < b.size() && a[common] == b[common]) ++common;
      }
      if (common > open.back().depth) open.push_back({common, {}});
      open.back().ways.push_back(literal(texts[i].substr(open.back().depth), next));
      while (open.back().depth > common) {
        const Branch done = std::move(open.back());
        open.pop_back();
        const size_t to = std::max(common, open.back().depth);
        const int32_t way = literal(texts[i].substr(to, done.depth - to), split(done.ways));
        if (to > open.back().depth) open.push_back({to, {}});
        open.back().ways.push_back(way);
      }
    }
    return split(std::move(open.front().ways));
  }

  int32_t repeat(const Expression& e, int32_t next) {
    const int32_t what = e.parts[0];
    if (e.max == 0 || !expressions_.at(what).productive) return next;
    const int64_t min = expressions_.at(what).nullable ? 0 : e.min;
    if (e.max == 1) {
      const int32_t body = compile(what, next);
      return min == 1 ? body : split({body, next});
    }
    if (e.max < 0 && min <= 1) {
      // A split of its own, for it leads back to itself.
      const auto loop = static_cast<int32_t>(grammar_.nodes.size());
      grammar_.nodes.push_back({});
      const int32_t body = compile(what, loop);
      grammar_.nodes[static_cast<size_t>(loop)] = {
          Node::Kind::split, 0, static_cast<int32_t>(grammar_.targets.size()), 2};
      grammar_.targets.insert(grammar_.targets.end(), {body, next});
      return min == 1 ? body : loop;
    }
    spending_.spend(32);
    grammar_.repeats.push_back({rule_of(what), min, e.max});
    return add({Node::Kind::repeat, next, static_cast<int32_t>(grammar_.repeats.size()) - 1, 0});
  }

  int32_t members(const Expression& e, int32_t next) {
    // Each place where the expression stands is one object of the network.
    const auto index = static_cast<int32_t>(e.index);
    NetworkMembers& object = grammar_.members[static_cast<size_t>(index)];
    object.next = next;
    if (object.max > 0) {
      object.colon = rule_of(e.parts[0]);
      object.comma = object.max > 1 ? rule_of(e.parts[1]) : object.colon;
      object.open_node = add({Node::Kind::key_open, 0, index, 0});
      object.end_node = add({Node::Kind::member_end, next, index, 0});
      for (size_t i = 0; i < object.kinds.size(); ++i) {
        const auto kind = static_cast<int32_t>(i);
        object.kinds[i].key_node = add({Node::Kind::key, 0, index, kind});
        object.kinds[i].value_node = add({Node::Kind::key_value, 0, index, kind});
        object.kinds[i].value = rule_of(e.parts[i + 2]);
      }
    }
    return add({Node::Kind::members, next, index, 0});
  }

  Expressions& expressions_;
  Spending& spending_;
  Grammar& grammar_;
  std::vector<int32_t> sources_;  // of the rules: expressions
  std::map<int32_t, int32_t> rules_;
  std::map<Node, int32_t> nodes_;
  std::map<std::string, int32_t> literals_;
  std::map<std::vector<int32_t>, int32_t> splits_;
};

}  // namespace

GrammarPtr compile_network(Expressions& expressions, int32_t root, Spending& spending) {
  return NetworkCompiler(expressions, spending).run(root);
}

}  // namespace qwen3
