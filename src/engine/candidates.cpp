#include "engine/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qwen3 {

// The probability of min_p is that of softmax(logits / temperature): a ratio to the best token of at least
// min_p is a logit of at least this.
double cut_of_min_p(const SamplingParams& p, float max) {
  return p.min_p > 0 ? static_cast<double>(max) + p.temperature * std::log(p.min_p)
                     : -std::numeric_limits<double>::infinity();
}

double weigh(std::vector<Candidate>& candidates, float max, double temperature) {
  double total = 0;
  for (Candidate& c : candidates) {
    c.weight = std::exp((static_cast<double>(c.value) - static_cast<double>(max)) / temperature);
    total += c.weight;
  }
  return total;
}

// By halving: linear time on average, where sorting a vocabulary would take 10 ms.
Candidate nucleus_edge(std::vector<Candidate>& candidates, double goal) {
  auto begin = candidates.begin(), end = candidates.end();
  double before = 0;  // weight of [candidates.begin(), begin), less than goal
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, better);
    double upper = 0;
    for (auto c = begin; c != middle; ++c) upper += c->weight;
    if (before + upper >= goal) {
      end = middle;
    } else {
      before += upper;
      begin = middle;
    }
  }
  return *begin;
}

float kth_value(std::vector<Candidate>& candidates, int64_t k) {
  const auto kth = candidates.begin() + (k - 1);
  std::nth_element(candidates.begin(), kth, candidates.end(), better);
  return kth->value;
}

Candidate best_of(const std::vector<Candidate>& candidates) {
  return *std::ranges::max_element(candidates, {}, &Candidate::value);  // the first of equals
}

int32_t draw_from(const std::vector<Candidate>& kept, double u) {
  double total = 0;
  for (const Candidate& c : kept) total += c.weight;
  double left = u * total;
  for (const Candidate& c : kept) {
    if (left < c.weight) return c.id;
    left -= c.weight;
  }
  return std::ranges::max_element(kept, {}, &Candidate::weight)->id;  // rounding ate the rest
}

}  // namespace qwen3
