#include <fmt/format.h>

#include <array>
#include <cmath>

#include "qwen3/sampling.h"

namespace qwen3 {
namespace {

constexpr double kMaxTokens = 1 << 30;  // far above any context

constexpr std::array kFields = {
    SamplingField{.name = "max_tokens",
                  .help = "Maximum number of new tokens; -1: until the context is full",
                  .member = &SamplingParams::max_tokens,
                  .low = 1,
                  .high = kMaxTokens,
                  .no_limit = -1},
    SamplingField{.name = "temperature",
                  .help = "Divides the logits; 0: greedy",
                  .member = &SamplingParams::temperature,
                  .low = 0,
                  .high = 100,
                  .of_checkpoint = &GenerationDefaults::temperature},
    SamplingField{.name = "top_k",
                  .help = "Draw from the k most probable tokens only; 0 or -1: off",
                  .member = &SamplingParams::top_k,
                  .low = -1,
                  .high = kMaxTokens,
                  .of_checkpoint = &GenerationDefaults::top_k},
    SamplingField{.name = "top_p",
                  .help = "Draw from the smallest set with this probability; 1: off",
                  .member = &SamplingParams::top_p,
                  .low = 0,
                  .high = 1,
                  .low_bound = SamplingField::Low::excluded,
                  .of_checkpoint = &GenerationDefaults::top_p},
    SamplingField{
        .name = "min_p",
        .help = "Drop tokens less likely than this fraction of the most likely one; 0: off",
        .member = &SamplingParams::min_p,
        .low = 0,
        .high = 1,
        .of_checkpoint = &GenerationDefaults::min_p},
    SamplingField{.name = "presence_penalty",
                  .help = "Subtracted once from the logit of each generated token; 0: off",
                  .member = &SamplingParams::presence_penalty,
                  .low = -2,
                  .high = 2},
    SamplingField{.name = "frequency_penalty",
                  .help = "Subtracted per occurrence of each generated token; 0: off",
                  .member = &SamplingParams::frequency_penalty,
                  .low = -2,
                  .high = 2},
    SamplingField{.name = "repetition_penalty",
                  .help = "Divides the logits of tokens seen in prompt or answer; 1: off",
                  .member = &SamplingParams::repetition_penalty,
                  .low = 0.01,
                  .high = 100,
                  .of_checkpoint = &GenerationDefaults::repetition_penalty},
};

// What the checkpoint says of the field, if it says anything.
std::optional<double> said(const SamplingField& field, const GenerationDefaults& defaults) {
  using Number = std::optional<double> GenerationDefaults::*;
  using Integer = std::optional<int64_t> GenerationDefaults::*;
  if (const auto* number = std::get_if<Number>(&field.of_checkpoint)) return defaults.**number;
  const auto* integer = std::get_if<Integer>(&field.of_checkpoint);
  if (integer == nullptr || !(defaults.**integer)) return std::nullopt;
  return static_cast<double>(*(defaults.**integer));
}

}  // namespace

double SamplingField::get(const SamplingParams& params) const {
  return std::visit([&](const auto of) { return static_cast<double>(params.*of); }, member);
}

void SamplingField::set(SamplingParams& params, double value) const {
  if (const auto* integer = std::get_if<int64_t SamplingParams::*>(&member)) {
    params.** integer = static_cast<int64_t>(value);
  } else {
    params.*std::get<double SamplingParams::*>(member) = value;
  }
}

bool SamplingField::in_range(double value) const {
  if (is_integer() && value != std::floor(value)) return false;
  return (low_bound == Low::included ? value >= low : value > low) && value <= high;
}

bool SamplingField::accepts(double value) const { return in_range(value) || value == no_limit; }

std::string SamplingField::range() const {
  const char* kind = is_integer() ? "an integer" : "a number";
  return low_bound == Low::included ? fmt::format("{} from {} to {}", kind, low, high)
                                    : fmt::format("{} above {} and at most {}", kind, low, high);
}

std::string SamplingField::what_it_accepts() const {
  return no_limit ? fmt::format("{}, or {} for no limit", range(), *no_limit) : range();
}

std::span<const SamplingField> sampling_fields() { return kFields; }

const SamplingField* find_sampling_field(std::string_view name) {
  for (const SamplingField& field : kFields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

SamplingParams with_defaults(const GenerationDefaults& defaults, DoSample when_silent) {
  SamplingParams params;
  for (const SamplingField& field : kFields) {
    if (const std::optional<double> value = said(field, defaults)) field.set(params, *value);
  }
  const bool draws = defaults.do_sample.value_or(when_silent == DoSample::yes);
  params.temperature = draws ? defaults.temperature.value_or(1.0) : 0.0;
  return params;
}

}  // namespace qwen3
