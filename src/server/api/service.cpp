#include "server/api/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/mix64.h"
#include "server/api/generation.h"

namespace qwen3::server {
namespace {

ServiceOptions checked(ServiceOptions options) {
  QWEN3_CHECK(!options.model_names.empty(),
              ErrorKind::invalid_argument,
              "model name: expected at least one, got none");
  return options;
}

uint64_t random_word() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ApiError unavailable(const char* code, const char* message) {
  ApiError error(503, code, message);
  error.retry_after_seconds = 5;
  return error;
}

}  // namespace

Service::Service(ServiceOptions options)
    : options_(checked(std::move(options))),
      fingerprint_("qwen3.cpp-" + options_.version),
      started_(unix_time()),
      traces_(options_.traces),
      id_base_(random_word()) {}

Service::~Service() = default;

void Service::set_model(std::unique_ptr<ServedModel> model) {
  model_ = std::move(model);
  ready_.store(model_.get(), std::memory_order_release);
}

void Service::watch_front(std::function<HttpCounters()> counters) {
  const std::lock_guard lock(mutex_);
  front_counters_ = std::move(counters);
}

std::optional<HttpCounters> Service::front_counters() const {
  const std::lock_guard lock(mutex_);
  return front_counters_ ? std::optional(front_counters_()) : std::nullopt;
}

Service::State Service::state() const {
  if (draining_) return State::draining;
  return loaded() == nullptr ? State::loading : State::ready;
}

const ServedModel& Service::model() const {
  const State now = state();
  if (now == State::draining) throw unavailable("draining", "the server is shutting down");
  if (now == State::loading) throw unavailable("model_loading", "the model is still loading");
  return *loaded();
}

const ServedModel& Service::model_named(const std::string& name) const {
  const ServedModel& ours = model();
  if (name.empty() || options_.any_model_name ||
      std::ranges::find(options_.model_names, name) != options_.model_names.end()) {
    return ours;
  }
  ApiError error(404,
                 "model_not_found",
                 fmt::format("The model \"{}\" does not exist; this server has {}",
                             quote_for_message(name),
                             fmt::join(options_.model_names, ", ")));
  error.param = "model";
  throw error;
}

std::string Service::unique_id(std::string_view prefix) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV";
  std::string id(prefix);
  uint64_t number = ++n_ids_;
  for (int word = 0; word < 3; ++word) {
    uint64_t bits = mix64(id_base_ + static_cast<uint64_t>(word) * 0x9E3779B97F4A7C15u + number);
    for (int digit = 0; digit < 8; ++digit, bits /= kDigits.size()) {
      id += kDigits[bits % kDigits.size()];
    }
  }
  return id;
}

uint64_t Service::enter(const std::shared_ptr<Generation>& generation) {
  const std::lock_guard lock(mutex_);
  active_.emplace(++last_ticket_, generation);
  return last_ticket_;
}

void Service::leave(uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  active_.erase(ticket);
}

int64_t Service::n_active() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(active_.size());
}

void Service::abort_all(const ApiError& error) {
  std::vector<std::shared_ptr<Generation>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [ticket, weak] : active_) {
      if (auto generation = weak.lock()) all.push_back(std::move(generation));
    }
  }
  for (const auto& generation : all) generation->end_early(error);
}

}  // namespace qwen3::server
