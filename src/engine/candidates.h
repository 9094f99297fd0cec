// What the sampler does with the few tokens that a filter or a constraint leaves.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/logit_scan.h"
#include "qwen3/request.h"

namespace qwen3 {

// The logit that min_p asks for beside the best one, `max`; minus infinity: any.
double cut_of_min_p(const SamplingParams& params, float max);

// Fills in the weights exp((value - max) / temperature); returns their sum.
double weigh(std::vector<Candidate>& candidates, float max, double temperature);

// The last of the best candidates whose weights together reach `goal`. Reorders the candidates.
Candidate nucleus_edge(std::vector<Candidate>& candidates, double goal);

// The k-th largest value. Reorders the candidates.
float kth_value(std::vector<Candidate>& candidates, int64_t k);

// candidates: at least one, by ascending id.
Candidate best_of(const std::vector<Candidate>& candidates);

// kept: by ascending id, with weights; u in [0, 1).
int32_t draw_from(const std::vector<Candidate>& kept, double u);

}  // namespace qwen3
