// RequestRecorder: what a server keeps of one traced request, small enough to answer with: expert
// routing of every token, statistics of every tap, and which passes computed it, as one JSON
// document.
//
// Threads: a tap, called by the engine thread; summary() is for after the request's last event.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "trace/routing.h"
#include "trace/statistics.h"
#include "trace/tap.h"

namespace qwen3 {

struct RecorderOptions {
  // Tokens from this one on are not recorded: memory grows by
  // layers · (experts + 2 · experts per token) numbers for each token.
  int64_t max_tokens = 4096;
  // Patterns (glob.h) of the taps to measure; none: all but the insides of experts.
  std::vector<std::string> taps = {};
};

class RequestRecorder final : public Tap {
 public:
  explicit RequestRecorder(RecorderOptions options = {}) : options_(std::move(options)) {}

  void begin_step(std::span<const int32_t> positions) override;
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;

  int64_t n_tokens() const { return n_tokens_; }      // that were computed
  int64_t n_recorded() const { return n_recorded_; }  // the first of them
  const std::vector<LayerRouting>& routing() const { return routing_.layers(); }
  const StatisticsTap& statistics() const { return statistics_; }

  // {"tokens": n, "recorded_tokens": n, "prompt_tokens": n,
  //  "passes": [{"first_token", "tokens"}],           prefill chunks, then decoded tokens
  //  "routing": routing_export() (export_json.h),     null for a dense model
  //  "taps": [tap_json()], "first_not_finite": name or null}
  Json summary(int64_t n_prompt) const;

 private:
  bool measures(std::string_view name) const;

  struct Pass {
    int64_t first_token = 0, n_tokens = 0;
  };

  RecorderOptions options_;
  RoutingRecorder routing_;
  StatisticsTap statistics_;
  std::vector<Pass> passes_;
  int64_t n_tokens_ = 0, n_recorded_ = 0;
  bool recording_ = true;  // in the running pass
};

}  // namespace qwen3
