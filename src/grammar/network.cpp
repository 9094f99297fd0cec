#include "grammar/network.h"

#include <algorithm>
#include <map>
#include <set>

namespace qwen3 {
namespace {

// The rules that may be called before the first byte of `rule`.
std::vector<int32_t> first_calls(const Grammar& grammar, int32_t rule, std::vector<int32_t>& seen) {
  std::vector<int32_t> calls;
  std::vector<int32_t> open{grammar.rules[static_cast<size_t>(rule)].entry};
  while (!open.empty()) {
    const int32_t id = open.back();
    open.pop_back();
    if (seen[static_cast<size_t>(id)] == rule) continue;
    seen[static_cast<size_t>(id)] = rule;
    const Node& node = grammar.node(id);
    const auto arg = static_cast<size_t>(node.arg);
    switch (node.kind) {
      case Node::Kind::split:
        for (int32_t i = 0; i < node.arg2; ++i)
          open.push_back(grammar.targets[arg + static_cast<size_t>(i)]);
        break;
      case Node::Kind::call:
        calls.push_back(node.arg);
        if (grammar.rules[arg].nullable) open.push_back(node.next);
        break;
      case Node::Kind::repeat:
        calls.push_back(grammar.repeats[arg].rule);
        if (grammar.repeats[arg].min == 0) open.push_back(node.next);
        break;
      case Node::Kind::text: {
        const NetworkText& text = grammar.texts[arg];
        if (text.dfa.accepts(0) && (!text.lengths || text.lengths->may_end_now(0)))
          open.push_back(node.next);
        break;
      }
      case Node::Kind::members:
        if (grammar.members[arg].min == 0) open.push_back(node.next);
        break;
      default:
        break;
    }
  }
  return calls;
}

void refine(Grammar& grammar, const std::bitset<256>& set) {
  std::map<std::pair<int, bool>, int32_t> ids;
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto key = std::pair(int{grammar.byte_class[byte]}, set[byte]);
    const int32_t id = ids.try_emplace(key, static_cast<int32_t>(ids.size())).first->second;
    grammar.byte_class[byte] = static_cast<uint8_t>(id);
  }
  grammar.n_classes = static_cast<int32_t>(ids.size());
}

}  // namespace

bool NetworkText::can_go_on(int32_t state, int64_t length) const {
  for (const ByteDfa::Edge& edge : dfa.edges(state)) {
    if (!lengths) return true;
    // Sequences and escapes are short, so this is no deep recursion.
    if (dfa.between_code_points(edge.to) ? lengths->can_end(edge.to, lengths->counted(length + 1))
                                         : can_go_on(edge.to, length)) {
      return true;
    }
  }
  return false;
}

int64_t Grammar::bytes() const {
  int64_t sum = std::ssize(nodes) * static_cast<int64_t>(sizeof(Node)) + std::ssize(literals) +
                std::ssize(byte_sets) * 32 + std::ssize(targets) * 4 + std::ssize(rules) * 12 +
                std::ssize(repeats) * 24 + static_cast<int64_t>(sizeof(Grammar));
  for (const NetworkText& text : texts) {
    sum += static_cast<int64_t>(sizeof text) + text.dfa.bytes() +
           (text.lengths ? text.lengths->bytes() : 0);
  }
  for (const NetworkMembers& object : members) {
    sum += static_cast<int64_t>(sizeof object);
    for (const auto& kind : object.kinds) {
      sum += static_cast<int64_t>(sizeof kind) + kind.key.bytes() + std::ssize(kind.n_keys) * 8;
    }
  }
  return sum;
}

std::vector<int64_t> count_texts(const ByteDfa& dfa) {
  const auto n = static_cast<size_t>(dfa.n_states());
  std::vector<int64_t> count(n, NetworkMembers::kUnlimited);
  std::vector<std::vector<int32_t>> sources(n);
  std::vector<size_t> n_open(n);  // edges whose target is not counted yet
  std::vector<int32_t> ready;
  for (size_t i = 0; i < n; ++i) {
    const auto edges = dfa.edges(static_cast<int32_t>(i));
    n_open[i] = edges.size();
    for (const auto& edge : edges)
      sources[static_cast<size_t>(edge.to)].push_back(static_cast<int32_t>(i));
    if (edges.empty()) ready.push_back(static_cast<int32_t>(i));
  }
  // From the ends backwards; what lies on a cycle, or before one, is never ready.
  while (!ready.empty()) {
    const int32_t state = ready.back();
    ready.pop_back();
    int64_t sum = dfa.accepts(state) ? 1 : 0;
    for (const auto& edge : dfa.edges(state)) {
      sum += (edge.last - edge.first + 1) * count[static_cast<size_t>(edge.to)];
      sum = std::min(sum, NetworkMembers::kUnlimited);
    }
    count[static_cast<size_t>(state)] = sum;
    for (const int32_t source : sources[static_cast<size_t>(state)]) {
      if (--n_open[static_cast<size_t>(source)] == 0) ready.push_back(source);
    }
  }
  return count;
}

void classify_bytes(Grammar& grammar) {
  std::set<std::pair<uint8_t, uint8_t>> ranges;
  const auto add = [&ranges](const ByteDfa& dfa) {
    for (const auto& edge : dfa.all_edges()) ranges.insert({edge.first, edge.last});
  };
  for (const char c : grammar.literals)
    ranges.insert({static_cast<uint8_t>(c), static_cast<uint8_t>(c)});
  for (const NetworkText& text : grammar.texts) add(text.dfa);
  for (const NetworkMembers& object : grammar.members) {
    ranges.insert({'"', '"'});
    for (const auto& kind : object.kinds) add(kind.key);
  }
  grammar.byte_class.fill(0);
  grammar.n_classes = 1;
  for (const auto& [first, last] : ranges) {
    std::bitset<256> set;
    for (size_t byte = first; byte <= last; ++byte) set.set(byte);
    refine(grammar, set);
  }
  for (const auto& set : grammar.byte_sets) refine(grammar, set);
}

bool rank_rules(Grammar& grammar) {
  const size_t n = grammar.rules.size();
  std::vector<int32_t> seen(grammar.nodes.size(), -1);
  std::vector<std::vector<int32_t>> calls(n);
  std::vector<size_t> n_callers(n, 0);
  for (size_t i = 0; i < n; ++i) {
    calls[i] = first_calls(grammar, static_cast<int32_t>(i), seen);
    for (const int32_t callee : calls[i]) ++n_callers[static_cast<size_t>(callee)];
  }
  std::vector<int32_t> ready;
  for (size_t i = 0; i < n; ++i) {
    if (n_callers[i] == 0) ready.push_back(static_cast<int32_t>(i));
  }
  int32_t rank = 0;
  while (!ready.empty()) {
    const auto rule = static_cast<size_t>(ready.back());
    ready.pop_back();
    grammar.rules[rule].rank = rank++;
    for (const int32_t callee : calls[rule]) {
      if (--n_callers[static_cast<size_t>(callee)] == 0) ready.push_back(callee);
    }
  }
  return static_cast<size_t>(rank) == n;
}

}  // namespace qwen3
