// Who answers: a set of servers (eval/run/client.h) or an engine in this process
// (eval/run/engine_source.h). Questions go in, replies come out in any order.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "eval/run/sample_line.h"

namespace qwen3::eval {

// What is asked about a prompt.
enum class Want {
  answer,    // to it as a chat's message
  tokens,    // of it as a plain text: Answer::token_names
  logprobs,  // of those tokens too: Answer::token_logprobs
};

struct Question {
  uint64_t tag = 0;  // comes back with the reply
  std::string prompt;
  int64_t sample = 0;
  Want want = Want::answer;
  std::vector<std::string> choices = {};  // for a ChoiceSource (eval/run/choice_source.h) alone
};

enum class FailureKind {
  context,       // prompt and answer do not fit the model's context
  rejected,      // the server refused this request (4xx)
  unauthorized,  // 401, 403: no request can succeed
  not_found,     // 404: wrong address or model, no request can succeed
  too_large,     // the reply is larger than max_response_bytes
  connection,    // broken off, or nobody answered
  timeout,       // no reply in time
  deadline,      // all attempts together took too long
  busy,          // 429
  server,        // 5xx
  bad_reply,     // a reply that is not a complete answer
  model,         // the engine in this process failed, or the model gave no probabilities
  no_logprobs,   // the server does not give those of a prompt: no request can succeed
};
std::string_view failure_name(FailureKind kind);
// Whether other questions would fare no better.
bool ends_run(FailureKind kind);

struct Failure {
  FailureKind kind = FailureKind::bad_reply;
  int status = 0;  // of HTTP; 0: none
  std::string message = {};
};

struct Reply {
  uint64_t tag = 0;
  std::variant<Answer, Failure> result = {};
  int attempts = 1;
  double seconds = 0;       // of the last attempt
  std::string server = {};  // which gave it
};

// Used by one thread, which calls wait() all the time.
class AnswerSource {
 public:
  virtual ~AnswerSource() = default;

  virtual void ask(Question question) = 0;
  // What has come in; waits up to `patience` for the first. Throws Error{io} when nobody is
  // there to answer any more; what was in flight is then lost.
  virtual std::vector<Reply> wait(std::chrono::milliseconds patience) = 0;
  // Facts that answers depend on, such as the server's version: a JSON array of objects. They are
  // written down with the run, and compared when it resumes.
  virtual Json served() const = 0;
  // A line about what is going on, such as a server that is away; "" for nothing special.
  virtual std::string condition() const { return {}; }
};

}  // namespace qwen3::eval
