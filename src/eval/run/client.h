// The client of OpenAI-compatible servers: many requests at once over several servers, on one
// thread, with the retries that a run of days needs.
//
//   what happens                         what is done
//   connection refused, 503              the server rests (server_pool.h); the attempt costs
//   nothing reset, time-out, 408 409 429 5xx,    another attempt after a random wait that doubles,
//   not a reply that is no whole answer      before Retry-After; a failure after `attempts` of them
//   other 4xx, no logprobs of a prompt   a failure at once
//   no server answers for server_wait    wait() throws: the run ends and can be resumed
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "eval/run/answer_source.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

class HttpClient final : public AnswerSource {
 public:
  // Throws Error{invalid_argument} for addresses that are none.
  HttpClient(const EvalConfig& config, Mode mode, const std::string& api_key);
  ~HttpClient() override;

  // Asks the servers for their version and models until one answers, in any way. Throws
  // Error{io} when none does for server_wait; returns early when `stopped` says so. `note` is
  // told what is worth knowing.
  void find_servers(const std::function<bool()>& stopped,
                    const std::function<void(const std::string&)>& note);

  void ask(Question question) override;
  std::vector<Reply> wait(std::chrono::milliseconds patience) override;
  Json served() const override;
  std::string condition() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qwen3::eval
