// Metrics: what /metrics shows. Counters and histograms are kept here; gauges are read from the
// engine when somebody looks. Thread safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "qwen3/engine.h"
#include "server/api/options.h"
#include "server/http/http_server.h"

namespace qwen3::server {

// One request that was answered.
struct RequestRecord {
  std::string_view finish_reason;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  double queue_seconds = 0;
  double first_token_seconds = 0;  // since the request came; 0: there was no token
  double total_seconds = 0;
};

class Metrics {
 public:
  Metrics();

  void answered(const RequestRecord& record);
  void failed(std::string_view code);
  void stalled();

  // The text format of Prometheus. `stats` null: the model is still loading. `front` is absent
  // where nothing listens. Of the options: whether the names of vLLM are wanted as well, which routers read, and how many log lines were
  // lost.
  std::string text(const EngineStats* stats,
                   const std::optional<HttpCounters>& front,
                   const std::string& model_name,
                   const ServiceOptions& options) const;

 private:
  prometheus::Histogram& histogram(const char* name,
                                   const char* help,
                                   const prometheus::Histogram::BucketBoundaries& buckets);

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& success_;
  prometheus::Family<prometheus::Counter>& failure_;
  prometheus::Counter& stalls_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& per_token_;
  prometheus::Histogram& total_;
  prometheus::Histogram& queue_;
  prometheus::Histogram& prompt_tokens_;
  prometheus::Histogram& generation_tokens_;
};

}  // namespace qwen3::server
