#include "engine/row_sampler.h"

#include <algorithm>

namespace qwen3 {
namespace {

// Logits of a step below which one thread is asked: it samples them greedily in 9 µs, a team of two
// in 5 to 7, and a quarter of them as fast alone as together. AMD EPYC (Zen 4), 2 cores,
// 2026-11-27.
constexpr int64_t kSerialLogits = 16 * 1024;

bool waits(const BatchBuilder::LogitRow& row) {
  return !row.scores() && row.sequence->logits_processor != nullptr;
}

}  // namespace

HostRowSampler::HostRowSampler(ModelRunner& runner,
                               int64_t n_real_tokens,
                               ConstraintWorkers* workers)
    : runner_(runner),
      n_real_tokens_(n_real_tokens),
      workers_(workers),
      samplers_(static_cast<size_t>(runner.n_threads())) {}

void HostRowSampler::choose(std::span<const BatchBuilder::LogitRow> rows, const Tensor& logits) {
  rows_ = rows;
  logits_ = logits;
  first_on_host_ = 0;
  choices_.resize(rows.size());
  now_.clear();
  if (logits.place() == Place::device) return choose_on_device();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!waits(rows[i])) now_.push_back(i);
  }
  choose_whole_rows();
}

// Most rows are chosen from their largest numbers; only what lies between the first and the last of the
// others is brought to the host.
void HostRowSampler::choose_on_device() {
  const std::span<const RowScan> scans = runner_.scans(n_real_tokens_);
  if (!scans.empty()) prepare_constraints();
  size_t first = rows_.size(), last = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    Choice& choice = choices_[i];
    choice.thrown = nullptr;
    if (!scans.empty() && !rows_[i].scores() && choose_by_scan(i, scans[i])) continue;
    first = std::min(first, i);
    last = i;
    if (!waits(rows_[i])) now_.push_back(i);
  }
  if (first == rows_.size()) return;
  first_on_host_ = first;
  logits_ = runner_.host_rows(
      logits_, static_cast<int64_t>(first), static_cast<int64_t>(last - first + 1));
  choose_whole_rows();
}

bool HostRowSampler::choose_by_scan(size_t i, const RowScan& scan) {
  Choice& choice = choices_[i];
  if (!rows_[i].sequence->score_ids.empty()) return false;
  try {
    const auto sampled = sampler(0).sample(scan, input_of(i));
    if (!sampled) return false;
    choice.sampled = *sampled;
    tell_constraint(*rows_[i].sequence, choice.sampled);
  } catch (...) {
    choice.thrown = std::current_exception();
  }
  return true;
}

// By the team: this thread, the engine's, has enough to do.
void HostRowSampler::prepare_constraints() {
  unready_.clear();
  for (size_t i = 0; i < rows_.size(); ++i) {
    const ConstrainedAnswer* answer = rows_[i].sequence->constrained.get();
    if (answer != nullptr && !rows_[i].scores() && !answer->is_ready()) unready_.push_back(i);
  }
  if (unready_.empty()) return;
  runner_.for_each_row(std::ssize(unready_), [this](int64_t k, int) {
    rows_[unready_[static_cast<size_t>(k)]].sequence->constrained->prepare();
  });
}

void HostRowSampler::choose_whole_rows() {
  const auto n_rows = static_cast<int64_t>(now_.size());
  if (n_rows < 2 || n_rows * logits_.dim(1) < kSerialLogits) {
    for (const size_t i : now_) choose_now(i, 0);
    return;
  }
  runner_.for_each_row(
      n_rows, [this](int64_t k, int thread) { choose_now(now_[static_cast<size_t>(k)], thread); });
}

const Sampled& HostRowSampler::take(size_t i) {
  Choice& choice = choices_[i];
  if (waits(rows_[i])) {
    choice.sampled = compute(i, 0);
  } else if (choice.thrown != nullptr) {
    std::rethrow_exception(choice.thrown);
  }
  return choice.sampled;
}

void HostRowSampler::choose_now(size_t i, int thread) noexcept {
  Choice& choice = choices_[i];
  choice.thrown = nullptr;
  try {
    choice.sampled = compute(i, thread);
  } catch (...) {
    choice.thrown = std::current_exception();
  }
}

Sampled HostRowSampler::compute(size_t i, int thread) {
  const auto& [sequence, position] = rows_[i];
  const Sequence& s = *sequence;
  const std::span<float> row(logits_.f32_row(static_cast<int64_t>(i - first_on_host_)),
                             static_cast<size_t>(logits_.dim(1)));
  if (rows_[i].scores()) {
    const int32_t token_id = s.tokens[static_cast<size_t>(position + 1)];
    return sampler(thread).score(row, token_id, s.n_prompt_logprobs);
  }
  if (!s.score_ids.empty()) return sampler(thread).score(row, s.score_ids);
  Sampled sampled = sampler(thread).sample(row, input_of(i));
  tell_constraint(s, sampled);
  return sampled;
}

void HostRowSampler::tell_constraint(const Sequence& s, Sampled& sampled) {
  if (s.constrained == nullptr || sampled.status != Sampled::Status::ok) return;
  if (std::ranges::binary_search(s.end_ids, sampled.token_id)) return;  // the end of it
  sampled.exhausted = s.constrained->accept(sampled.token_id);
  if (workers_ != nullptr && !sampled.exhausted) workers_->want(s.constrained);
}

SampleInput HostRowSampler::input_of(size_t i) const {
  const Sequence& s = *rows_[i].sequence;
  return {.params = s.sampling,
          .tokens = s.tokens,
          .n_prompt = s.n_prompt - s.n_before,
          .end_ids = s.end_ids,
          .seed = s.seed,
          .processor = &s.logits_processor,
          .allowed = s.constrained != nullptr ? &s.constrained->allowed() : nullptr};
}

Sampler& HostRowSampler::sampler(int thread) {
  std::unique_ptr<Sampler>& mine = samplers_[static_cast<size_t>(thread)];
  if (mine == nullptr) mine = std::make_unique<Sampler>(runner_.vocab_size(), n_real_tokens_);
  return *mine;
}

}  // namespace qwen3
