#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/mix64.h"
#include "engine/candidates.h"

namespace qwen3 {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr double kGreedyBelow = 1e-5;  // vLLM's limit
// Candidates that a nucleus is first sought among: enough for nearly every real distribution.
constexpr int64_t kFirstLook = 256;

size_t index(int32_t id) { return static_cast<size_t>(id); }

bool penalises(const SampleInput& input) {
  const SamplingParams& p = input.params;
  return p.repetition_penalty != 1.0 ||
         (static_cast<int64_t>(input.tokens.size()) > input.n_prompt &&
          (p.frequency_penalty != 0 || p.presence_penalty != 0));
}

bool is_too_short(const SampleInput& input) {
  return static_cast<int64_t>(input.tokens.size()) - input.n_prompt < input.params.min_tokens;
}

// A constraint's tokens are settled (AllowedTokens).
bool masks_ends(const SampleInput& input) {
  return input.allowed == nullptr && is_too_short(input);
}

// Whether Sampler::edit() changes anything, but by a constraint.
bool edits(const SampleInput& input) {
  return penalises(input) || masks_ends(input) || !input.params.logit_bias.empty() ||
         !input.params.allowed_token_ids.empty();
}

bool has_processor(const SampleInput& input) {
  return input.processor != nullptr && *input.processor;
}

// Whether the constraint leaves so few that they are looked at alone.
bool is_listed(const AllowedTokens* allowed) {
  return allowed != nullptr && allowed->kind == AllowedTokens::Kind::only;
}

// Whether the constraint leaves so few that they are taken out of the row: of 151,643 numbers a tenth is picked in
// 14 us, half of them in 66; forbidding the others takes 82 and 40, and the row must be scanned then. AMD EPYC,
// 2026-11-30.
bool is_sparse(const AllowedTokens* allowed, int64_t n_tokens) {
  return allowed != nullptr && allowed->kind == AllowedTokens::Kind::bits &&
         allowed->n_bits < n_tokens * 2 / 5;
}

// Whether the constraint changes the row.
bool forbids(const AllowedTokens* allowed, int64_t n_tokens) {
  if (allowed == nullptr || is_listed(allowed) || is_sparse(allowed, n_tokens)) return false;
  return allowed->kind == AllowedTokens::Kind::bits || !allowed->ids.empty();
}

// Whether the token is known without its row.
bool is_forced(const SampleInput& input) {
  return is_listed(input.allowed) && input.allowed->ids.size() <= 1 &&
         input.params.n_logprobs < 0 && !has_processor(input);
}

Sampled forced_token(const AllowedTokens& allowed) {
  Sampled out;
  if (allowed.ids.empty()) {
    out.status = allowed.over ? Sampled::Status::over : Sampled::Status::nothing_allowed;
  } else {
    out.token_id = allowed.ids.front();
  }
  return out;
}

void forbid(std::span<float> logits, const AllowedTokens& allowed) {
  if (allowed.kind == AllowedTokens::Kind::all_but) {
    for (const int32_t id : allowed.ids) logits[index(id)] = kMasked;
    return;
  }
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const auto part = logits.subspan(begin, std::min<size_t>(64, logits.size() - begin));
    uint64_t forbidden = ~allowed.bits[begin / 64];
    if (part.size() < 64) forbidden &= (uint64_t{1} << part.size()) - 1;
    if (forbidden == ~uint64_t{0}) {
      std::ranges::fill(part, kMasked);
      continue;
    }
    for (; forbidden != 0; forbidden &= forbidden - 1) {
      part[static_cast<size_t>(std::countr_zero(forbidden))] = kMasked;
    }
  }
}

double draw_of(const SampleInput& input) {
  return uniform(input.seed,
                 static_cast<uint64_t>(static_cast<int64_t>(input.tokens.size()) - input.n_prompt));
}

}  // namespace

double uniform(uint64_t seed, uint64_t step) {
  return static_cast<double>(mix64(mix64(seed) + step) >> 11) * 0x1p-53;
}

Sampler::Sampler(int64_t vocab_size, int64_t n_real_tokens)
    : n_real_tokens_(n_real_tokens),
      scan_(n_real_tokens),
      counts_(static_cast<size_t>(vocab_size)),
      saved_(static_cast<size_t>(vocab_size)) {
  scratch_.reserve(static_cast<size_t>(n_real_tokens));
}

Sampled Sampler::sample(std::span<float> logits, const SampleInput& input) {
  if (is_forced(input)) return forced_token(*input.allowed);
  Sampled out;
  if (!all_finite(logits)) {
    out.status = Sampled::Status::not_finite;
    return out;
  }
  const SamplingParams& p = input.params;
  const std::span<float> real = logits.first(static_cast<size_t>(n_real_tokens_));
  const bool listed = is_listed(input.allowed);
  const bool sparse = is_sparse(input.allowed, n_real_tokens_);
  // A row that a constraint changes is scanned when it has.
  const bool later = listed || sparse || forbids(input.allowed, n_real_tokens_);
  if (!later || p.n_logprobs >= 0) scan_.scan(real);
  if (p.n_logprobs >= 0) {
    measure_logprobs(out, logits, p.n_logprobs);
    std::ranges::copy(logits, saved_.begin());
  }
  if (has_processor(input) && !process(logits, input)) {
    out.status = Sampled::Status::bad_processor;
    return out;
  }
  const bool changed = edit(real, input) || has_processor(input);
  if (listed) {
    choose_listed(out, real, input);
  } else if (sparse) {
    choose_picked(out, real, input);
  } else {
    if (changed) scan_.scan(real);
    choose_of_row(out, real, input);
  }
  if (out.status == Sampled::Status::ok && p.n_logprobs >= 0) {
    out.logprob =
        static_cast<float>(static_cast<double>(saved_[index(out.token_id)]) - log_sum_exp_);
  }
  return out;
}

// Of the scanned row.
void Sampler::choose_of_row(Sampled& out, std::span<const float> logits, const SampleInput& input) {
  const SamplingParams& p = input.params;
  if (!std::isfinite(scan_.max())) {
    out.status = scan_.max() < 0 ? Sampled::Status::nothing_allowed : Sampled::Status::not_finite;
  } else {
    out.token_id = p.temperature < kGreedyBelow ? scan_.argmax() : draw(p, logits, draw_of(input));
  }
}

// Of what a constraint allows, as a row of its own. Order and so every choice are those of the whole row.
void Sampler::choose_picked(Sampled& out, std::span<const float> logits, const SampleInput& input) {
  picked_.clear();
  picked_ids_.clear();
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    for (uint64_t rest = input.allowed->bits[begin / 64]; rest != 0; rest &= rest - 1) {
      const size_t id = begin + static_cast<size_t>(std::countr_zero(rest));
      picked_.push_back(logits[id]);
      picked_ids_.push_back(static_cast<int32_t>(id));
    }
  }
  scan_.scan(picked_);
  choose_of_row(out, picked_, input);
  if (out.status == Sampled::Status::ok) out.token_id = picked_ids_[index(out.token_id)];
}

// Of the few that a constraint allows.
void Sampler::choose_listed(Sampled& out, std::span<const float> logits, const SampleInput& input) {
  listed_.clear();
  for (const int32_t id : input.allowed->ids) {
    const float value = logits[index(id)];
    if (value > kMasked) listed_.push_back({value, id, 0.0});
  }
  if (listed_.empty()) {
    out.status = input.allowed->over ? Sampled::Status::over : Sampled::Status::nothing_allowed;
  } else if (best_of(listed_).value > std::numeric_limits<float>::max()) {
    out.status = Sampled::Status::not_finite;
  } else {
    out.token_id = choose_candidate(listed_, input);
  }
}

// By ascending id, and none is missing that a filter keeps.
int32_t Sampler::choose_candidate(std::vector<Candidate>& kept, const SampleInput& input) {
  const SamplingParams& p = input.params;
  const Candidate best = best_of(kept);
  if (p.temperature < kGreedyBelow) return best.id;
  narrow(kept, p, best.value, cut_of_min_p(p, best.value));
  return draw_from(kept, draw_of(input));
}

std::optional<Sampled> Sampler::sample(const RowScan& scan, const SampleInput& input) {
  if (is_forced(input)) return forced_token(*input.allowed);
  Sampled out;
  const SamplingParams& p = input.params;
  if (p.n_logprobs >= 0 || has_processor(input) || edits(input)) return std::nullopt;
  if (!scan.finite) {
    out.status = Sampled::Status::not_finite;
    return out;
  }
  if (!scan.listed || scan.values.empty()) return std::nullopt;
  if (input.allowed != nullptr) return sample_allowed(scan, input);
  const auto best = std::ranges::max_element(scan.values);  // the first of equals: the lowest id
  if (p.temperature < kGreedyBelow) {
    out.token_id = scan.ids[static_cast<size_t>(best - scan.values.begin())];
    return out;
  }
  const double min_p_cut = cut_of_min_p(p, *best);
  const bool all_listed = (p.top_k > 0 && p.top_k <= Backend::kListed) ||
                          min_p_cut >= static_cast<double>(scan.threshold);
  if (!all_listed) return std::nullopt;
  listed_.clear();
  for (size_t i = 0; i < scan.values.size(); ++i) {
    listed_.push_back({scan.values[i], scan.ids[i], 0.0});
  }
  narrow(listed_, p, *best, min_p_cut);
  out.token_id = draw_from(listed_, draw_of(input));
  return out;
}

// Of the numbers that are not listed none is as large as the least that is: the choice is the whole row's if it
// is among them.
std::optional<Sampled> Sampler::sample_allowed(const RowScan& scan, const SampleInput& input) {
  const SamplingParams& p = input.params;
  const AllowedTokens& allowed = *input.allowed;
  listed_.clear();
  for (size_t i = 0; i < scan.values.size(); ++i) {
    if (allowed.has(scan.ids[i]) && scan.values[i] > kMasked) {
      listed_.push_back({scan.values[i], scan.ids[i], 0.0});
    }
  }
  if (listed_.empty()) return std::nullopt;
  const auto n = static_cast<int64_t>(listed_.size());
  const bool all_here = is_listed(&allowed) && n == std::ssize(allowed.ids);
  const double min_p_cut = cut_of_min_p(p, best_of(listed_).value);
  if (p.temperature >= kGreedyBelow && !all_here && !(p.top_k > 0 && p.top_k <= n) &&
      !(p.min_p > 0 && min_p_cut >= static_cast<double>(scan.threshold))) {
    return std::nullopt;
  }
  Sampled out;
  out.token_id = choose_candidate(listed_, input);
  return out;
}

Sampled Sampler::score(std::span<const float> logits, int32_t token_id, int n_top) {
  Sampled out;
  if (!all_finite(logits)) {
    out.status = Sampled::Status::not_finite;
    return out;
  }
  scan_.scan(logits.first(static_cast<size_t>(n_real_tokens_)));
  measure_logprobs(out, logits, n_top);
  out.token_id = token_id;
  const float given = logits[index(token_id)];
  out.logprob = static_cast<float>(static_cast<double>(given) - log_sum_exp_);
  // As the likeliest are ordered: of equal tokens the lower id comes first.
  for (size_t id = 0; id < static_cast<size_t>(n_real_tokens_); ++id) {
    out.rank += logits[id] > given || (logits[id] == given && id < index(token_id));
  }
  ++out.rank;
  return out;
}

Sampled Sampler::score(std::span<const float> logits, std::span<const int32_t> ids) {
  Sampled out;
  if (!all_finite(logits)) {
    out.status = Sampled::Status::not_finite;
    return out;
  }
  scan_.scan(logits.first(static_cast<size_t>(n_real_tokens_)));
  measure_logprobs(out, logits, 0);
  for (const int32_t id : ids) out.scores.push_back(double{logits[index(id)]} - log_sum_exp_);
  return out;
}

void Sampler::measure_logprobs(Sampled& out, std::span<const float> logits, int n_logprobs) {
  // Over the whole row, padding included, as log_softmax of the model's output is.
  float max = scan_.max();
  for (const float x : logits.subspan(static_cast<size_t>(n_real_tokens_))) max = std::max(max, x);
  log_sum_exp_ = static_cast<double>(max) + std::log(sum_exp(logits, max, 1.0f));
  if (n_logprobs == 0) return;
  std::vector<Candidate>& best = scan_.collect(scan_.lower_bound_of_top(n_logprobs));
  out.n_top = std::min(n_logprobs, static_cast<int>(best.size()));
  std::partial_sort(best.begin(), best.begin() + out.n_top, best.end(), better);
  for (int i = 0; i < out.n_top; ++i) {
    const Candidate& c = best[static_cast<size_t>(i)];
    out.top[static_cast<size_t>(i)] = {
        c.id, static_cast<float>(static_cast<double>(c.value) - log_sum_exp_)};
  }
}

// Whether it left only numbers and minus infinity where tokens are sampled.
bool Sampler::process(std::span<float> logits, const SampleInput& input) const {
  (*input.processor)(input.tokens.subspan(static_cast<size_t>(input.n_prompt)), logits);
  bool good = true;
  for (const float x : logits.first(static_cast<size_t>(n_real_tokens_))) good &= x < -kMasked;
  return good;
}

// Bias, penalties and masks, in place. Whether anything changed.
bool Sampler::edit(std::span<float> logits, const SampleInput& input) {
  const SamplingParams& p = input.params;
  for (const auto& [id, bias] : p.logit_bias) logits[index(id)] += static_cast<float>(bias);
  if (penalises(input)) penalise(logits, input);
  if (!p.allowed_token_ids.empty()) mask_all_but(logits, p.allowed_token_ids);
  if (masks_ends(input)) {
    for (const int32_t id : input.end_ids) {
      if (id < n_real_tokens_) logits[index(id)] = kMasked;
    }
  }
  const bool by_constraint = forbids(input.allowed, n_real_tokens_);
  if (by_constraint) forbid(logits, *input.allowed);
  return edits(input) || by_constraint;
}

void Sampler::penalise(std::span<float> logits, const SampleInput& input) {
  constexpr int32_t kDone = -1;
  const SamplingParams& p = input.params;
  const auto repetition = static_cast<float>(p.repetition_penalty);
  const auto frequency = static_cast<float>(p.frequency_penalty);
  const auto presence = static_cast<float>(p.presence_penalty);
  const auto generated = input.tokens.subspan(static_cast<size_t>(input.n_prompt));
  for (const int32_t id : generated) ++counts_[index(id)];
  for (const int32_t id : input.tokens) {
    int32_t& count = counts_[index(id)];
    if (count == kDone || id >= n_real_tokens_) continue;
    float& logit = logits[index(id)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count > 0) {
      logit -= frequency * static_cast<float>(count);
      logit -= presence;
    }
    count = kDone;
  }
  for (const int32_t id : input.tokens) counts_[index(id)] = 0;
}

void Sampler::mask_all_but(std::span<float> logits, std::span<const int32_t> ids) {
  for (const int32_t id : ids) counts_[index(id)] = 1;
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = counts_[i] != 0 ? logits[i] : kMasked;
  for (const int32_t id : ids) counts_[index(id)] = 0;
}

int32_t Sampler::draw(const SamplingParams& p, std::span<const float> logits, double u) {
  const auto scale = static_cast<float>(1.0 / p.temperature);
  const bool filtered = p.top_k > 0 || p.min_p > 0;
  if (!filtered && p.top_p == 1.0) return draw_unfiltered(logits, scale, u);
  return draw_from(filtered ? filter(p) : nucleus_of_all(logits, p.temperature, p.top_p), u);
}

std::vector<Candidate>& Sampler::filter(const SamplingParams& p) {
  float threshold = kMasked;
  if (p.top_k > 0) threshold = scan_.lower_bound_of_top(p.top_k);
  const double min_p_cut = cut_of_min_p(p, scan_.max());
  std::vector<Candidate>& kept =
      scan_.collect(std::max(threshold, std::nextafter(static_cast<float>(min_p_cut), kMasked)));
  narrow(kept, p, scan_.max(), min_p_cut);
  return kept;
}

// Of candidates that miss none that stays.
void Sampler::narrow(std::vector<Candidate>& kept,
                     const SamplingParams& p,
                     float max,
                     double min_p_cut) {
  std::erase_if(kept, [&](const Candidate& c) { return static_cast<double>(c.value) < min_p_cut; });
  if (p.top_k > 0 && p.top_k < static_cast<int64_t>(kept.size())) {
    scratch_ = kept;
    const float kth = kth_value(scratch_, p.top_k);  // ties with it stay
    std::erase_if(kept, [&](const Candidate& c) { return c.value < kth; });
  }
  const double total = weigh(kept, max, p.temperature);
  if (p.top_p < 1.0) keep_nucleus(kept, p.top_p * total);
}

void Sampler::keep_nucleus(std::vector<Candidate>& kept, double goal) {
  scratch_ = kept;
  const Candidate edge = nucleus_edge(scratch_, goal);
  std::erase_if(kept, [&](const Candidate& c) { return better(edge, c); });
}

std::vector<Candidate>& Sampler::nucleus_of_all(std::span<const float> logits,
                                                double temperature,
                                                double top_p) {
  const double goal = top_p * sum_exp(logits, scan_.max(), static_cast<float>(1.0 / temperature));
  std::vector<Candidate>* kept = &scan_.collect(scan_.lower_bound_of_top(kFirstLook));
  double total = weigh(*kept, scan_.max(), temperature);
  if (total < goal) {
    kept = &scan_.collect(kMasked);
    total = weigh(*kept, scan_.max(), temperature);
  }
  keep_nucleus(*kept, std::min(goal, total));
  return *kept;
}

int32_t Sampler::draw_unfiltered(std::span<const float> logits, float scale, double u) const {
  constexpr size_t kStride = 1024;
  const float max = scan_.max();
  double left = u * sum_exp(logits, max, scale);
  for (size_t begin = 0; begin < logits.size(); begin += kStride) {
    const auto group = logits.subspan(begin, std::min(kStride, logits.size() - begin));
    const double weight = sum_exp(group, max, scale);
    if (left >= weight) {
      left -= weight;
      continue;
    }
    for (size_t i = 0; i < group.size(); ++i) {
      const auto w = static_cast<double>(exp_shifted(group[i], max, scale));
      if (left < w) return static_cast<int32_t>(begin + i);
      left -= w;
    }
  }
  return scan_.argmax();  // rounding ate the rest: of the order of 1e-7 of all draws
}

}  // namespace qwen3
