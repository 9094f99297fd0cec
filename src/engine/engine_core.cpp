#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/mix64.h"
#include "engine/event_stream.h"
#include "engine/routed_experts.h"

namespace qwen3 {
namespace {

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Short enough to be copied where memory has run out.
constexpr const char* kNoMemory = "out of memory";

void set_error(Event& event, ErrorKind kind, std::string_view error) noexcept {
  event.error_kind = kind;
  try {
    event.error = error;
  } catch (const std::bad_alloc&) {
    event.error = kNoMemory;
  }
}

// Who may have thrown.
std::string_view decider_of(const Sequence& s) {
  if (s.logits_processor) return "logits_processor";
  return s.constrained != nullptr ? "constraint" : "sampling";
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

EngineCore::EngineCore(std::unique_ptr<ModelRunner> runner, CoreOptions options)
    : options_(std::move(options)),
      runner_(std::move(runner)),
      inbox_(std::make_shared<Inbox>(options_.max_waiting, options_.max_waiting_tokens)),
      seed_base_(random_seed()),
      scheduler_(options_.scheduler),
      builder_(options_.scheduler.block_size,
               options_.scheduler.max_batch_tokens,
               options_.scheduler.max_sequences),
      sampler_(std::make_unique<HostRowSampler>(
          *runner_, options_.limits.n_real_tokens, &constraint_workers_)) {
  QWEN3_CHECK(
      options_.limits.max_model_len <= options_.scheduler.n_blocks * options_.scheduler.block_size,
      ErrorKind::invalid_argument,
      "engine: the KV cache has {} tokens, a sequence may have {}",
      options_.scheduler.n_blocks * options_.scheduler.block_size,
      options_.limits.max_model_len);
  publish();
  if (options_.own_thread) thread_ = std::thread([this] { loop(); });
}

EngineCore::~EngineCore() {
  inbox_->stop();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    inbox_->receive(commands_, Inbox::Wait::no);
    shut_down();
  }
}

std::unique_ptr<Sequence> EngineCore::make_sequence(Request request) {
  validate(request, options_.limits);
  auto s = std::make_unique<Sequence>();
  s->id = ++last_id_;
  s->sampling = std::move(request.sampling);
  s->cache_salt = std::move(request.cache_salt);
  s->tap = request.tap;
  s->fair_key = std::move(request.fair_key);
  s->priority = request.priority;
  s->seed = s->sampling.seed.value_or(mix64(seed_base_ + s->id));
  s->end_ids = s->sampling.stop_token_ids;
  if (!s->sampling.ignore_eos) {
    s->end_ids.insert(
        s->end_ids.end(), options_.eos_token_ids.begin(), options_.eos_token_ids.end());
  }
  std::ranges::sort(s->end_ids);
  s->tokens = std::move(request.prompt_ids);
  s->n_prompt = static_cast<int64_t>(s->tokens.size());
  s->n_before = request.n_generated_before;
  s->usage.prompt_tokens = s->n_prompt;
  s->embed = request.embed;
  s->score_ids = std::move(request.score_ids);
  s->n_prompt_logprobs = request.n_prompt_logprobs;
  if (s->n_prompt_logprobs >= 0) {
    s->n_to_score = s->n_prompt - 1;
    s->prompt_logprobs.emplace_back();  // nothing comes before the first token
  }
  s->report_progress = request.report_progress;
  if (request.routed_experts != RoutedExperts::none) {
    const bool whole = request.routed_experts == RoutedExperts::with_the_prompt;
    s->wants_experts = true;
    s->n_routed = whole ? 0 : s->n_prompt - 1;
    reserve_experts(*s, s->n_prompt - s->n_routed);
  }
  const int64_t room = max_model_len() - s->n_prompt;
  const int64_t max_tokens = s->sampling.max_tokens;
  s->max_length = s->n_prompt + (max_tokens < 0 ? room : std::min(room, max_tokens));
  s->logits_processor = std::move(request.logits_processor);
  if (request.constraint != nullptr && s->score_ids.empty()) {
    s->constrained = constrain(*s, std::move(request.constraint));
  }
  s->deadline = request.deadline;
  s->submitted = options_.now();
  return s;
}

std::shared_ptr<ConstrainedAnswer> EngineCore::constrain(
    const Sequence& s, std::shared_ptr<TokenConstraint> constraint) const {
  const auto before = std::span(s.tokens).last(static_cast<size_t>(s.n_before));
  return std::make_shared<ConstrainedAnswer>(
      std::move(constraint),
      ConstrainedAnswer::Facts{
          .vocab_size = runner_->vocab_size(),
          .n_real_tokens = options_.limits.n_real_tokens,
          .eos_ids = s.sampling.ignore_eos ? std::vector<int32_t>() : options_.eos_token_ids,
          .stop_ids = s.sampling.stop_token_ids,
          .min_tokens = s.sampling.min_tokens},
      before);
}

void EngineCore::reserve_experts(Sequence& s, int64_t n_rows) const {
  s.routed_experts.reserve(static_cast<size_t>(n_rows * options_.limits.experts_per_row));
}

EventStream EngineCore::submit(Request request) {
  auto sequence = make_sequence(std::move(request));
  auto state = std::make_shared<EventStream::State>(inbox_, sequence->id);
  sequence->on_event = [state](const Event& event) { state->push(event); };
  inbox_->submit(std::move(sequence));
  return EventStream(std::move(state));
}

uint64_t EngineCore::submit(Request request, Engine::OnEvent on_event) {
  auto sequence = make_sequence(std::move(request));
  const uint64_t id = sequence->id;
  sequence->on_event = std::move(on_event);
  inbox_->submit(std::move(sequence));
  return id;
}

EngineStats EngineCore::stats() const {
  EngineStats stats;
  {
    const std::lock_guard lock(stats_mutex_);
    stats = stats_;
  }
  const Clock::rep began = turn_began_;
  if (began != kNoTurn) {
    // Another thread's clock may be read later than ours.
    stats.step_seconds =
        std::max(0.0, seconds(Clock::time_point(Clock::duration(began)), options_.now()));
  }
  return stats;
}

void EngineCore::loop() {
  while (inbox_->receive(commands_, idle() ? Inbox::Wait::yes : Inbox::Wait::no)) turn();
  shut_down();
}

void EngineCore::run_once() {
  inbox_->receive(commands_, Inbox::Wait::no);
  turn();
}

void EngineCore::turn() {
  turn_began_ = options_.now().time_since_epoch().count();
  take();
  end_expired();
  step();
  turn_began_ = kNoTurn;
}

void EngineCore::shut_down() {
  take();
  end_all(FinishReason::cancelled, ErrorKind::internal, "");
  report_step(options_.now());
  publish();
  deliver();
}

void EngineCore::take() {
  for (std::unique_ptr<Sequence>& submitted : commands_.submitted) take_in(std::move(submitted));
  for (const uint64_t id : commands_.cancelled) {
    const auto found = sequences_.find(id);
    if (found == sequences_.end()) continue;
    if (found->second->state != Sequence::State::finished) {
      end(*found->second, {}, FinishReason::cancelled);
    }
  }
}

void EngineCore::take_in(std::unique_ptr<Sequence> submitted) {
  Sequence& s = *submitted;
  try {
    make_room();
    std::unique_ptr<Sequence>& place = sequences_[s.id];
    if (s.deadline) deadlines_.emplace(*s.deadline, s.id);
    scheduler_.add(s);
    place = std::move(submitted);
    if (s.constrained != nullptr) constraint_workers_.want(s.constrained);
  } catch (const std::bad_alloc&) {
    refuse(s);
  }
}

// For one sequence more: in one turn each may have word of its progress, an event and its last.
void EngineCore::make_room() {
  const size_t n_events = 3 * (sequences_.size() + 1);
  if (outbox_.capacity() < n_events) outbox_.reserve(2 * n_events);
  if (options_.on_step && report_.ended.capacity() < n_events) report_.ended.reserve(2 * n_events);
}

// There was no memory to take it in.
void EngineCore::refuse(Sequence& s) noexcept {
  note_left_queue(s);
  try {
    Event event;
    event.finish = FinishReason::error;
    set_error(event, ErrorKind::out_of_memory, kNoMemory);
    event.usage = s.usage;
    s.on_event(event);
  } catch (...) {
    // It has given itself up.
  }
  forget(s);
}

// Nothing needs to wake an idle engine for a deadline: it has no request.
void EngineCore::end_expired() {
  if (deadlines_.empty()) return;
  const Clock::time_point now = options_.now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Sequence& s = *sequences_.at(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
    if (s.state != Sequence::State::finished) end(s, {}, FinishReason::timeout);
  }
}

// Whatever goes wrong in a step ends the sequences that were in it; a device that failed, or a
// broken invariant of ours, ends the engine.
void EngineCore::step() {
  const Clock::time_point begin = options_.on_step ? options_.now() : Clock::time_point();
  try {
    run_batch();
  } catch (const std::bad_alloc&) {
    if (scheduler_.n_running() > 0) {
      end_running(ErrorKind::out_of_memory, kNoMemory);
    } else if (Sequence* next = scheduler_.next_waiting()) {
      fail_for_memory(*next);
    }
  } catch (const Error& error) {
    end_running(error.kind(), error.what());
    if (error.kind() == ErrorKind::device || error.kind() == ErrorKind::internal) {
      inbox_->close(error.what());
      end_all(FinishReason::error, error.kind(), error.what());
    }
  } catch (const std::exception& error) {
    end_running(ErrorKind::internal, error.what());
  }
  report_step(begin);
  publish();
  deliver();
}

void EngineCore::run_batch() {
  const std::span<const Slice> slices = scheduler_.schedule();
  if (slices.empty()) return;
  note_admissions();
  note_computed(slices);
  const std::span<const Slice> fused = tapped_.run(slices, *runner_, builder_);
  const Batch batch = builder_.build(fused);
  const Tensor logits = batch.n_tokens() > 0 ? runner_->run(batch) : Tensor();
  if (batch.n_tokens() > 0) take_routed_experts(fused, *runner_);
  tell_progress(slices);
  scheduler_.commit();
  ++counters_.n_steps;
  take_logits(builder_.logit_rows(), logits);
  if (!builder_.hidden_rows().empty()) take_hidden(builder_.hidden_rows(), runner_->hidden());
  finish_tapped();
  if (options_.check_every_step) scheduler_.check_conservation();
}

void EngineCore::finish_tapped() {
  for (TappedPasses::Pass& pass : tapped_.passes()) {
    Sequence& s = *pass.sequence;
    if (s.state == Sequence::State::finished) continue;
    if (!pass.problem.empty()) {
      fail_request(s, fmt::format("request {}: its tap failed: {}", s.id, pass.problem));
      continue;
    }
    if (!pass.rows.empty()) take_logits(pass.rows, pass.logits_of_rows());
    if (!pass.hidden.empty()) take_hidden({&pass.sequence, 1}, pass.hidden_row());
  }
}

void EngineCore::note_admissions() {
  for (Sequence* sequence : scheduler_.running()) {
    Sequence& s = *sequence;
    if (s.admitted != Clock::time_point()) continue;
    s.admitted = options_.now();
    s.usage.queue_seconds = seconds(s.submitted, s.admitted);
    counters_.prompt_tokens += s.n_prompt;
    counters_.cached_tokens += s.usage.cached_tokens;
    note_left_queue(s);
  }
}

void EngineCore::note_left_queue(const Sequence& s) {
  ++n_left_queue_;
  n_tokens_left_queue_ += s.n_prompt;
}

void EngineCore::tell_progress(std::span<const Slice> slices) {
  for (const Slice& slice : slices) {
    Sequence& s = *slice.sequence;
    if (!s.report_progress || s.n_generated() > 0) continue;
    const int64_t processed = std::min(slice.begin + slice.count, s.n_prompt);
    Event event;
    event.progress = {.total = s.n_prompt,
                      .cached = s.usage.cached_tokens,
                      .processed = processed,
                      .seconds = seconds(s.admitted, options_.now())};
    outbox_.push_back({&s, std::move(event)});
  }
}

void EngineCore::note_computed(std::span<const Slice> slices) {
  if (!options_.on_step) return;
  for (const Slice& slice : slices) {
    const Sequence& s = *slice.sequence;
    report_.computed.push_back({.request_id = s.id,
                                .first_token = slice.begin,
                                .n_tokens = slice.count,
                                .n_prompt = s.n_prompt,
                                .submitted = s.submitted});
  }
}

void EngineCore::report_step(Clock::time_point begin) {
  if (report_.computed.empty() && report_.ended.empty()) return;
  report_.begin = begin;
  report_.end = options_.now();
  options_.on_step(report_);
  report_.computed.clear();
  report_.ended.clear();
}

void EngineCore::take_logits(std::span<const BatchBuilder::LogitRow> rows, const Tensor& logits) {
  sampler_->choose(rows, logits);
  for (size_t i = 0; i < rows.size(); ++i) {
    Sequence& s = *rows[i].sequence;
    if (s.state == Sequence::State::finished) continue;  // an earlier row was damaged
    try {
      take_row(rows[i], i);
    } catch (const std::bad_alloc&) {
      fail_for_memory(s);
    }
  }
}

void EngineCore::take_row(const BatchBuilder::LogitRow& row, size_t i) {
  if (row.scores()) {
    take_score(row, sampler_->take(i));
  } else if (const Sampled* sampled = sampled_or_end(*row.sequence, i)) {
    take_token(*row.sequence, *sampled);
  }
}

void EngineCore::take_hidden(std::span<Sequence* const> owners, const Tensor& hidden) {
  for (size_t i = 0; i < owners.size(); ++i) {
    Sequence& s = *owners[i];
    if (s.state == Sequence::State::finished) continue;
    const std::span<const float> row(hidden.f32_row(static_cast<int64_t>(i)),
                                     static_cast<size_t>(hidden.dim(1)));
    try {
      take_embedding(s, row);
    } catch (const std::bad_alloc&) {
      fail_for_memory(s);
    }
  }
}

void EngineCore::take_embedding(Sequence& s, std::span<const float> row) {
  if (!all_finite(row)) return end_damaged(s, s.n_prompt - 1);
  Event event;
  note_first_output(s, event);
  event.embedding.assign(row.begin(), row.end());
  end(s, std::move(event), FinishReason::stop);
}

void EngineCore::take_score(const BatchBuilder::LogitRow& row, const Sampled& scored) {
  Sequence& s = *row.sequence;
  if (scored.status != Sampled::Status::ok) {
    end_damaged(s, row.position);
    return;
  }
  s.prompt_logprobs.push_back({.token = TokenLogprob{scored.token_id, scored.logprob},
                               .top = {scored.top.begin(), scored.top.begin() + scored.n_top},
                               .rank = scored.rank});
  ++s.n_scored;
}

void EngineCore::note_first_output(Sequence& s, Event& event) {
  s.first_token = options_.now();
  s.usage.prefill_seconds = seconds(s.admitted, s.first_token);
  event.prompt_logprobs = std::move(s.prompt_logprobs);
}

void EngineCore::end_damaged(Sequence& s, int64_t position) {
  fail_request(s,
               fmt::format("request {}: output after token {}: not a number or infinite; the "
                           "weights or the cache are damaged",
                           s.id,
                           position + 1));
}

void EngineCore::fail_request(Sequence& s, std::string error, ErrorKind kind) {
  Event event;
  event.error = std::move(error);
  event.error_kind = kind;
  end(s, std::move(event), FinishReason::error);
}

void EngineCore::fail_for_memory(Sequence& s) {
  Event event;
  set_error(event, ErrorKind::out_of_memory, kNoMemory);
  end(s, std::move(event), FinishReason::error);
}

// What was sampled for the sequence; null if that failed, which ends it.
const Sampled* EngineCore::sampled_or_end(Sequence& s, size_t row) {
  try {
    return &sampler_->take(row);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Error& error) {
    fail_request(
        s, fmt::format("request {}: {}: {}", s.id, decider_of(s), error.what()), error.kind());
  } catch (const std::exception& error) {
    fail_request(s, fmt::format("request {}: {}: {}", s.id, decider_of(s), error.what()));
  } catch (...) {
    fail_request(s, fmt::format("request {}: {} threw", s.id, decider_of(s)));
  }
  return nullptr;
}

void EngineCore::take_token(Sequence& s, const Sampled& sampled) {
  switch (sampled.status) {
    case Sampled::Status::ok:
      break;
    case Sampled::Status::not_finite:
      end_damaged(s, static_cast<int64_t>(s.tokens.size()) - 1);
      return;
    case Sampled::Status::bad_processor:
      fail_request(s,
                   fmt::format("request {}: logits_processor: expected numbers or minus infinity, "
                               "got NaN or plus infinity",
                               s.id));
      return;
    case Sampled::Status::nothing_allowed:
      fail_request(s,
                   fmt::format("request {}: after token {} no token is allowed; check "
                               "allowed_token_ids, constraint, logits_processor and min_tokens",
                               s.id,
                               s.tokens.size()));
      return;
    case Sampled::Status::over:
      end(s, {}, FinishReason::stop);
      return;
  }
  Event event;
  if (s.n_generated() == 0) note_first_output(s, event);
  if (!s.score_ids.empty()) {
    event.scores = sampled.scores;
    return end(s, std::move(event), FinishReason::stop);
  }
  s.tokens.push_back(sampled.token_id);
  ++counters_.generated_tokens;
  event.token_id = sampled.token_id;
  event.is_end_token = std::ranges::binary_search(s.end_ids, sampled.token_id);
  if (s.sampling.n_logprobs >= 0) {
    event.logprob = {sampled.token_id, sampled.logprob};
    event.top_logprobs.assign(sampled.top.begin(), sampled.top.begin() + sampled.n_top);
  }
  if (s.wants_experts) {
    event.routed_experts = std::exchange(s.routed_experts, {});
    reserve_experts(s, 1);
  }
  if (event.is_end_token || sampled.exhausted) {
    end(s, std::move(event), FinishReason::stop);
  } else if (static_cast<int64_t>(s.tokens.size()) == s.max_length) {
    end(s, std::move(event), FinishReason::length);
  } else {
    outbox_.push_back({&s, std::move(event)});
  }
}

void EngineCore::end(Sequence& s, Event event, FinishReason reason) {
  scheduler_.finish(s);
  if (s.admitted == Clock::time_point()) {
    note_left_queue(s);
    s.usage.queue_seconds = seconds(s.submitted, options_.now());
  } else if (s.n_generated() > 0) {
    s.usage.decode_seconds = seconds(s.first_token, options_.now());
  }
  s.usage.completion_tokens = s.n_generated();
  event.finish = reason;
  event.usage = s.usage;
  if (options_.on_step) {
    report_.ended.push_back({.request_id = s.id, .reason = reason, .submitted = s.submitted});
  }
  outbox_.push_back({&s, std::move(event)});
}

void EngineCore::end_running(ErrorKind kind, std::string_view error) {
  while (scheduler_.n_running() > 0) {
    Event event;
    set_error(event, kind, error);
    end(*scheduler_.running().back(), std::move(event), FinishReason::error);
  }
}

void EngineCore::end_all(FinishReason reason, ErrorKind kind, std::string_view error) {
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::finished) continue;
    Event event;
    set_error(event, kind, error);
    end(*sequence, std::move(event), reason);
  }
}

void EngineCore::publish() {
  if (n_left_queue_ > 0) {
    inbox_->left_queue(std::exchange(n_left_queue_, 0), std::exchange(n_tokens_left_queue_, 0));
  }
  counters_.n_running = scheduler_.n_running();
  counters_.n_waiting = scheduler_.n_waiting();
  counters_.n_blocks = scheduler_.pool().n_blocks();
  counters_.n_free_blocks = scheduler_.pool().n_free();
  counters_.n_preemptions = scheduler_.n_preemptions();
  const std::lock_guard lock(stats_mutex_);
  stats_ = counters_;
}

// A callback that throws has given up its request: it is cancelled, the others go on.
void EngineCore::deliver() {
  for (Delivery& delivery : outbox_) {
    if (delivery.sequence == nullptr) continue;
    Sequence& s = *delivery.sequence;
    bool ended = delivery.event.finish.has_value();
    try {
      s.on_event(delivery.event);
    } catch (...) {
      scheduler_.finish(s);
      drop_deliveries(s);
      ended = true;
    }
    if (ended) forget(s);
  }
  outbox_.clear();
}

// A step that failed half-way may have an event for it and its last one.
void EngineCore::drop_deliveries(const Sequence& s) {
  for (Delivery& delivery : outbox_) {
    if (delivery.sequence == &s) delivery.sequence = nullptr;
  }
}

void EngineCore::forget(const Sequence& s) {
  const uint64_t id = s.id;
  if (s.deadline) deadlines_.erase({*s.deadline, id});
  inbox_->forget(id);
  sequences_.erase(id);
}

}  // namespace qwen3
