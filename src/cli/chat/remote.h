// A server that speaks OpenAI's chat completions, in the place of a model in this process: qwen3 chat --url.
#pragma once

#include <memory>
#include <string>

#include "cli/chat/session.h"

namespace qwen3::cli {

struct RemoteOptions {
  std::string url;           // "http://127.0.0.1:8000"; "/v1" is added to an address without a path
  std::string api_key;       // "": none
  std::string model;         // "": the first that the server lists
  bool model_typed = false;  // then it is asked for even if the server does not list it
};

// Who serves: which fields beyond OpenAI's a request may have is known of these.
enum class ServerKind { qwen3, vllm, llama_cpp, sglang, other };

struct RemoteServer {
  std::unique_ptr<Answerer> answerer;
  std::string model;
  std::string description;  // a line for people: the model, and where
};

// Asks the server for its models. Throws Error{io} when it does not answer, Error{invalid_argument} for an address
// that is none, Error{not_found} when it lists no model and none is named.
RemoteServer connect(const RemoteOptions& options);

// The body of a request. Without what the user did not ask for; throws Error{unsupported} for what he did and the
// server is not known to take.
Json chat_request_body(const Json& messages,
                       const ChatSettings& settings,
                       const std::string& model,
                       ServerKind kind);

}  // namespace qwen3::cli
