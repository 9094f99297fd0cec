// Service: what the handlers share: the model once it is there, the options, the metrics, and the
// generations under way.
//
// Threads: every function from any thread. It must outlive the HTTP front, and the front the
// generations: stop the front first, then destroy the service (and with it the engine).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/api/api_error.h"
#include "server/api/metrics.h"
#include "server/api/options.h"
#include "server/api/reasoning_control.h"
#include "server/api/served_model.h"
#include "server/api/trace_tickets.h"
#include "server/api/traces.h"
#include "server/http/http_server.h"

namespace qwen3::server {

class Generation;

class Service {
 public:
  enum class State { loading, ready, draining };

  explicit Service(ServiceOptions options);
  ~Service();

  // From now on requests are answered. Called once, unless loading failed.
  void set_model(std::unique_ptr<ServedModel> model);
  // /health says 503 so that balancers go elsewhere; requests are still taken.
  void announce_end() { end_announced_ = true; }
  bool end_announced() const { return end_announced_; }
  // New requests get 503; those under way go on.
  void drain() { draining_ = true; }
  // Where /metrics reads what the front counts. The front outlives whoever asks.
  void watch_front(std::function<HttpCounters()> counters);
  std::optional<HttpCounters> front_counters() const;
  // Ends what is under way with an error that says so.
  void abort_all(const ApiError& error);

  State state() const;
  // Throws ApiError{503} while loading and when draining.
  const ServedModel& model() const;
  // The same for a request that names a model: 404 for a name that is not ours.
  const ServedModel& model_named(const std::string& name) const;
  // Null while loading.
  const ServedModel* loaded() const { return ready_.load(std::memory_order_acquire); }

  const ServiceOptions& options() const { return options_; }
  const std::string& model_name() const { return options_.model_names.front(); }
  const std::string& fingerprint() const { return fingerprint_; }
  Metrics& metrics() { return metrics_; }
  TraceStore& traces() { return traces_; }
  TraceTickets& trace_tickets() { return trace_tickets_; }
  ReasoningControls& controls() { return controls_; }
  int64_t started() const { return started_; }  // Unix time
  // An unpredictable-looking id that no other caller gets: "call_" + 24 letters and digits.
  std::string unique_id(std::string_view prefix);

  // ---- generations enter and leave ----------------------------------------------------------
  uint64_t enter(const std::shared_ptr<Generation>& generation);
  void leave(uint64_t ticket);
  int64_t n_active() const;

 private:
  const ServiceOptions options_;
  const std::string fingerprint_;
  const int64_t started_;
  Metrics metrics_;
  TraceStore traces_;
  TraceTickets trace_tickets_;
  ReasoningControls controls_;
  std::atomic<bool> end_announced_ = false;
  std::atomic<bool> draining_ = false;
  std::atomic<uint64_t> n_ids_ = 0;
  const uint64_t id_base_;

  mutable std::mutex mutex_;
  std::function<HttpCounters()> front_counters_;                    // under mutex_
  uint64_t last_ticket_ = 0;                                        // under mutex_
  std::unordered_map<uint64_t, std::weak_ptr<Generation>> active_;  // under mutex_

  std::unique_ptr<ServedModel> model_;
  std::atomic<const ServedModel*> ready_ = nullptr;
};

}  // namespace qwen3::server
