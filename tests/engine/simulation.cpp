#include "engine/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qwen3::simulation {

History::History(uint64_t seed) : seed_(mix64(seed)) {
  SchedulerOptions& s = options_.scheduler;
  s.n_blocks = static_cast<int64_t>(4 + draw(14));
  s.block_size = 4;
  s.max_sequences = static_cast<int64_t>(1 + draw(4));
  s.max_batch_tokens = s.max_sequences + static_cast<int64_t>(draw(12));
  s.max_logit_rows = s.max_sequences + 1 + static_cast<int64_t>(draw(4));
  s.prefix_cache = !one_in(4);
  options_.limits = {.n_real_tokens = kVocab, .max_model_len = s.n_blocks * s.block_size};
  options_.max_waiting = static_cast<int64_t>(4 + draw(40));
  options_.max_waiting_tokens = one_in(2) ? 0 : static_cast<int64_t>(30 + draw(200));
  options_.eos_token_ids = {0};
  options_.check_every_step = true;
  options_.now = [this] { return at(turn_); };
  options_.own_thread = false;
  auto runner = std::make_unique<Runner>(s);
  runner_ = runner.get();
  core_ = std::make_unique<EngineCore>(std::move(runner), options_);
  flood_ = one_in(8);
  n_to_come_ = static_cast<int64_t>(flood_ ? 80 : 5 + draw(12));
}

Request History::random_request(Story& story) {
  Request r;
  const uint64_t longest = static_cast<uint64_t>(options_.limits.max_model_len) - 1;
  const uint64_t n_prompt = 1 + draw(std::min<uint64_t>(longest, one_in(5) ? 40 : 12));
  // Beginnings are shared, and in one text all blocks are the same.
  const uint64_t text = draw(3), period = text == 0 ? 4 : 1000;
  for (uint64_t i = 0; i < n_prompt; ++i) {
    r.prompt_ids.push_back(
        static_cast<int32_t>(one_in(24) ? draw(kVocab) : mix64(text * 97 + i % period) % kVocab));
  }
  r.sampling.max_tokens = static_cast<int64_t>(1 + draw(12));
  r.sampling.ignore_eos = one_in(2);
  r.priority = static_cast<int32_t>(one_in(3) ? draw(3) : 0) - 1;
  r.fair_key = std::string(1, static_cast<char>('a' + (one_in(3) ? draw(20) : draw(2))));
  if (flood_) {
    r.priority = 0;
    r.fair_key = one_in(10) ? "a" : "name " + std::to_string(stories_.size());
    if (r.fair_key != "a") r.prompt_ids.resize(1);
  }
  if (one_in(5)) r.cache_salt = "salt";
  if (one_in(4)) r.deadline = at(turn_ + static_cast<int64_t>(draw(40)));
  if (one_in(6)) r.n_prompt_logprobs = static_cast<int>(draw(4));
  if (one_in(8)) r.embed = true;
  if (one_in(6)) r.n_generated_before = static_cast<int64_t>(draw(r.prompt_ids.size()));
  story.throws_in_callback = one_in(20);
  if (!one_in(20)) return r;
  story.throws_in_processor = true;
  const size_t when = draw(4) + static_cast<size_t>(r.n_generated_before);
  r.logits_processor = [when](std::span<const int32_t> generated, std::span<float>) {
    if (generated.size() == when) throw std::runtime_error("processor");
  };
  return r;
}

void History::submit() {
  auto story = std::make_unique<Story>();
  Story& s = *story;
  s.request = random_request(s);
  s.arrived = turn_;
  try {
    s.id = core_->submit(s.request, [this, &s](const Event& event) { hear(s, event); });
    stories_.push_back(std::move(story));
  } catch (const Error& error) {
    const ErrorKind expected = closed_ ? ErrorKind::device : ErrorKind::busy;
    if (error.kind() != expected) throw;
  }
}

void History::hear(Story& s, const Event& event) {
  s.last_turn = turn_;
  if (event.token_id >= 0) s.ids.push_back(event.token_id);
  if (!event.prompt_logprobs.empty()) s.prompt_logprobs = event.prompt_logprobs;
  if (!event.embedding.empty()) s.embedding = event.embedding;
  if (s.threw || s.n_last > 0) s.n_last += 100;  // heard something after the end
  s.n_last += event.finish.has_value();
  s.last = event;
  if (one_in(40) && n_to_come_ > 0) {
    --n_to_come_;
    submit();  // from the callback; arrives in the next turn
  }
  if (s.throws_in_callback && !s.ended()) {
    s.threw = true;
    throw std::runtime_error("callback");
  }
}

void History::act() {
  for (uint64_t n = one_in(10) ? draw(12) : draw(3); n > 0 && n_to_come_ > 0; --n, --n_to_come_) {
    submit();
  }
  if (one_in(6) && !stories_.empty()) {
    Story& s = *stories_[draw(stories_.size())];
    core_->cancel(s.id);
    if (s.cancelled < 0) s.cancelled = turn_;
  }
  const bool works = core_->stats().n_running > 0;
  runner_->damage_next = one_in(60);
  if (works && one_in(60)) {
    runner_->fail_next = one_in(20) ? ErrorKind::device : ErrorKind::out_of_memory;
    closed_ |= runner_->fail_next == ErrorKind::device;
  }
}

std::string History::run() {
  // Every step of a lone sequence gives a token; preemption computes some of them again.
  constexpr int64_t kMostTurns = 20'000;
  for (bool busy = true; busy || n_to_come_ > 0; ++turn_) {
    act();
    const bool fails = runner_->fail_next.has_value(), damages = runner_->damage_next;
    core_->run_once();
    busy = std::ranges::any_of(stories_, [](const auto& s) { return !s->ended(); });
    if (damages || (fails && !runner_->fail_next.has_value())) failed_turns_.push_back(turn_);
    if (fails && runner_->fail_next.has_value()) {  // there was no step after all
      if (*runner_->fail_next == ErrorKind::device) closed_ = false;
      runner_->fail_next.reset();
    }
    if (std::string broken = check_turn(); !broken.empty()) return broken;
    if (turn_ > kMostTurns) return fmt::format("requests remain after {} turns", turn_);
  }
  for (const auto& story : stories_) {
    std::string broken = check(*story);
    if (broken.empty()) broken = check_tokens(*story);
    if (!broken.empty()) return fmt::format("request {}: {}", story->id, broken);
  }
  if (std::string broken = check_order(); !broken.empty()) return broken;
  return check_queue_is_empty();
}

std::string History::check_turn() const {
  const EngineStats stats = core_->stats();
  if (stats.n_running == 0 && stats.n_free_blocks != stats.n_blocks) {
    return fmt::format("turn {}: nothing runs, {} of {} blocks are free",
                       turn_,
                       stats.n_free_blocks,
                       stats.n_blocks);
  }
  for (const auto& s : stories_) {
    if (s->ended() || s->arrived == turn_) continue;
    if (s->cancelled >= 0) return fmt::format("request {}: cancelled and goes on", s->id);
    if (s->request.deadline && *s->request.deadline <= at(turn_)) {
      return fmt::format("request {}: past its deadline", s->id);
    }
  }
  return "";
}

// One ending, for a reason.
std::string History::check(const Story& s) const {
  if (s.threw) return s.n_last == 0 ? "" : "heard something after its callback threw";
  if (s.n_last != 1) return fmt::format("{} endings", s.n_last);
  const int64_t n_ids = static_cast<int64_t>(s.ids.size());
  if (s.last.usage.completion_tokens != n_ids) return "wrong completion_tokens";
  const bool step_failed = std::ranges::find(failed_turns_, s.last_turn) != failed_turns_.end();
  const int64_t room =
      options_.limits.max_model_len - static_cast<int64_t>(s.request.prompt_ids.size());
  switch (*s.last.finish) {
    case FinishReason::cancelled:
      return s.cancelled >= 0 ? "" : "nobody cancelled it";
    case FinishReason::timeout:
      return s.request.deadline && *s.request.deadline <= at(s.last_turn) ? "" : "timeout too soon";
    case FinishReason::error:
      return s.throws_in_processor || step_failed ? "" : "failed: " + s.last.error;
    case FinishReason::stop:
      if (s.request.embed) return s.embedding.size() == 1 && n_ids == 0 ? "" : "no embedding";
      return s.last.is_end_token ? "" : "stop without an end token";
    case FinishReason::length:
      return n_ids == std::min(room, s.request.sampling.max_tokens) ? "" : "wrong length";
  }
  return "no such reason";
}

// Whatever was said is what it would have been alone.
std::string History::check_tokens(const Story& s) const {
  std::vector<int32_t> tokens = s.request.prompt_ids;
  const size_t n_prompt = tokens.size();
  for (const int32_t id : s.ids) {
    if (id != likeliest(chain_of(tokens, tokens.size()))) return "a token differs";
    tokens.push_back(id);
  }
  if (!s.embedding.empty() &&
      s.embedding[0] != static_cast<float>(chain_of(tokens, n_prompt) % 4096)) {
    return "the embedding differs";
  }
  if (s.request.n_prompt_logprobs < 0 || !ran(s)) {
    return s.prompt_logprobs.empty() ? "" : "prompt logprobs that nobody asked for";
  }
  if (s.prompt_logprobs.size() != n_prompt) return "wrong number of prompt logprobs";
  for (size_t i = 1; i < n_prompt; ++i) {
    const PromptLogprobs& p = s.prompt_logprobs[i];
    const int32_t best = likeliest(chain_of(tokens, i));
    const float logprob = (tokens[i] == best ? 1.0f : 0.0f) - std::log(std::exp(1.0f) + 15.0f);
    if (p.token->token_id != tokens[i] || std::abs(p.token->logprob - logprob) > 1e-5f ||
        static_cast<int>(p.top.size()) != s.request.n_prompt_logprobs ||
        (!p.top.empty() && p.top[0].token_id != best)) {
      return "a prompt logprob differs";
    }
  }
  return "";
}

// The turn in which it began to run, or ended in the queue.
int64_t History::admitted(const Story& s) const {
  return s.arrived + static_cast<int64_t>(s.last.usage.queue_seconds) / kTick;
}

// Whether it said anything, and so was admitted.
bool History::ran(const Story& s) const { return !s.ids.empty() || !s.embedding.empty(); }

// Priority, first come first served for each user, and the bound of FairQueue.
std::string History::check_order() const {
  if (std::ranges::any_of(stories_, [](const auto& s) { return s->threw; })) return "";
  for (const auto& waiting : stories_) {
    const Story& w = *waiting;
    int64_t n_older = 0, n_others = 0;
    for (const auto& other : stories_) {
      const Story& o = *other;
      const bool older = o.id < w.id;
      n_older += older && o.request.priority == w.request.priority && admitted(o) >= w.arrived;
      // Admitted while w waited; those that ended in the queue do not count.
      const bool overtook =
          &o != &w && ran(o) && admitted(o) < admitted(w) && admitted(o) > w.arrived;
      if (!overtook) continue;
      n_others += o.request.priority == w.request.priority;
      if (o.request.priority > w.request.priority) {
        return fmt::format("request {} of a lower priority overtook {}", o.id, w.id);
      }
      if (!older && o.request.priority == w.request.priority &&
          o.request.fair_key == w.request.fair_key) {
        return fmt::format("request {} of the same user overtook {}", o.id, w.id);
      }
    }
    if (n_others > FairQueue::kOldestTurn * (n_older + 1)) {
      return fmt::format("request {}: {} others overtook it", w.id, n_others);
    }
  }
  return "";
}

// The queue takes what it promises: nobody is counted who left it.
std::string History::check_queue_is_empty() {
  if (closed_) return "";
  const Request one{.prompt_ids = {1}, .sampling = {.max_tokens = 1}};
  const int64_t n = options_.max_waiting_tokens > 0
                        ? std::min(options_.max_waiting, options_.max_waiting_tokens)
                        : options_.max_waiting;
  for (int64_t i = 0; i < n; ++i) {
    try {
      core_->submit(one, [](const Event&) {});
    } catch (const Error& error) {
      return fmt::format("{} of {} fit into an empty queue: {}", i, n, error.what());
    }
  }
  try {
    core_->submit(one, [](const Event&) {});
  } catch (const Error& error) {
    return error.kind() == ErrorKind::busy ? "" : error.what();
  }
  return "the queue takes more than it should";
}

}  // namespace qwen3::simulation
