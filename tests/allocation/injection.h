// A server in this process whose n-th allocation fails: while a connection is accepted and a
// request parsed, rendered, tokenised, scheduled, answered and logged. Whatever n, the answer is
// the right one, 503 or a connection that closes, possibly in the middle; never bytes that are no
// HTTP. The next request is answered as if nothing had been.
//
// The model is a script behind the real engine, so that thousands of failures take seconds, or
// nano.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/api/service.h"
#include "server/http/http_server.h"

namespace qwen3::server::testing {

// What the tests of this test put in, to see it reported.
enum class Defect { none, swallows_request, wrong_status };

struct InjectedRequest {
  std::string name;
  std::string path;
  std::string body;
  int status = 200;  // where nothing fails
};

// Small ones of each kind: whole, streamed, with tools, several answers, log probabilities,
// refused.
const std::vector<InjectedRequest>& small_requests();
// One message with many tool calls: a tree of `n_calls` small objects, 200 or more.
InjectedRequest many_calls(int n_calls);

class InjectedServer {
 public:
  enum class Brain { script, nano };
  explicit InjectedServer(Brain brain, Defect defect = Defect::none);
  ~InjectedServer();

  // Allocations of all threads from the connection's beginning to its end, when none fails.
  int64_t count(const InjectedRequest& request);

  struct Finding {
    int64_t nth = 0;
    std::string what;
  };
  // The request with its n-th allocation (and n_failing - 1 after it) failing, then a fresh one.
  std::optional<Finding> inject(const InjectedRequest& request, int64_t nth, int64_t n_failing = 1);
  // That nothing is left of any request: connections, exchanges, generations, blocks.
  std::optional<Finding> check_empty();

  // How often each status came; 0: closed without an answer.
  const std::map<int, int64_t>& outcomes() const { return outcomes_; }
  uint16_t port() const { return http_->port(); }

 private:
  std::string judge(const InjectedRequest& request, const std::string& got, bool ended);

  const std::chrono::milliseconds patience_;  // with the request whose allocation fails
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> http_;
  std::map<int, int64_t> outcomes_;
};

}  // namespace qwen3::server::testing
