#include "engine/scheduler.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3 {
namespace {

int64_t n_tokens(const Sequence& s) { return static_cast<int64_t>(s.tokens.size()); }

bool decodes(const Sequence& s) { return s.n_computed == n_tokens(s) - 1; }

// The first row that must still give logits to score the prompt.
int64_t first_to_score(const Sequence& s) { return std::max(s.n_computed, s.n_scored); }

// How many of the next tokens of `s` may be computed when at most n_score_rows may score the
// prompt.
int64_t n_computable(const Sequence& s, int64_t n_score_rows) {
  const int64_t end = first_to_score(s) + n_score_rows;
  return (end < s.n_to_score ? end : n_tokens(s)) - s.n_computed;
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options),
      max_logit_rows_(options.max_logit_rows > 0 ? options.max_logit_rows
                                                 : options.max_sequences + kScoreRows),
      pool_(options.n_blocks),
      cache_(options.prefix_cache ? options.n_blocks : 1, options.block_size, options.hash) {
  QWEN3_CHECK(options.max_sequences >= 1 && options.max_sequences <= options.max_batch_tokens,
              ErrorKind::invalid_argument,
              "engine: max_sequences: expected 1 to max_batch_tokens ({}), got {}",
              options.max_batch_tokens,
              options.max_sequences);
  QWEN3_CHECK(max_logit_rows_ > options.max_sequences,
              ErrorKind::invalid_argument,
              "engine: max_logit_rows: expected more than max_sequences ({}), got {}",
              options.max_sequences,
              max_logit_rows_);
  running_.reserve(static_cast<size_t>(options.max_sequences));
  slices_.reserve(static_cast<size_t>(options.max_sequences));
}

void Scheduler::add(Sequence& sequence) { queue_.push(sequence); }

std::span<const Slice> Scheduler::schedule() {
  slices_.clear();
  budget_ = options_.max_batch_tokens;
  schedule_decodes();
  admit_waiting();
  schedule_prefills();
  return slices_;
}

void Scheduler::schedule_decodes() {
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (!decodes(s)) continue;
    const bool needs_block = n_tokens(s) > static_cast<int64_t>(s.blocks.size()) * block_size();
    while (needs_block && pool_.n_free() == 0 && i < running_.size()) preempt_last();
    if (i == running_.size()) return;  // it was itself the last
    if (needs_block) append_block(s);
    slices_.push_back({&s, s.n_computed, 1});
    --budget_;
  }
}

void Scheduler::schedule_prefills() {
  const size_t n_decodes = slices_.size();  // these are in the order of running_
  size_t decode = 0;
  int64_t n_score_rows_left = n_score_rows();
  for (Sequence* s : running_) {
    if (budget_ == 0) return;
    if (decode < n_decodes && slices_[decode].sequence == s) {
      ++decode;
      continue;
    }
    const int64_t count = std::min(n_computable(*s, n_score_rows_left), budget_);
    if (count == 0) continue;  // older ones score their prompts first
    n_score_rows_left -=
        std::max<int64_t>(0, std::min(s->n_computed + count, s->n_to_score) - first_to_score(*s));
    slices_.push_back({s, s->n_computed, count});
    budget_ -= count;
  }
}

void Scheduler::admit_waiting() {
  while (!queue_.empty() && n_running() < options_.max_sequences) {
    Sequence& s = queue_.front();
    if (n_to_prefill(s.priority) >= budget_ || !admit_if_memory(s)) return;
    queue_.admit(s, n_tokens(s) - s.n_computed);
    const auto behind = std::ranges::upper_bound(running_, s.priority, {}, &Sequence::priority);
    running_.insert(behind, &s);
  }
}

// Tokens that come before those of a new sequence of this priority.
int64_t Scheduler::n_to_prefill(int32_t priority) const {
  int64_t n = 0;
  for (const Sequence* s : running_) {
    if (s->priority > priority) break;
    if (!decodes(*s)) n += n_computable(*s, n_score_rows());
  }
  return n;
}

// Running sequences end and free memory: none need suffer for a new one. With none running
// there is nothing to wait for.
bool Scheduler::admit_if_memory(Sequence& s) {
  try {
    return admit(s);
  } catch (const std::bad_alloc&) {
    if (running_.empty()) throw;
    return false;
  }
}

bool Scheduler::admit(Sequence& s) {
  if (s.refused_at == pool_.n_frees()) return false;
  s.blocks.reserve(static_cast<size_t>(ceil_div(n_tokens(s), block_size())));
  adopt_cached_blocks(s);
  // Room for one more block of each running sequence, so that a new one is not preempted at once.
  const int64_t n_missing =
      ceil_div(n_tokens(s), block_size()) - static_cast<int64_t>(s.blocks.size());
  if (pool_.n_free() < n_missing + n_running()) {
    release_blocks(s);
    s.refused_at = pool_.n_frees();
    return false;
  }
  s.refused_at = -1;
  for (int64_t i = 0; i < n_missing; ++i) append_block(s);
  if (!s.was_admitted) s.usage.cached_tokens = std::min(s.n_computed, s.n_prompt);
  return true;
}

void Scheduler::adopt_cached_blocks(Sequence& s) {
  if (!options_.prefix_cache) return;
  // The newest token is always computed: its logits are wanted.
  int64_t n_usable = (n_tokens(s) - 1) / block_size();
  // So is every row that has yet to score the prompt.
  if (s.n_scored < s.n_to_score) n_usable = std::min(n_usable, s.n_scored / block_size());
  // A tap wants to see every token once.
  if (s.tap != nullptr) n_usable = std::min(n_usable, s.n_shown / block_size());
  if (s.wants_experts) n_usable = std::min(n_usable, s.n_routed / block_size());
  for (int64_t i = 0; i < n_usable; ++i) {
    const auto tokens = std::span<const int32_t>(s.tokens).subspan(
        static_cast<size_t>(i * block_size()), static_cast<size_t>(block_size()));
    const PrefixCache::Hit hit = cache_.find(s.last_known, tokens, s.cache_salt);
    if (hit.block < 0) break;
    pool_.share(hit.block);
    s.blocks.push_back(hit.block);
    s.last_known = hit.serial;
  }
  s.n_known_blocks = static_cast<int64_t>(s.blocks.size());
  s.n_computed = s.n_known_blocks * block_size();
}

void Scheduler::append_block(Sequence& s) {
  s.blocks.push_back(-1);  // first: this may throw
  const std::optional<int32_t> block = pool_.take();
  if (!block) s.blocks.pop_back();
  QWEN3_CHECK(block.has_value(), ErrorKind::internal, "scheduler: no free block after the check");
  if (options_.prefix_cache) cache_.forget(*block);
  s.blocks.back() = *block;
}

void Scheduler::preempt_last() {
  Sequence& s = *running_.back();
  queue_.push_preempted(s);  // first: this may throw
  running_.pop_back();
  release_blocks(s);
  ++n_preemptions_;
}

void Scheduler::release_blocks(Sequence& s) {
  for (auto block = s.blocks.rbegin(); block != s.blocks.rend(); ++block) {
    const bool known = options_.prefix_cache && cache_.contains(*block);
    pool_.release(*block, known ? BlockPool::Content::keep : BlockPool::Content::forget);
  }
  s.blocks.clear();
  s.n_computed = 0;
  s.n_known_blocks = 0;
  s.last_known = PrefixCache::kRoot;
}

void Scheduler::commit() {
  for (const Slice& slice : slices_) {
    slice.sequence->n_computed += slice.count;
    if (slice.samples()) queue_.charge(*slice.sequence);
    try {
      if (options_.prefix_cache) remember_full_blocks(*slice.sequence);
    } catch (const std::bad_alloc&) {
      // It is tried again on the next step; until then nobody finds these blocks.
    }
  }
  slices_.clear();
}

void Scheduler::remember_full_blocks(Sequence& s) {
  for (; (s.n_known_blocks + 1) * block_size() <= s.n_computed; ++s.n_known_blocks) {
    int32_t& block = s.blocks[static_cast<size_t>(s.n_known_blocks)];
    const auto tokens = std::span<const int32_t>(s.tokens).subspan(
        static_cast<size_t>(s.n_known_blocks * block_size()), static_cast<size_t>(block_size()));
    const PrefixCache::Hit hit = cache_.find(s.last_known, tokens, s.cache_salt);
    if (hit.block < 0) {
      s.last_known = cache_.insert(block, s.last_known, tokens, s.cache_salt);
      continue;
    }
    // Another sequence computed the same block meanwhile, with the same bits: share that one.
    pool_.share(hit.block);
    pool_.release(block, BlockPool::Content::forget);
    block = hit.block;
    s.last_known = hit.serial;
  }
}

void Scheduler::finish(Sequence& s) {
  if (s.state == Sequence::State::finished) return;
  queue_.leave(s);
  if (s.state == Sequence::State::running) {
    release_blocks(s);
    std::erase(running_, &s);
  }
  s.state = Sequence::State::finished;
}

void Scheduler::check_conservation() const {
  pool_.check_conservation();
  std::vector<int32_t> users(static_cast<size_t>(pool_.n_blocks()), 0);
  for (const Sequence* s : running_) {
    for (const int32_t block : s->blocks) ++users[static_cast<size_t>(block)];
  }
  for (int32_t block = 0; block < pool_.n_blocks(); ++block) {
    QWEN3_CHECK(users[static_cast<size_t>(block)] == pool_.references(block),
                ErrorKind::internal,
                "scheduler: block {} has {} users and {} references",
                block,
                users[static_cast<size_t>(block)],
                pool_.references(block));
  }
  int64_t n_waiting = 0;
  queue_.for_each([&](const Sequence& s) {
    ++n_waiting;
    QWEN3_CHECK(s.blocks.empty(), ErrorKind::internal, "scheduler: a waiting sequence has blocks");
  });
  QWEN3_CHECK(n_waiting == queue_.size(),
              ErrorKind::internal,
              "scheduler: {} sequences wait, {} are counted",
              n_waiting,
              queue_.size());
  check_order();
}

void Scheduler::check_order() const {
  const auto rank = [](const Sequence& s) { return std::pair(s.priority, s.admission); };
  const auto check = [&](const Sequence& before, const Sequence& after) {
    QWEN3_CHECK(rank(before) < rank(after),
                ErrorKind::internal,
                "scheduler: request {} stands before {}",
                before.id,
                after.id);
  };
  for (size_t i = 1; i < running_.size(); ++i) check(*running_[i - 1], *running_[i]);
  queue_.for_each([&](const Sequence& s) {
    for (const Sequence* r : running_) {
      if (s.was_admitted && r->priority == s.priority) check(*r, s);
    }
  });
}

}  // namespace qwen3
