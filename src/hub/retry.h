// When a request is worth another try, how long it waits for it, and what is said when it is not.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "hub/http.h"

namespace qwen3::hub {

struct RetryPolicy {
  int attempts = 6;                            // in a row without a byte of news
  std::chrono::milliseconds first_wait{1000};  // doubled from attempt to attempt
  std::chrono::milliseconds longest_wait{20'000};
  std::chrono::milliseconds longest_asked{300'000};  // that a server may ask for (Retry-After)
  // Told before each wait: why, which attempt failed, and how long. Any thread; may be empty.
  std::function<void(const HttpReply& reply, int attempt, std::chrono::milliseconds wait)> on_wait =
      {};
};

// The statuses 408, 429 and 5xx that pass, and connections that broke.
bool may_pass(const HttpReply& reply);

// Waits before attempt number `attempt` (the second is 1). False when it is not to be made: they are used up, the
// server asks for more than is waited for, or `session` was stopped.
bool wait_for_attempt(const HttpSession& session,
                      const RetryPolicy& policy,
                      int attempt,
                      const HttpReply& reply);

// Throws the Error for an answer that is not wanted: why, and what can be done. `what`: "Qwen/Qwen3-0.6B: config.json".
[[noreturn]] void fail_for(const HttpReply& reply, const HubServer& server, std::string_view what);

// get() with these attempts. Throws as fail_for() unless the status is 200.
HttpReply get_text(HttpSession& session,
                   const RetryPolicy& policy,
                   const std::string& url,
                   std::string_view what,
                   size_t max_body);

}  // namespace qwen3::hub
