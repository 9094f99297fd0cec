#include "grammar/configurations.h"

#include <algorithm>

#include "base/error.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

constexpr int32_t kRowsPerBlock = 64;
constexpr int kMaxDescribedItems = 48;

size_t at(int32_t id) { return static_cast<size_t>(id); }

}  // namespace

Configurations::Configurations(const Grammar& grammar)
    : grammar_(grammar), call_of_rule_(grammar.rules.size(), -1) {
  facts_.emplace_back();
  rows_.push_back(nullptr);
  push({grammar.rules[0].entry, 0, 0, 0});
  start_ = close();
}

int64_t Configurations::bytes() const {
  return sets_.bytes() + keys_.bytes() + std::ssize(facts_) * 16 + std::ssize(endings_) * 4 +
         std::ssize(row_blocks_) * kRowsPerBlock * 4 * grammar_.n_classes;
}

int32_t Configurations::remember(int32_t config, uint8_t byte) {
  const int32_t next = step(config, byte, nullptr);
  int32_t*& row = rows_[at(config)];
  const auto n = static_cast<size_t>(grammar_.n_classes);
  if (row == nullptr) {
    if (n_rows_ % kRowsPerBlock == 0)
      row_blocks_.push_back(std::make_unique<int32_t[]>(kRowsPerBlock * n));
    row = row_blocks_.back().get() + static_cast<size_t>(n_rows_++ % kRowsPerBlock) * n;
    std::fill(row, row + n, -1);
  }
  row[grammar_.byte_class[byte]] = next;
  return next;
}

int32_t Configurations::step(int32_t config, uint8_t byte, const std::string_view* key) {
  const size_t n = sets_.items(config).size();
  spend(static_cast<int64_t>(n) / 4);  // most of them only look at the byte
  // Items are fetched by number: what follows may move them.
  for (size_t i = 0; i < n; ++i) step_item(Item(sets_.items(config)[i]), byte, key);
  return close();
}

int32_t Configurations::next_token(int32_t config, int32_t token) {
  for (const Item& item : sets_.items(config)) {
    const Node& node = grammar_.node(item.node);
    if (node.kind == Node::Kind::token && node.arg == token) push({node.next, 0, 0, item.frame});
  }
  return close();
}

void Configurations::step_item(const Item& item, uint8_t byte, const std::string_view* key) {
  const Node& node = grammar_.node(item.node);
  switch (node.kind) {
    case Node::Kind::literal:
      if (static_cast<uint8_t>(grammar_.literals[at(node.arg + item.sub)]) != byte) return;
      if (item.sub + 1 < node.arg2) return push({item.node, item.sub + 1, 0, item.frame});
      return push({node.next, 0, 0, item.frame});
    case Node::Kind::bytes:
      if (grammar_.byte_sets[at(node.arg)][byte]) push({node.next, 0, 0, item.frame});
      return;
    case Node::Kind::text:
      return step_text(node, item, byte);
    case Node::Kind::key_open:
      if (byte == '"') open_key(node, item);
      return;
    case Node::Kind::key:
      return step_key(node, item, byte, key);
    default:
      return;
  }
}

void Configurations::step_text(const Node& node, Item item, uint8_t byte) {
  const NetworkText& text = grammar_.texts[at(node.arg)];
  item.sub = text.dfa.next(item.sub, byte);
  if (item.sub < 0) return;
  if (text.lengths) {
    // At a code point what can reach no allowed length is dropped by expand().
    if (text.dfa.between_code_points(item.sub)) {
      item.extra = static_cast<int32_t>(text.lengths->counted(item.extra + 1));
    } else if (!text.can_go_on(item.sub, item.extra)) {
      return;
    }
  }
  push(item);
}

void Configurations::open_key(const Node& node, const Item& item) {
  const NetworkMembers& object = grammar_.members[at(node.arg)];
  for (size_t i = 0; i < object.kinds.size(); ++i) {
    const auto kind = static_cast<int32_t>(i);
    if (object.kinds[i].n_keys[0] <= keys_.count_beginning(item.extra, kind, "")) continue;
    push({object.kinds[i].key_node, 0, keys_.track(item.extra, kind, ""), item.frame});
  }
}

void Configurations::step_key(const Node& node,
                              Item item,
                              uint8_t byte,
                              const std::string_view* key) {
  const auto& kind = grammar_.members[at(node.arg)].kinds[at(node.arg2)];
  if (byte == '"' && kind.key.between_code_points(item.sub)) return close_key(node, item, key);
  item.sub = kind.key.next(item.sub, byte);
  if (item.sub < 0) return;
  const UsedKeys::Track track = keys_.track(item.extra);
  if (track.prefix != UsedKeys::kNew) {
    std::string prefix(keys_.key(track.prefix));
    prefix.push_back(static_cast<char>(byte));
    if (kind.n_keys[at(item.sub)] <= keys_.count_beginning(track.used, node.arg2, prefix)) return;
    item.extra = keys_.track(track.used, node.arg2, prefix);
  }
  push(item);
}

void Configurations::close_key(const Node& node, const Item& item, const std::string_view* key) {
  const NetworkMembers& object = grammar_.members[at(node.arg)];
  const auto& kind = object.kinds[at(node.arg2)];
  if (!kind.key.accepts(item.sub)) return;
  const UsedKeys::Track track = keys_.track(item.extra);
  int32_t key_id = UsedKeys::kSomeKey;
  if (track.prefix != UsedKeys::kNew) {
    key_id = track.prefix;
    if (keys_.holds(track.used, node.arg2, keys_.key(key_id))) return;
  } else if (key != nullptr) {
    key_id = keys_.intern(*key);
  }
  const Item behind{kind.value_node, 0, keys_.add(track.used, node.arg2, key_id), item.frame};
  call(object.colon, behind);
  if (grammar_.rules[at(object.colon)].nullable) push(behind);
}

int64_t Configurations::plain_room(int32_t config) const {
  int64_t room = 0;
  for (const Item& item : sets_.items(config)) {
    const Node& node = grammar_.node(item.node);
    if (node.kind == Node::Kind::key) {
      const auto& kind = grammar_.members[at(node.arg)].kinds[at(node.arg2)];
      // Infinitely many keys go on so: those in use are never all.
      if (kind.key.holds_plain(item.sub)) return -1;
    }
    if (node.kind != Node::Kind::text) continue;
    const NetworkText& text = grammar_.texts[at(node.arg)];
    if (!text.dfa.holds_plain(item.sub)) continue;
    if (!text.lengths) return -1;
    if (!text.is_universal) continue;
    if (text.max_length < 0) return -1;
    room = std::max(room, text.max_length - item.extra);
  }
  return room;
}

int64_t Configurations::bytes_to_end(int32_t config) {
  if (config == kDead) return ShortestEndings::kNever;
  const ShortestEndings& endings = grammar_.endings->get(grammar_);
  if (std::ssize(endings_) < sets_.size()) endings_.resize(at(sets_.size()), -1);
  std::vector<int32_t> open{config};  // behind each its frames, which come first
  while (!open.empty()) {
    const int32_t set = open.back();
    const size_t n_open = open.size();
    int64_t best = ShortestEndings::kNever;
    for (const Item& item : sets_.items(set)) {
      const int32_t behind = item.frame == 0 ? 0 : endings_[at(item.frame)];
      if (behind < 0) {
        open.push_back(item.frame);
      } else {
        best = std::min(best, behind + endings.of(item, keys_));
      }
    }
    if (open.size() > n_open) continue;
    endings_[at(set)] = static_cast<int32_t>(best);
    open.pop_back();
  }
  return endings_[at(config)];
}

int64_t Configurations::bytes_behind_plain(int32_t config) const {
  if (facts(config).depends_on_bytes) return ShortestEndings::kNever;
  const ShortestEndings& endings = grammar_.endings->get(grammar_);
  int64_t most = 0;
  for (const Item& item : sets_.items(config)) {
    const int32_t behind = item.frame == 0 ? 0 : endings_[at(item.frame)];
    most = std::max(most, behind + endings.behind_plain(item, keys_));
  }
  return most;
}

bool Configurations::describe(std::string& out, int32_t config) const {
  int n_left = kMaxDescribedItems;
  return describe(out, config, n_left);
}

// Sets within sets: n_left bounds the depth, too.
bool Configurations::describe(std::string& out, int32_t set, int& n_left) const {
  const std::span<const Item> items = sets_.items(set);
  const auto append = [&](int32_t number) {
    out.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  append(static_cast<int32_t>(items.size()));
  for (const Item& item : items) {
    const Node::Kind kind = grammar_.node(item.node).kind;
    if (kind >= Node::Kind::members || --n_left < 0) return false;
    append(item.node);
    append(item.sub);
    append(item.extra);
    if (!describe(out, item.frame, n_left)) return false;
  }
  return true;
}

int32_t Configurations::copy_from(const Configurations& from, int32_t config) {
  std::vector<int32_t> wanted{config};  // and all its frames
  std::vector<bool> seen(at(from.sets_.size()), false);
  seen[at(config)] = true;
  for (size_t i = 0; i < wanted.size(); ++i) {
    for (const Item& item : from.sets_.items(wanted[i])) {
      if (seen[at(item.frame)]) continue;
      seen[at(item.frame)] = true;
      wanted.push_back(item.frame);
    }
  }
  // A frame is older than what it belongs to.
  std::sort(wanted.begin(), wanted.end());
  std::vector<int32_t> copy(at(from.sets_.size()), 0);
  for (const int32_t set : wanted) {
    std::vector<Item> items;
    for (Item item : from.sets_.items(set)) {
      item.frame = copy[at(item.frame)];
      switch (grammar_.node(item.node).kind) {
        case Node::Kind::key:
          item.extra = keys_.copy_track(from.keys_, item.extra);
          break;
        case Node::Kind::key_open:
        case Node::Kind::key_value:
        case Node::Kind::member_end:
          item.extra = keys_.copy_used(from.keys_, item.extra);
          break;
        default:
          break;
      }
      items.push_back(item);
    }
    copy[at(set)] = intern(items);
  }
  return copy[at(config)];
}

}  // namespace qwen3
