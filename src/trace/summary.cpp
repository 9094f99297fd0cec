#include "trace/summary.h"

#include <algorithm>
#include <utility>

#include "trace/export_json.h"
#include "trace/glob.h"
#include "trace/tap_name.h"

namespace qwen3 {

// A pass is recorded whole or not at all, so that every tensor has the same tokens.
void RequestRecorder::begin_step(std::span<const int32_t> positions) {
  const auto n = static_cast<int64_t>(positions.size());
  n_tokens_ += n;
  recording_ = n_recorded_ + n <= options_.max_tokens && n_recorded_ + n == n_tokens_;
  if (!recording_) return;
  n_recorded_ += n;
  passes_.push_back({positions.empty() ? 0 : int64_t{positions.front()}, n});
}

bool RequestRecorder::wants(std::string_view name) const {
  return recording_ && (routing_.wants(name) || measures(name));
}

bool RequestRecorder::measures(std::string_view name) const {
  const TapName tap = parse_tap_name(name);
  const bool of_experts = tap.part == kExpertsPart;
  if (options_.taps.empty()) return !of_experts;
  if (of_experts && tap.expert < 0) return true;  // all of them: some may match
  return std::ranges::any_of(options_.taps,
                             [&](const auto& pattern) { return glob_match(pattern, name); });
}

void RequestRecorder::tensor(std::string_view name, const Tensor& value) {
  if (!recording_) return;
  routing_.tensor(name, value);
  if (measures(name)) statistics_.tensor(name, value);
}

Json RequestRecorder::summary(int64_t n_prompt) const {
  Json passes = Json::array(), taps = Json::array();
  for (const Pass& pass : passes_) {
    passes.push_back({{"first_token", pass.first_token}, {"tokens", pass.n_tokens}});
  }
  for (const TapRecord& record : statistics_.records()) taps.push_back(tap_json(record));
  const TapRecord* bad = statistics_.first_bad();
  return {{"tokens", n_tokens_},
          {"recorded_tokens", n_recorded_},
          {"prompt_tokens", n_prompt},
          {"passes", std::move(passes)},
          {"routing", routing().empty() ? Json() : routing_export(routing())},
          {"taps", std::move(taps)},
          {"first_not_finite", bad == nullptr ? Json() : Json(bad->name)}};
}

}  // namespace qwen3
