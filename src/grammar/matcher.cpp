#include "grammar/matcher.h"

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

// Of the process.
std::atomic<int64_t> n_matchers = 0;

}  // namespace

int64_t Matcher::share() {
  return std::min(kMaxMatchersBytes / std::max<int64_t>(n_matchers, 1), kMaxMatcherBytes);
}

Matcher::~Matcher() { --n_matchers; }

Matcher::Matcher(GrammarPtr grammar,
                 std::shared_ptr<const TokenTrieNodes> trie,
                 const MatcherOptions& options)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      options_(options),
      memory_(std::make_unique<Configurations>(*grammar_)),
      shared_masks_(grammar_->shared_masks->get(trie_.get())) {
  positions_.push_back({-1, memory_->start(), 0, false, 0, 0});
  memory_->allow_work(kFirstWork);
  ++n_matchers;
}

void Matcher::refuse_step() {
  fail(ErrorKind::unsupported,
       "{}: one step of the answer takes more than {} MiB",
       kTooComplex,
       kMaxMatcherBytes >> 20);
}

// What is left is a function of where the answer stands, so the next step costs the same in any company.
void Matcher::restart() {
  auto fresh = std::make_unique<Configurations>(*grammar_);
  fresh->allow_work(memory_->work_left());
  Position& now = positions_.back();
  now.config = fresh->copy_from(*memory_, now.config);
  now.generation = ++generation_;
  memory_ = std::move(fresh);
  masks_.clear();
}

bool Matcher::advance(Position& position, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    const auto begin = static_cast<size_t>(position.key_begin);
    const std::string_view key = std::string_view(text_).substr(begin);
    const bool opens = byte == '"' && memory_->facts(position.config).opens_key;
    position.config = memory_->next(position.config, byte, &key);
    if (position.config == Configurations::kDead) return false;
    text_.push_back(c);
    if (opens) position.key_begin = std::ssize(text_);
  }
  position.text_size = std::ssize(text_);
  return true;
}

auto Matcher::behind(int32_t token_id) -> Position {
  Position next = positions_.back();
  next.token = token_id;
  const size_t size = text_.size();
  bool alive = false;
  if (trie_->is_added(token_id)) {
    next.config = memory_->next_token(next.config, token_id);
    alive = next.config != Configurations::kDead;
  } else if (const std::string_view bytes = trie_->bytes(token_id); !bytes.empty()) {
    try {
      alive = advance(next, bytes);
    } catch (...) {
      text_.resize(size);
      throw;
    }
  }
  if (!alive) {
    text_.resize(size);
    next.config = Configurations::kDead;
  }
  next.generation = generation_;
  return next;
}

void Matcher::accept(int32_t token_id) {
  with_memory([&] {
    Position next = behind(token_id);
    if (next.config == Configurations::kDead) {
      QWEN3_CHECK(
          may_end(), ErrorKind::internal, "token {} is not allowed by the grammar here", token_id);
      next.ended = true;
    }
    positions_.push_back(next);
  });
  memory_->allow_work(std::min(memory_->work_left() + kWorkPerToken, kFirstWork));
}

bool Matcher::allows(int32_t token_id) {
  bool alive = false;
  with_memory([&] {
    alive = behind(token_id).config != Configurations::kDead;
    text_.resize(static_cast<size_t>(positions_.back().text_size));
  });
  return alive;
}

void Matcher::rollback(int64_t n) {
  QWEN3_CHECK(
      n >= 0 && n < std::ssize(positions_), ErrorKind::internal, "a rollback of {} tokens", n);
  const size_t left = positions_.size() - static_cast<size_t>(n);
  if (positions_[left - 1].generation != generation_) return replay(left - 1);
  positions_.resize(left);
  text_.resize(static_cast<size_t>(positions_.back().text_size));
}

// The memory has been restarted since: what was there is found again from the beginning.
void Matcher::replay(size_t n_tokens) {
  std::vector<int32_t> tokens;
  for (size_t i = 1; i <= n_tokens; ++i) tokens.push_back(positions_[i].token);
  const int64_t work_left = memory_->work_left();
  memory_ = std::make_unique<Configurations>(*grammar_);
  memory_->allow_work(std::max<int64_t>(work_left, kWorkPerToken));
  masks_.clear();
  ++generation_;
  text_.clear();
  positions_ = {{-1, memory_->start(), generation_, false, 0, 0}};
  for (const int32_t token : tokens) accept(token);
}

bool Matcher::may_end() const { return memory_->facts(positions_.back().config).may_end; }

bool Matcher::exhausted() const {
  return positions_.back().ended || memory_->facts(positions_.back().config).exhausted;
}

}  // namespace qwen3
