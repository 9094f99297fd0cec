#include "grammar/shortest_endings.h"

#include <algorithm>
#include <bitset>
#include <functional>
#include <queue>
#include <string>
#include <utility>

#include "grammar/network.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxKeyBytes = 256;       // of keys that an object is closed with
constexpr int64_t kManyKeys = 1 << 20;      // nobody uses them up
constexpr int64_t kMaxCountWork = 1 << 20;  // edges seen while keys are counted

size_t at(int64_t i) { return static_cast<size_t>(i); }

const NetworkMembers::Kind& kind_of(const Grammar& grammar, const Node& node) {
  return grammar.members[at(node.arg)].kinds[at(node.arg2)];
}

// In how many bytes a code point leads from one state to another, the worst of them.
int32_t longest_code_point(const ByteDfa& dfa) {
  int32_t longest = 1;
  std::vector<int32_t> seen(at(dfa.n_states()), -1);
  for (int32_t from = 0; from < dfa.n_states() && dfa.between_code_points(from); ++from) {
    std::vector<int32_t> open{from}, next;
    for (int32_t n = 1; !open.empty(); ++n, open.swap(next)) {
      next.clear();
      for (const int32_t state : open) {
        for (const ByteDfa::Edge& edge : dfa.edges(state)) {
          if (std::exchange(seen[at(edge.to)], from) == from) continue;
          if (dfa.between_code_points(edge.to)) {
            longest = std::max(longest, n);
          } else {
            next.push_back(edge.to);
          }
        }
      }
    }
  }
  return longest;
}

// Texts of at most 0, 1, … bytes, as far as they are counted.
std::vector<int64_t> count_up_to(const ByteDfa& dfa) {
  std::vector<int64_t> found;
  std::vector<int64_t> ways(at(dfa.n_states()), 0);
  ways[0] = 1;
  int64_t sum = 0, work = 0;
  for (bool more = true; more && std::ssize(found) <= kMaxKeyBytes && work < kMaxCountWork;) {
    std::vector<int64_t> next(ways.size(), 0);
    more = false;
    for (int32_t state = 0; state < dfa.n_states(); ++state) {
      if (ways[at(state)] == 0) continue;
      if (dfa.accepts(state)) sum = std::min(sum + ways[at(state)], kManyKeys);
      for (const ByteDfa::Edge& edge : dfa.edges(state)) {
        int64_t& to = next[at(edge.to)];
        to = std::min(to + (edge.last - edge.first + 1) * ways[at(state)], kManyKeys);
        more = true;
      }
      work += std::ssize(dfa.edges(state)) + 1;
    }
    found.push_back(sum);
    more = more && sum < kManyKeys;
    ways = std::move(next);
  }
  return found;
}

}  // namespace

ShortestEndings::ShortestEndings(const Grammar& grammar) : grammar_(grammar) {
  for (const NetworkText& text : grammar.texts) {
    texts_.push_back(text_of(text.dfa));
    if (text.lengths) texts_.back().code_point = longest_code_point(text.dfa);
  }
  for (const NetworkMembers& members : grammar.members) {
    Object& object = objects_.emplace_back();
    for (const auto& kind : members.kinds) {
      object.push_back({text_of(kind.key), count_up_to(kind.key)});
    }
  }
  find_nodes();
}

// Backwards from the states that accept.
auto ShortestEndings::text_of(const ByteDfa& dfa) -> Text {
  Text text;
  text.to_end.assign(at(dfa.n_states()), kNever);
  std::vector<std::vector<int32_t>> sources(at(dfa.n_states()));
  std::vector<int32_t> found;
  for (int32_t state = 0; state < dfa.n_states(); ++state) {
    for (const ByteDfa::Edge& edge : dfa.edges(state)) sources[at(edge.to)].push_back(state);
    if (!dfa.accepts(state)) continue;
    text.to_end[at(state)] = 0;
    found.push_back(state);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    const int32_t n = text.to_end[at(found[i])];
    if (dfa.between_code_points(found[i])) text.farthest = n;
    for (const int32_t source : sources[at(found[i])]) {
      if (text.to_end[at(source)] < kNever) continue;
      text.to_end[at(source)] = n + 1;
      found.push_back(source);
    }
  }
  return text;
}

// Dijkstra's algorithm, where a path has several ends (Knuth 1977): what is smallest is final, for nothing is made of
// larger numbers.
void ShortestEndings::find_nodes() {
  nodes_.assign(grammar_.nodes.size(), kNever);
  const std::vector<std::vector<int32_t>> users_of = users();
  using Found = std::pair<int32_t, int32_t>;  // bytes, node
  std::priority_queue<Found, std::vector<Found>, std::greater<>> open;
  const auto find = [&](int32_t node, int64_t bytes) {
    if (bytes >= nodes_[at(node)]) return;
    nodes_[at(node)] = static_cast<int32_t>(bytes);
    open.emplace(nodes_[at(node)], node);
  };
  find(0, 0);
  while (!open.empty()) {
    const auto [bytes, node] = open.top();
    open.pop();
    if (bytes > nodes_[at(node)]) continue;
    for (const int32_t user : users_of[at(node)]) {
      find(user, grammar_.node(user).kind == Node::Kind::split ? bytes : of_node(user));
    }
  }
}

// By node: those whose number is made of its own. Nodes inside of an object are met with a count, and have none.
std::vector<std::vector<int32_t>> ShortestEndings::users() const {
  std::vector<std::vector<int32_t>> users(grammar_.nodes.size());
  const auto entry = [&](int32_t rule) -> auto& {
    return users[at(grammar_.rules[at(rule)].entry)];
  };
  for (int32_t id = 1; id < std::ssize(grammar_.nodes); ++id) {
    const Node& node = grammar_.node(id);
    if (node.kind > Node::Kind::members) continue;
    if (node.kind != Node::Kind::split) users[at(node.next)].push_back(id);
    switch (node.kind) {
      case Node::Kind::split:
        for (int32_t i = 0; i < node.arg2; ++i) {
          users[at(grammar_.targets[at(node.arg + i)])].push_back(id);
        }
        break;
      case Node::Kind::call:
        entry(node.arg).push_back(id);
        break;
      case Node::Kind::repeat:
        entry(grammar_.repeats[at(node.arg)].rule).push_back(id);
        break;
      case Node::Kind::members: {
        const NetworkMembers& object = grammar_.members[at(node.arg)];
        if (object.min == 0) break;
        for (const int32_t rule : {object.colon, object.comma}) entry(rule).push_back(id);
        for (const auto& kind : object.kinds) entry(kind.value).push_back(id);
        break;
      }
      default:
        break;
    }
  }
  return users;
}

// Of a node that is met without a count, made of the numbers of others.
int64_t ShortestEndings::of_node(int32_t id) const {
  const Node& node = grammar_.node(id);
  const int64_t behind = nodes_[at(node.next)];
  switch (node.kind) {
    case Node::Kind::literal:
      return node.arg2 + behind;
    case Node::Kind::call:
      return of_rule(node.arg) + behind;
    case Node::Kind::repeat:
      return of_rounds(node, 0) + behind;
    case Node::Kind::text:
      return of_text(node.arg, 0, 0) + behind;
    case Node::Kind::members:
      return (grammar_.members[at(node.arg)].min > 0 ? of_member(node.arg, 0) : 0) + behind;
    default:  // a byte, a token
      return 1 + behind;
  }
}

int64_t ShortestEndings::of(const Item& item, const UsedKeys& keys) const {
  const Node& node = grammar_.node(item.node);
  const auto bytes = [&]() -> int64_t {
    switch (node.kind) {
      case Node::Kind::literal:
        return nodes_[at(item.node)] - item.sub;
      case Node::Kind::repeat:
        return of_rounds(node, item.sub) + nodes_[at(node.next)];
      case Node::Kind::text:
        return of_text(node.arg, item.sub, item.extra) + nodes_[at(node.next)];
      case Node::Kind::key_open:
        return of_member(node.arg, keys.count(item.extra)) + behind_members(node);
      case Node::Kind::key:
        return of_key(item, keys) + behind_key(item, keys);
      case Node::Kind::key_value:
        return of_rule(kind_of(grammar_, node).value) +
               of_more_members(node.arg, keys.count(item.extra)) + behind_members(node);
      case Node::Kind::member_end:
        return of_more_members(node.arg, keys.count(item.extra)) + behind_members(node);
      default:
        return nodes_[at(item.node)];
    }
  };
  return std::min(bytes(), kNever);
}

int64_t ShortestEndings::behind_plain(const Item& item, const UsedKeys& keys) const {
  const Node& node = grammar_.node(item.node);
  if (node.kind == Node::Kind::key) {
    const Kind& kind = objects_[at(node.arg)][at(node.arg2)];
    return std::min(kind.key.farthest + behind_key(item, keys), kNever);
  }
  if (node.kind != Node::Kind::text || grammar_.texts[at(node.arg)].lengths) return of(item, keys);
  return std::min<int64_t>(texts_[at(node.arg)].farthest + nodes_[at(node.next)], kNever);
}

int64_t ShortestEndings::of_rule(int32_t rule) const {
  return nodes_[at(grammar_.rules[at(rule)].entry)];
}

int64_t ShortestEndings::of_rounds(const Node& node, int64_t n_before) const {
  const NetworkRepeat& repeat = grammar_.repeats[at(node.arg)];
  return std::max<int64_t>(repeat.min - n_before, 0) * of_rule(repeat.rule);
}

// `length` code points lie before the one that is begun in `state`.
int64_t ShortestEndings::of_text(int32_t index, int32_t state, int64_t length) const {
  const NetworkText& text = grammar_.texts[at(index)];
  if (!text.lengths) return texts_[at(index)].to_end[at(state)];
  if (text.dfa.between_code_points(state)) {
    const std::optional<int64_t> n = text.lengths->ends_after(state, length);
    return n ? *n * texts_[at(index)].code_point : kNever;
  }
  int64_t best = kNever;
  for (const ByteDfa::Edge& edge : text.dfa.edges(state)) {
    const bool whole = text.dfa.between_code_points(edge.to);
    const int64_t to = whole ? text.lengths->counted(length + 1) : length;
    best = std::min(best, 1 + of_text(index, edge.to, to));
  }
  return best;
}

// To the quote that ends it. One that begins as keys in use must be another in the end.
int64_t ShortestEndings::of_key(const Item& item, const UsedKeys& keys) const {
  const Node& node = grammar_.node(item.node);
  const auto& kind = kind_of(grammar_, node);
  const std::vector<int32_t>& to_end = objects_[at(node.arg)][at(node.arg2)].key.to_end;
  const auto [used, first] = keys.track(item.extra);
  if (first == UsedKeys::kNew) return to_end[at(item.sub)];
  std::vector<std::pair<int32_t, std::string>> open{{item.sub, std::string(keys.key(first))}};
  int64_t best = kNever;
  for (int64_t n = 0; !open.empty() && n < best; ++n) {
    std::vector<std::pair<int32_t, std::string>> next;
    for (const auto& [state, prefix] : open) {
      if (kind.key.accepts(state) && !keys.holds(used, node.arg2, prefix)) return n;
      const std::bitset<256> in_use = keys.bytes_behind(used, node.arg2, prefix);
      for (const ByteDfa::Edge& edge : kind.key.edges(state)) {
        for (int byte = edge.first; byte <= edge.last; ++byte) {
          if (!in_use[at(byte)]) {
            best = std::min<int64_t>(best, n + 1 + to_end[at(edge.to)]);
          } else {
            next.emplace_back(edge.to, prefix + static_cast<char>(byte));
          }
        }
      }
    }
    open.swap(next);
  }
  return best;
}

int64_t ShortestEndings::behind_key(const Item& item, const UsedKeys& keys) const {
  const Node& node = grammar_.node(item.node);
  const NetworkMembers& object = grammar_.members[at(node.arg)];
  return 1 + of_rule(object.colon) + of_rule(kind_of(grammar_, node).value) +
         of_more_members(node.arg, keys.count(keys.track(item.extra).used) + 1) +
         behind_members(node);
}

// Where `n_used` members have come: the next one, and what must follow it.
int64_t ShortestEndings::of_member(int32_t index, int64_t n_used) const {
  return of_members(index, n_used, n_used + 1) + of_more_members(index, n_used + 1);
}

int64_t ShortestEndings::of_more_members(int32_t index, int64_t n_used) const {
  const NetworkMembers& object = grammar_.members[at(index)];
  if (n_used >= object.min) return 0;
  return (object.min - n_used) * of_rule(object.comma) + of_members(index, n_used, object.min);
}

// Without the commas. Of all keys with their values, sorted by bytes, one among the first n + 1 is not one of the n
// that are in use.
int64_t ShortestEndings::of_members(int32_t index, int64_t from, int64_t to) const {
  const NetworkMembers& object = grammar_.members[at(index)];
  int64_t sum = (to - from) * (2 + of_rule(object.colon));
  for (int64_t n = from; n < to;) {
    int64_t low = 0, high = kNever;  // the bytes of key n: the least with more than n keys
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (n_members_up_to(index, middle) > n) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    if (low >= kNever) return kNever;
    const int64_t n_alike = std::min(n_members_up_to(index, low), to) - n;
    sum += n_alike * low;
    n += n_alike;
  }
  return sum;
}

// Keys that with their value take at most so many bytes.
int64_t ShortestEndings::n_members_up_to(int32_t index, int64_t bytes) const {
  int64_t sum = 0;
  const Object& object = objects_[at(index)];
  for (size_t i = 0; i < object.size(); ++i) {
    const int64_t of_key = bytes - of_rule(grammar_.members[at(index)].kinds[i].value);
    if (of_key < 0) continue;
    const std::vector<int64_t>& n_up_to = object[i].n_up_to;
    sum += n_up_to[at(std::min(of_key, std::ssize(n_up_to) - 1))];
  }
  return sum;
}

int64_t ShortestEndings::behind_members(const Node& node) const {
  return nodes_[at(grammar_.members[at(node.arg)].next)];
}

const ShortestEndings& EndingsOfGrammar::get(const Grammar& grammar) {
  std::call_once(once_, [&] { endings_ = std::make_unique<const ShortestEndings>(grammar); });
  return *endings_;
}

}  // namespace qwen3
