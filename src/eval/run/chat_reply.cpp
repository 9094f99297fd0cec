#include "eval/run/chat_reply.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMessageBytes = 300;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// How servers say that prompt and answer do not fit. The first is all that the official scripts
// know.
constexpr std::array<std::string_view, 5> kContextWords = {"maximum context length",
                                                           "context_length_exceeded",
                                                           "maximum model length",
                                                           "model's context length",
                                                           "context window"};

bool says_context(std::string_view body, Mode mode) {
  const size_t n_known = mode == Mode::strict ? 1 : kContextWords.size();
  for (size_t i = 0; i < n_known; ++i) {
    if (body.find(kContextWords[i]) != body.npos) return true;
  }
  return false;
}

Problem bad_reply(int status, std::string message) {
  return {{FailureKind::bad_reply, status, std::move(message)}, true};
}

Problem refused(int status, std::string_view body, Mode mode) {
  const auto problem = [&](FailureKind kind, bool again) {
    return Problem{{kind, status, server_message(body)}, again};
  };
  if (status >= 400 && says_context(body, mode)) return problem(FailureKind::context, false);
  switch (status) {
    case 401:
    case 403:
      return problem(FailureKind::unauthorized, false);
    case 404:
      return problem(FailureKind::not_found, false);
    case 408:
      return problem(FailureKind::timeout, true);
    case 409:
      return problem(FailureKind::rejected, true);
    case 429:
      return problem(FailureKind::busy, true);
    default:
      break;
  }
  if (status >= 500) return problem(FailureKind::server, true);
  if (status >= 400) return problem(FailureKind::rejected, false);
  return {{FailureKind::bad_reply,
           status,
           fmt::format("expected status 200; got {} (redirections are not followed)", status)},
          false};
}

int64_t count_of(const Json& usage, const char* key) {
  const auto found = usage.is_object() ? usage.find(key) : usage.end();
  const bool counts = usage.is_object() && found != usage.end() && found->is_number_integer() &&
                      found->get<int64_t>() >= 0;
  return counts ? found->get<int64_t>() : -1;
}

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::variant<Answer, Problem> read_answer(int status, const Json& reply, std::string_view body) {
  const Json* choices = member(reply, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) {
    return bad_reply(status, "no \"choices\" in the reply: " + server_message(body));
  }
  const Json& choice = choices->front();
  const Json* finish = member(choice, "finish_reason");
  if (finish == nullptr || !finish->is_string()) {
    return bad_reply(status, "no finish_reason: the answer may be cut off");
  }
  Answer answer;
  answer.finish_reason = finish->get<std::string>();
  for (const char* broken : {"", "abort", "error", "cancelled", "timeout"}) {
    if (answer.finish_reason != broken) continue;
    return bad_reply(status, fmt::format("finish_reason is \"{}\": not a whole answer", broken));
  }
  const Json* message = member(choice, "message");
  if (message == nullptr || !message->is_object()) {
    return bad_reply(status, "no message in the first choice");
  }
  const Json* content = member(*message, "content");
  if (content != nullptr && !content->is_string()) {
    return bad_reply(status, fmt::format("content: expected text; got {}", content->type_name()));
  }
  answer.null_content = content == nullptr;
  if (content != nullptr) answer.text = content->get<std::string>();
  for (const char* key : {"reasoning_content", "reasoning"}) {
    const Json* reasoning = member(*message, key);
    if (reasoning != nullptr && reasoning->is_string() && !answer.reasoning) {
      answer.reasoning = reasoning->get<std::string>();
    }
  }
  if (const Json* usage = member(reply, "usage")) {
    answer.prompt_tokens = count_of(*usage, "prompt_tokens");
    answer.completion_tokens = count_of(*usage, "completion_tokens");
  }
  return answer;
}

Problem no_logprobs(int status, std::string why) {
  why +=
      "; choose_by needs a server whose /completions gives the log probabilities of a prompt "
      "(echo with logprobs)";
  return {{FailureKind::no_logprobs, status, std::move(why)}, false};
}

// The first n entries of a list in the reply's logprobs: one for each token of the prompt. What may
// follow belongs to the token that was generated. Null: there are not as many.
const Json* prompt_entries(const Json& choice, const char* key, size_t n) {
  const Json* logprobs = member(choice, "logprobs");
  const Json* list = logprobs == nullptr ? nullptr : member(*logprobs, key);
  return list != nullptr && list->is_array() && list->size() >= n ? list : nullptr;
}

std::variant<Answer, Problem> read_prompt_tokens(int status,
                                                 const Json& reply,
                                                 std::string_view body) {
  const Json* choices = member(reply, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) {
    return bad_reply(status, "no \"choices\" in the reply: " + server_message(body));
  }
  Answer answer;
  const Json* usage = member(reply, "usage");
  if (usage != nullptr) answer.prompt_tokens = count_of(*usage, "prompt_tokens");
  if (answer.prompt_tokens < 1) return no_logprobs(status, "no usage.prompt_tokens in the reply");
  const auto n_tokens = static_cast<size_t>(answer.prompt_tokens);
  const Json* names = prompt_entries(choices->front(), "tokens", n_tokens);
  const Json* values = prompt_entries(choices->front(), "token_logprobs", n_tokens);
  if (names == nullptr || values == nullptr) {
    return no_logprobs(status,
                       fmt::format("expected logprobs.tokens and logprobs.token_logprobs of {} "
                                   "prompt tokens in the reply",
                                   n_tokens));
  }
  for (size_t i = 0; i < n_tokens; ++i) {
    const Json& name = (*names)[i];
    const Json& value = (*values)[i];
    if (!name.is_string() || (i > 0 && !value.is_number())) {
      return no_logprobs(status,
                         fmt::format("token {} of the prompt: expected text and a number; got {} "
                                     "and {}",
                                     i,
                                     quote_for_message(dump_json(name), 40),
                                     quote_for_message(dump_json(value), 40)));
    }
    answer.token_names.push_back(name.get<std::string>());
    answer.token_logprobs.push_back(i > 0 ? value.get<double>() : kNone);
  }
  return answer;
}

// The reply's JSON; or why there is none.
std::variant<Json, Problem> parse_reply(int status, std::string_view body) {
  try {
    return parse_json(body, "reply");
  } catch (const Error& error) {
    return bad_reply(status, quote_for_message(error.what(), kMessageBytes));
  }
}

}  // namespace

std::string server_message(std::string_view body) {
  try {
    Json reply = parse_json(body, "reply");
    if (reply.is_object() && reply.contains("error")) reply = Json(reply["error"]);
    if (reply.is_string()) return quote_for_message(reply.get<std::string>(), kMessageBytes);
    for (const char* key : {"message", "detail"}) {
      if (reply.is_object() && reply.contains(key) && reply[key].is_string()) {
        return quote_for_message(reply[key].get<std::string>(), kMessageBytes);
      }
    }
  } catch (const Error&) {  // not JSON: shown as it is
  }
  return quote_for_message(body, kMessageBytes);
}

std::variant<Answer, Problem> read_chat_reply(int status, std::string_view body, Mode mode) {
  if (status != 200) {
    Problem problem = refused(status, body, mode);
    const bool too_long = problem.failure.kind == FailureKind::context;
    if (too_long && mode == Mode::strict) {
      return Answer{.finish_reason = "length", .context_exceeded = true};
    }
    return problem;
  }
  auto reply = parse_reply(status, body);
  if (Problem* problem = std::get_if<Problem>(&reply)) return std::move(*problem);
  return read_answer(status, std::get<Json>(reply), body);
}

std::variant<Answer, Problem> read_completion_reply(int status, std::string_view body) {
  if (status != 200) return refused(status, body, Mode::standard);
  auto reply = parse_reply(status, body);
  if (Problem* problem = std::get_if<Problem>(&reply)) return std::move(*problem);
  return read_prompt_tokens(status, std::get<Json>(reply), body);
}

}  // namespace qwen3::eval
