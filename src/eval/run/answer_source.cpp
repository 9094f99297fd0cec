#include "eval/run/answer_source.h"

namespace qwen3::eval {

std::string_view failure_name(FailureKind kind) {
  switch (kind) {
    case FailureKind::context:
      return "context";
    case FailureKind::rejected:
      return "rejected";
    case FailureKind::unauthorized:
      return "unauthorized";
    case FailureKind::not_found:
      return "not_found";
    case FailureKind::too_large:
      return "too_large";
    case FailureKind::connection:
      return "connection";
    case FailureKind::timeout:
      return "timeout";
    case FailureKind::deadline:
      return "deadline";
    case FailureKind::busy:
      return "busy";
    case FailureKind::server:
      return "server";
    case FailureKind::bad_reply:
      return "bad_reply";
    case FailureKind::model:
      return "model";
    case FailureKind::no_logprobs:
      return "no_logprobs";
  }
  return "?";
}

bool ends_run(FailureKind kind) {
  return kind == FailureKind::unauthorized || kind == FailureKind::not_found ||
         kind == FailureKind::no_logprobs;
}

}  // namespace qwen3::eval
