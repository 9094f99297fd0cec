#include "engine/fair_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace qwen3 {

FairUser& FairQueue::user_of(const std::string& key) {
  if (const auto found = users_.find(key); found != users_.end()) return found->second;
  if (users_.size() >= kMaxUsers) forget_someone();
  return users_[key];
}

// Of little consequence: who comes back is lifted to the others anyway.
void FairQueue::forget_someone() {
  auto victim = users_.end();
  for (auto u = users_.begin(); u != users_.end(); ++u) {
    if (u->second.n_sequences > 0) continue;
    if (victim == users_.end() ||
        std::tie(u->second.n_given, u->first) < std::tie(victim->second.n_given, victim->first)) {
      victim = u;
    }
  }
  if (victim != users_.end()) users_.erase(victim);
}

int64_t FairQueue::floor() const {
  int64_t least = -1;
  for (const auto& [priority, level] : levels_) {
    for (const auto& [user, line] : level.fresh) {
      if (least < 0 || user->n_given < least) least = user->n_given;
    }
  }
  return least < 0 ? last_given_ : least;
}

bool FairQueue::waits(const FairUser& user) const {
  return std::ranges::any_of(levels_,
                             [&](const auto& entry) { return entry.second.fresh.contains(&user); });
}

void FairQueue::push(Sequence& s) {
  FairUser& user = user_of(s.fair_key);
  if (!waits(user)) user.n_given = std::max(user.n_given, floor());
  s.arrival = ++n_arrivals_;
  try {
    levels_[s.priority].fresh[&user].emplace(s.arrival, &s);
  } catch (...) {
    drop_if_empty(s.priority, &user);
    throw;
  }
  ++user.n_sequences;
  s.user = &user;
  s.state = Sequence::State::waiting;
  ++size_;
}

void FairQueue::push_preempted(Sequence& s) {
  try {
    levels_[s.priority].preempted.emplace(s.admission, &s);
  } catch (...) {
    drop_if_empty(s.priority, s.user);
    throw;
  }
  s.state = Sequence::State::waiting;
  ++size_;
}

Sequence& FairQueue::front() const {
  const Level& level = levels_.begin()->second;
  if (!level.preempted.empty()) return *level.preempted.begin()->second;
  const bool oldest = level.n_admitted % kOldestTurn == kOldestTurn - 1;
  const auto rank = [&](const Sequence& s) {
    return std::pair(oldest ? 0 : s.user->n_given, s.arrival);
  };
  Sequence* best = nullptr;
  for (const auto& [user, line] : level.fresh) {
    Sequence* s = line.begin()->second;
    if (best == nullptr || rank(*s) < rank(*best)) best = s;
  }
  return *best;
}

void FairQueue::admit(Sequence& s, int64_t n_tokens) {
  if (!s.was_admitted) {
    ++levels_.at(s.priority).n_admitted;
    s.admission = ++n_admissions_;
    s.user->n_given += n_tokens;
    last_given_ = s.user->n_given;
  }
  take_out(s);
  s.was_admitted = true;
  s.state = Sequence::State::running;
}

void FairQueue::take_out(Sequence& s) {
  const auto level = levels_.find(s.priority);
  QWEN3_CHECK(level != levels_.end(), ErrorKind::internal, "queue: a sequence that does not wait");
  if (s.was_admitted) {
    level->second.preempted.erase(s.admission);
  } else {
    level->second.fresh.at(s.user).erase(s.arrival);
  }
  drop_if_empty(s.priority, s.user);
  --size_;
}

void FairQueue::drop_if_empty(int32_t priority, const FairUser* user) {
  const auto level = levels_.find(priority);
  if (level == levels_.end()) return;
  auto& fresh = level->second.fresh;
  if (const auto line = fresh.find(user); line != fresh.end() && line->second.empty()) {
    fresh.erase(line);
  }
  if (level->second.preempted.empty() && fresh.empty()) levels_.erase(level);
}

void FairQueue::leave(Sequence& s) {
  if (s.state == Sequence::State::waiting) take_out(s);
  --s.user->n_sequences;
}

}  // namespace qwen3
