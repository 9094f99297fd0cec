#include "server/api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>
#include <vector>

namespace qwen3::server {
namespace {

using prometheus::ClientMetric;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr const char* kPrefix = "qwen3_";

Histogram::BucketBoundaries seconds_buckets() {
  return {0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.5, 0.75, 1,
          2.5,   5,     7.5,  10,   20,   40,   80,   160,  320, 640};
}

Histogram::BucketBoundaries token_buckets() {
  return {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144};
}

MetricFamily family(std::string name, std::string help, MetricType type, double value) {
  ClientMetric metric;
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {.name = kPrefix + std::move(name),
          .help = std::move(help),
          .type = type,
          .metric = {std::move(metric)}};
}

std::vector<MetricFamily> engine_families(const EngineStats& s) {
  const auto gauge = [](const char* name, const char* help, double value) {
    return family(name, help, MetricType::Gauge, value);
  };
  const auto counter = [](const char* name, const char* help, int64_t value) {
    return family(name, help, MetricType::Counter, static_cast<double>(value));
  };
  const double used = s.n_blocks > 0 ? static_cast<double>(s.n_blocks - s.n_free_blocks) /
                                           static_cast<double>(s.n_blocks)
                                     : 0;
  return {
      gauge("num_requests_running", "Requests in the batch", static_cast<double>(s.n_running)),
      gauge("num_requests_waiting", "Requests in the queue", static_cast<double>(s.n_waiting)),
      gauge("kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1", used),
      gauge("kv_cache_blocks", "Blocks of the KV cache", static_cast<double>(s.n_blocks)),
      gauge("step_seconds", "How long the running step has taken so far", s.step_seconds),
      counter("engine_steps_total", "Steps of the engine", s.n_steps),
      counter("num_preemptions_total", "Requests put back for lack of memory", s.n_preemptions),
      counter("prompt_tokens_total", "Prompt tokens accepted", s.prompt_tokens),
      counter("generation_tokens_total", "Tokens generated", s.generated_tokens),
      counter("prefix_cache_queries_total",
              "Prompt tokens looked up in the prefix cache",
              s.prompt_tokens),
      counter("prefix_cache_hits_total", "Prompt tokens found there", s.cached_tokens),
  };
}

// What --memory-limit counts of requests (request_memory.h). vLLM has no such names.
std::vector<MetricFamily> front_families(const HttpCounters& c) {
  return {
      family("request_memory_bytes",
             "Memory that requests hold: bodies, prompts, answers, unread output, connections",
             MetricType::Gauge,
             static_cast<double>(c.request_bytes)),
      family("request_memory_limit_bytes",
             "Memory that requests may hold, of --memory-limit",
             MetricType::Gauge,
             static_cast<double>(c.request_bytes_limit)),
      family("request_memory_refused_total",
             "How often memory for a request could not be had",
             MetricType::Counter,
             static_cast<double>(c.request_bytes_refused)),
  };
}

// vLLM's names: the same measurements under "vllm:", with the model as a label.
std::vector<MetricFamily> as_vllm(const std::vector<MetricFamily>& families,
                                  const std::string& model_name) {
  std::vector<MetricFamily> out;
  for (MetricFamily copy : families) {
    copy.name = "vllm:" + copy.name.substr(std::string_view(kPrefix).size());
    for (ClientMetric& metric : copy.metric) metric.label.push_back({"model_name", model_name});
    out.push_back(std::move(copy));
  }
  return out;
}

template <typename T>
prometheus::Family<T>& add_family(prometheus::Registry& registry,
                                  prometheus::detail::Builder<T> builder,
                                  const std::string& name,
                                  const std::string& help) {
  return builder.Name(kPrefix + name).Help(help).Register(registry);
}

}  // namespace

Histogram& Metrics::histogram(const char* name,
                              const char* help,
                              const Histogram::BucketBoundaries& buckets) {
  return add_family(registry_, prometheus::BuildHistogram(), name, help).Add({}, buckets);
}

Metrics::Metrics()
    : success_(add_family(registry_,
                          prometheus::BuildCounter(),
                          "request_success_total",
                          "Requests answered, by finish_reason")),
      failure_(add_family(registry_,
                          prometheus::BuildCounter(),
                          "request_failure_total",
                          "Requests that were accepted and failed, by error code")),
      stalls_(add_family(registry_,
                         prometheus::BuildCounter(),
                         "stalled_steps_total",
                         "Steps that the watchdog found too long")
                  .Add({})),
      first_token_(histogram(
          "time_to_first_token_seconds", "From the request to its first token", seconds_buckets())),
      per_token_(histogram("time_per_output_token_seconds",
                           "Mean time of a token after the first",
                           seconds_buckets())),
      total_(histogram(
          "e2e_request_latency_seconds", "From the request to its last token", seconds_buckets())),
      queue_(histogram("request_queue_time_seconds", "Time in the queue", seconds_buckets())),
      prompt_tokens_(
          histogram("request_prompt_tokens", "Prompt tokens of a request", token_buckets())),
      generation_tokens_(
          histogram("request_generation_tokens", "New tokens of a request", token_buckets())) {}

void Metrics::answered(const RequestRecord& record) {
  success_.Add({{"finished_reason", std::string(record.finish_reason)}}).Increment();
  prompt_tokens_.Observe(static_cast<double>(record.prompt_tokens));
  generation_tokens_.Observe(static_cast<double>(record.completion_tokens));
  queue_.Observe(record.queue_seconds);
  total_.Observe(record.total_seconds);
  if (record.first_token_seconds <= 0) return;
  first_token_.Observe(record.first_token_seconds);
  if (record.completion_tokens > 1) {
    per_token_.Observe((record.total_seconds - record.first_token_seconds) /
                       static_cast<double>(record.completion_tokens - 1));
  }
}

void Metrics::failed(std::string_view code) {
  failure_.Add({{"code", std::string(code)}}).Increment();
}

void Metrics::stalled() { stalls_.Increment(); }

std::string Metrics::text(const EngineStats* stats,
                          const std::optional<HttpCounters>& front,
                          const std::string& model_name,
                          const ServiceOptions& options) const {
  std::vector<MetricFamily> families = registry_.Collect();
  if (stats != nullptr) {
    for (MetricFamily& one : engine_families(*stats)) families.push_back(std::move(one));
  }
  if (options.n_lost_log_lines) {
    families.push_back(family("log_lines_lost_total",
                              "Lines for stderr that nobody read in time",
                              MetricType::Counter,
                              static_cast<double>(options.n_lost_log_lines())));
  }
  if (options.metrics_compat) {
    for (MetricFamily& one : as_vllm(families, model_name)) families.push_back(std::move(one));
  }
  if (front) {
    for (MetricFamily& one : front_families(*front)) families.push_back(std::move(one));
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace qwen3::server
