// Sampler: from a row of logits to one token, by the parameters of one request.
//
// Order (vLLM's): the request's own processor, logit_bias, repetition penalty, frequency and
// presence penalties, masks (allowed ids, end tokens before min_tokens, a constraint's), temperature, min_p,
// top_k, top_p, draw. Every filter is a threshold in one total order (larger logit first, lower id among
// equals), so the vocabulary is never sorted: LogitScan finds the few candidates, and temperature
// divides only those.
//
// The draw walks the kept ids in ascending order to the first whose cumulative probability exceeds
// u = uniform(seed, number of tokens generated so far): a pure function of the request.
//
// Not thread safe (it owns the workspace); any number of sequences share one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/allowed_tokens.h"
#include "engine/logit_scan.h"
#include "engine/validate.h"
#include "kernels/backend.h"
#include "qwen3/engine.h"

namespace qwen3 {

// A number in [0, 1): the step-th of the stream `seed`.
double uniform(uint64_t seed, uint64_t step);

struct SampleInput {
  const SamplingParams& params;     // valid (validate.h)
  std::span<const int32_t> tokens;  // prompt and generated
  int64_t n_prompt = 0;
  std::span<const int32_t> end_ids;  // masked before min_tokens
  uint64_t seed = 0;
  const decltype(Request::logits_processor)* processor = nullptr;  // null or empty: none
  const AllowedTokens* allowed = nullptr;                          // by its constraint; null: all
};

struct Sampled {
  // over: the constraint allows nothing more, and the answer is complete.
  enum class Status { ok, not_finite, nothing_allowed, bad_processor, over } status = Status::ok;
  int32_t token_id = -1;
  bool exhausted = false;  // nothing can follow: for who asks the constraint, not the sampler
  float logprob = 0;       // only with n_logprobs >= 0, as the rest
  int n_top = 0;
  int64_t rank = 0;  // of a token that was scored; see PromptLogprobs
  std::array<TokenLogprob, kMaxLogprobs> top = {};  // best first
  std::vector<double> scores = {};                  // of ids that were given
};

class Sampler {
 public:
  // Rows have vocab_size logits; ids >= n_real_tokens are never sampled.
  Sampler(int64_t vocab_size, int64_t n_real_tokens);

  // Overwrites `logits` [vocab_size]. What the processor throws passes through and leaves the
  // sampler as it was.
  Sampled sample(std::span<float> logits, const SampleInput& input);

  // The same token from the row's largest numbers alone; nothing where the whole row must be looked at,
  // which the parameters decide, and equal numbers without end.
  std::optional<Sampled> sample(const RowScan& scan, const SampleInput& input);

  // Not drawn but given: the log-probability of `token_id` and the n_top likeliest tokens.
  Sampled score(std::span<const float> logits, int32_t token_id, int n_top);

  // The log-probabilities of these ids.
  Sampled score(std::span<const float> logits, std::span<const int32_t> ids);

 private:
  void measure_logprobs(Sampled& out, std::span<const float> logits, int n_logprobs);
  bool process(std::span<float> logits, const SampleInput& input) const;
  bool edit(std::span<float> logits, const SampleInput& input);
  void penalise(std::span<float> logits, const SampleInput& input);
  void mask_all_but(std::span<float> logits, std::span<const int32_t> ids);
  void choose_of_row(Sampled& out, std::span<const float> logits, const SampleInput& input);
  void choose_listed(Sampled& out, std::span<const float> logits, const SampleInput& input);
  void choose_picked(Sampled& out, std::span<const float> logits, const SampleInput& input);
  int32_t choose_candidate(std::vector<Candidate>& kept, const SampleInput& input);
  std::optional<Sampled> sample_allowed(const RowScan& scan, const SampleInput& input);
  int32_t draw(const SamplingParams& params, std::span<const float> logits, double u);
  int32_t draw_unfiltered(std::span<const float> logits, float scale, double u) const;
  std::vector<Candidate>& filter(const SamplingParams& params);
  void narrow(std::vector<Candidate>& kept,
              const SamplingParams& params,
              float max,
              double min_p_cut);
  void keep_nucleus(std::vector<Candidate>& kept, double goal);
  std::vector<Candidate>& nucleus_of_all(std::span<const float> logits,
                                         double temperature,
                                         double top_p);

  int64_t n_real_tokens_;
  LogitScan scan_;
  std::vector<int32_t> counts_;  // by id, zero between calls
  std::vector<Candidate> scratch_, listed_;
  std::vector<float> picked_;        // logits that a constraint allows,
  std::vector<int32_t> picked_ids_;  // and whose they are
  std::vector<float> saved_;         // raw logits while edited ones replace them
  double log_sum_exp_ = 0;           // of the raw row
};

}  // namespace qwen3
