// What came back: an answer, or why there is none and whether asking again may help.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "eval/run/answer_source.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

// A server's own words about an error, on one line: from {"error": {"message": …}}, {"message": …} or
// {"detail": …}, or else the beginning of the body.
std::string server_message(std::string_view body);

struct Problem {
  Failure failure;
  bool again = false;  // another attempt may succeed
};

// `body` of a reply that arrived whole with this HTTP status. An answer is one only when the JSON
// is complete and names why it ended: text that was cut off is never taken for an answer.
// A prompt that is too long: strict gives the official record, an Answer with context_exceeded.
std::variant<Answer, Problem> read_chat_reply(int status, std::string_view body, Mode mode);

// The same of a request made by completion_body: an Answer with prompt_tokens, token_names and
// token_logprobs. A server that does not give those of a prompt is a Problem of kind no_logprobs.
std::variant<Answer, Problem> read_completion_reply(int status, std::string_view body);

}  // namespace qwen3::eval
