// Configurations: what can be reached without a byte.
//
// First everything behind the items that took the byte, rules that end here included. Then the rules that are
// called here, callers before callees (NetworkRule::rank), so that each is entered once, with one frame that holds
// all its callers. Within such a rule, its end here and now is passed over: who calls a rule that matches nothing has
// gone on behind it himself.
#include <algorithm>

#include "base/error.h"
#include "base/time_slice.h"
#include "grammar/configurations.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

constexpr int64_t kUnitsOfWork = 16;  // of a TimeSlice

[[noreturn]] void too_many_items() {
  fail(ErrorKind::unsupported,
       "{}: the answer can be read in more than {} ways at once",
       kTooComplex,
       kMaxItems);
}

}  // namespace

void Configurations::spend(int64_t work) {
  TimeSlice::spend(kUnitsOfWork * work);
  work_left_ -= work;
  if (work_left_ >= 0) return;
  fail(ErrorKind::unsupported, "{}: what may come next takes too long to work out", kTooComplex);
}

void Configurations::push(const Item& item) { open_.push_back(item); }

int32_t Configurations::close() {
  try {
    seen_.clear();
    stable_.clear();
    drain(false);
    const auto later = [](const Call& a, const Call& b) { return a.rank > b.rank; };
    while (!calls_.empty()) {
      // Few are open at a time.
      const auto first = std::max_element(calls_.begin(), calls_.end(), later);
      Call now = std::move(*first);
      call_of_rule_[static_cast<size_t>(now.rule)] = -1;
      if (&*first != &calls_.back()) {
        *first = std::move(calls_.back());
        call_of_rule_[static_cast<size_t>(first->rule)] =
            static_cast<int32_t>(first - calls_.begin());
      }
      calls_.pop_back();
      push({grammar_.rules[static_cast<size_t>(now.rule)].entry, 0, 0, intern(now.behind)});
      drain(true);
    }
    return intern(stable_);
  } catch (...) {
    open_.clear();
    for (const Call& open : calls_) call_of_rule_[static_cast<size_t>(open.rule)] = -1;
    calls_.clear();
    throw;
  }
}

void Configurations::drain(bool fresh) {
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    spend(1);
    if (seen_.insert(item)) expand(item, fresh);
    if (seen_.size() > 8 * kMaxItems || std::ssize(open_) > 8 * kMaxItems) too_many_items();
  }
}

void Configurations::expand(const Item& item, bool fresh) {
  const Node& node = grammar_.node(item.node);
  const auto arg = static_cast<size_t>(node.arg);
  switch (node.kind) {
    case Node::Kind::end:
      if (item.frame == 0) {
        stable_.push_back(item);
      } else if (!fresh) {
        for (const Item& behind : sets_.items(item.frame)) push(behind);
      }
      return;
    case Node::Kind::split:
      for (int32_t i = 0; i < node.arg2; ++i) {
        push({grammar_.targets[arg + static_cast<size_t>(i)], 0, 0, item.frame});
      }
      return;
    case Node::Kind::call:
      call(node.arg, {node.next, 0, 0, item.frame});
      if (grammar_.rules[arg].nullable) push({node.next, 0, 0, item.frame});
      return;
    case Node::Kind::repeat: {
      const NetworkRepeat& repeat = grammar_.repeats[arg];
      if (item.sub >= repeat.min) push({node.next, 0, 0, item.frame});
      if (repeat.max >= 0 && item.sub >= repeat.max) return;
      // Without an upper bound nothing is counted beyond the lower one.
      const int64_t count =
          repeat.max < 0 ? std::min<int64_t>(item.sub + 1, repeat.min) : item.sub + 1;
      return call(repeat.rule, {item.node, static_cast<int32_t>(count), 0, item.frame});
    }
    case Node::Kind::text: {
      const NetworkText& text = grammar_.texts[arg];
      if (text.dfa.accepts(item.sub) && (!text.lengths || text.lengths->may_end_now(item.extra))) {
        push({node.next, 0, 0, item.frame});
      }
      if (!text.dfa.between_code_points(item.sub) || text.can_go_on(item.sub, item.extra)) {
        stable_.push_back(item);
      }
      return;
    }
    case Node::Kind::members: {
      const NetworkMembers& object = grammar_.members[arg];
      if (object.min == 0) push({node.next, 0, 0, item.frame});
      if (object.max > 0) push({object.open_node, 0, 0, item.frame});
      return;
    }
    case Node::Kind::key_value: {
      const NetworkMembers& object = grammar_.members[arg];
      const int32_t rule = object.kinds[static_cast<size_t>(node.arg2)].value;
      const Item behind{object.end_node, 0, item.extra, item.frame};
      call(rule, behind);
      if (grammar_.rules[static_cast<size_t>(rule)].nullable) push(behind);
      return;
    }
    case Node::Kind::member_end: {
      const NetworkMembers& object = grammar_.members[arg];
      const int64_t count = keys_.count(item.extra);
      if (count >= object.min) push({node.next, 0, 0, item.frame});
      if (count >= object.max) return;
      const Item behind{object.open_node, 0, item.extra, item.frame};
      call(object.comma, behind);
      if (grammar_.rules[static_cast<size_t>(object.comma)].nullable) push(behind);
      return;
    }
    default:  // takes a byte or a token
      stable_.push_back(item);
      return;
  }
}

void Configurations::call(int32_t rule, const Item& behind) {
  int32_t& index = call_of_rule_[static_cast<size_t>(rule)];
  if (index < 0) {
    index = static_cast<int32_t>(calls_.size());
    calls_.push_back({grammar_.rules[static_cast<size_t>(rule)].rank, rule, {}});
  }
  auto& items = calls_[static_cast<size_t>(index)].behind;
  // A rule that ends behind the call leaves nothing to come back to: its own frame does. So right recursion stays flat.
  if (grammar_.node(behind.node).kind == Node::Kind::end && behind.frame != 0) {
    const auto frame = sets_.items(behind.frame);
    items.insert(items.end(), frame.begin(), frame.end());
  } else {
    items.push_back(behind);
  }
  if (std::ssize(items) <= 8 * kMaxItems) return;
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  if (std::ssize(items) > kMaxItems) too_many_items();
}

int32_t Configurations::intern(std::vector<Item>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  if (std::ssize(items) > kMaxItems) too_many_items();
  const int32_t id = sets_.intern(items);
  if (id == std::ssize(facts_)) {
    facts_.push_back(facts_of(items));
    rows_.push_back(nullptr);
    if (bytes() > max_bytes_) throw ArenaFull{};
  }
  return id;
}

auto Configurations::facts_of(std::span<const Item> items) const -> Facts {
  Facts facts;
  bool ends_only = true;
  for (const Item& item : items) {
    const Node& node = grammar_.node(item.node);
    const bool is_end = node.kind == Node::Kind::end && item.frame == 0;
    facts.may_end = facts.may_end || is_end;
    ends_only = ends_only && is_end;
    facts.has_tokens = facts.has_tokens || node.kind == Node::Kind::token;
    facts.opens_key = facts.opens_key || node.kind == Node::Kind::key_open;
    if (node.kind != Node::Kind::key) continue;
    const UsedKeys::Track& track = keys_.track(item.extra);
    facts.in_new_key = facts.in_new_key || track.prefix == UsedKeys::kNew;
    facts.depends_on_bytes = facts.depends_on_bytes || track.prefix != UsedKeys::kNew;
    facts.behind_some_key = facts.behind_some_key || keys_.holds_some_key(track.used);
  }
  facts.exhausted = facts.may_end && ends_only;
  return facts;
}

}  // namespace qwen3
