#include "engine/constrained_answer.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace qwen3 {
namespace {

constexpr size_t kWordBits = 64;
// Fewer than this are listed: the sampler then looks at them alone, 40 times fewer numbers than a row has.
constexpr int64_t kMostListed = 4096;

size_t word_of(int32_t id) { return static_cast<size_t>(id) / kWordBits; }
uint64_t bit_of(int32_t id) { return uint64_t{1} << (static_cast<size_t>(id) % kWordBits); }

int64_t count_bits(const std::vector<uint64_t>& words) {
  int64_t n = 0;
  for (const uint64_t word : words) n += std::popcount(word);
  return n;
}

}  // namespace

bool AllowedTokens::has(int32_t id) const {
  switch (kind) {
    case Kind::all_but:
      return std::ranges::find(ids, id) == ids.end();
    case Kind::only:
      return std::ranges::binary_search(ids, id);
    case Kind::bits:
      return (bits[word_of(id)] & bit_of(id)) != 0;
  }
  return false;
}

ConstrainedAnswer::ConstrainedAnswer(std::shared_ptr<TokenConstraint> constraint,
                                     Facts facts,
                                     std::span<const int32_t> before)
    : constraint_(std::move(constraint)),
      facts_(std::move(facts)),
      before_(before.begin(), before.end()) {
  end_ids_ = facts_.eos_ids;
  end_ids_.insert(end_ids_.end(), facts_.stop_ids.begin(), facts_.stop_ids.end());
  std::erase_if(end_ids_, [&](int32_t id) { return id < 0 || id >= facts_.n_real_tokens; });
  std::ranges::sort(end_ids_);
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
  allowed_.bits.resize((static_cast<size_t>(facts_.vocab_size) + kWordBits - 1) / kWordBits);
}

void ConstrainedAnswer::prepare() noexcept {
  State expected = State::wanted;
  if (!state_.compare_exchange_strong(expected, State::claimed, std::memory_order_acq_rel)) return;
  try {
    work_out();
  } catch (...) {
    thrown_ = std::current_exception();
  }
  state_.store(State::ready, std::memory_order_release);
  state_.notify_all();
}

const AllowedTokens& ConstrainedAnswer::allowed() {
  prepare();
  for (State seen = state_.load(std::memory_order_acquire); seen != State::ready;
       seen = state_.load(std::memory_order_acquire)) {
    state_.wait(seen, std::memory_order_acquire);
  }
  if (thrown_) std::rethrow_exception(thrown_);
  return allowed_;
}

bool ConstrainedAnswer::accept(int32_t token_id) {
  constraint_->accept(token_id);
  ++n_accepted_;
  const bool exhausted = constraint_->exhausted();
  if (!exhausted) state_.store(State::wanted, std::memory_order_release);
  return exhausted;
}

void ConstrainedAnswer::work_out() {
  for (const int32_t id : std::exchange(before_, {})) {
    constraint_->accept(id);
    ++n_accepted_;
  }
  int32_t one = -1;
  const TokenConstraint::Fill fill = constraint_->fill(allowed_.bits, one);
  const bool may_end = constraint_->may_end();
  allowed_.over = false;
  switch (fill) {
    case TokenConstraint::Fill::everything:
      return set_everything(may_end);
    case TokenConstraint::Fill::mask:
      return set_mask(may_end);
    case TokenConstraint::Fill::one:
      return set_one(one, may_end);
  }
}

void ConstrainedAnswer::set_everything(bool may_end) {
  allowed_.kind = AllowedTokens::Kind::all_but;
  allowed_.ids.clear();
  if (too_short()) {
    allowed_.ids = end_ids_;
  } else if (!may_end) {
    for (const int32_t id : facts_.eos_ids) {
      if (id >= 0 && id < facts_.n_real_tokens) allowed_.ids.push_back(id);
    }
  }
}

void ConstrainedAnswer::set_mask(bool may_end) {
  std::vector<uint64_t>& bits = allowed_.bits;
  const auto n_real = static_cast<size_t>(facts_.n_real_tokens);
  if (n_real % kWordBits != 0) bits[n_real / kWordBits] &= (uint64_t{1} << n_real % kWordBits) - 1;
  std::fill(bits.begin() + static_cast<std::ptrdiff_t>((n_real + kWordBits - 1) / kWordBits),
            bits.end(),
            uint64_t{0});
  for (const int32_t id : facts_.eos_ids) {
    if (id >= 0 && id < facts_.n_real_tokens) bits[word_of(id)] &= ~bit_of(id);
  }
  std::vector<int32_t> ends;  // that may come
  for (const int32_t id : end_ids_) {
    if (may_end || (bits[word_of(id)] & bit_of(id)) != 0) ends.push_back(id);
    bits[word_of(id)] &= ~bit_of(id);
  }
  const int64_t n_others = count_bits(bits);
  // Before min_tokens an answer goes on where it can.
  const bool with_ends = !too_short() || n_others == 0;
  if (with_ends) {
    for (const int32_t id : ends) bits[word_of(id)] |= bit_of(id);
  }
  const int64_t n = n_others + (with_ends ? std::ssize(ends) : 0);
  allowed_.kind = n < kMostListed ? AllowedTokens::Kind::only : AllowedTokens::Kind::bits;
  allowed_.n_bits = n;
  allowed_.over = n == 0 && may_end;
  if (allowed_.kind == AllowedTokens::Kind::only) gather();
}

void ConstrainedAnswer::set_one(int32_t id, bool may_end) {
  std::vector<int32_t>& ids = allowed_.ids;
  allowed_.kind = AllowedTokens::Kind::only;
  ids.clear();
  const bool ends = std::ranges::binary_search(end_ids_, id);
  if (may_end && (!too_short() || ends)) ids = end_ids_;
  const auto at = std::ranges::lower_bound(ids, id);
  if (id >= 0 && id < facts_.n_real_tokens && (at == ids.end() || *at != id)) ids.insert(at, id);
}

void ConstrainedAnswer::gather() {
  allowed_.ids.clear();
  for (size_t i = 0; i < allowed_.bits.size(); ++i) {
    for (uint64_t rest = allowed_.bits[i]; rest != 0; rest &= rest - 1) {
      allowed_.ids.push_back(
          static_cast<int32_t>(i * kWordBits + static_cast<size_t>(std::countr_zero(rest))));
    }
  }
}

}  // namespace qwen3
