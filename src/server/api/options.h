// What the operator decides: names, limits, defaults. The numbers are those of docs/serving.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chat/tool_calls.h"
#include "server/api/loop_guard.h"

namespace qwen3::server {

// What a checkpoint was made for; `automatic` asks its name and files.
enum class Task { automatic, generate, embed, rerank };

// Under which key a chat answer gives its reasoning. `none`: inside the content, with its tags.
enum class ReasoningField { reasoning_content, reasoning, both, none };

struct ApiLimits {
  int64_t max_n = 8;
  int64_t max_choices = 128;  // prompts times n; openai-node accepts no more
  int64_t max_inputs = 2048;  // of one embedding or rerank request
  int64_t max_logprobs = 20;
  int64_t max_logit_bias = 300;
  int64_t max_stops = 16;  // OpenAI allows 4; few-shot harnesses send more
  int64_t max_stop_bytes = 256;
  int64_t max_stop_token_ids = 256;
  int64_t max_messages = 2048;
  int64_t max_tools = 256;
  int64_t max_tool_bytes = 1 << 20;       // all schemas together
  int64_t max_logprob_entries = 1 << 20;  // prompt tokens times (logprobs + 1), all prompts
  double max_temperature = 2.0;
  int64_t min_priority = 0;  // lower goes first: a client may step back, not push forward
};

// Traces of requests that ask for one. A request that is traced takes a pass of its own in every
// step, so only a few are at a time.
struct TraceOptions {
  int64_t count = 0;         // that are kept; 0: requests may not ask for one
  int64_t bytes = 64 << 20;  // of all that are kept; the newest is kept whatever its size
  std::chrono::seconds max_age{3600};
  int64_t max_recording = 4;  // at a time; beyond, 429
  // The rest of a longer request is not recorded: each token takes
  // layers · (experts + 2 · experts per token) numbers.
  int64_t max_tokens = 512;
};

// Responses that are kept, so that a client may go on from one by its id.
struct ResponseOptions {
  int64_t count = 0;  // 0: none
  int64_t bytes = 64 << 20;
  std::chrono::seconds max_age{3600};
};

struct ServiceOptions {
  std::vector<std::string> model_names = {};  // the first is the one in answers
  bool any_model_name = false;                // accept every `model`
  Task task = Task::automatic;
  ReasoningField reasoning_field = ReasoningField::reasoning_content;
  std::optional<ToolFormat> tool_format = {};  // absent: as the chat template writes calls
  std::string default_template_kwargs = {};    // JSON: variables beneath a request's; "": none
  std::string preset = "none";                 // of requests that name none (presets.h)
  ApiLimits limits = {};
  LoopGuardOptions loop_guard = {};

  // When a chat request says nothing about max_tokens; 0: what the context has left.
  int64_t default_max_tokens = 0;
  // A request for more tokens than the context has left is cut instead of refused.
  bool clamp_max_tokens = false;
  std::chrono::seconds request_timeout{600};

  bool page = true;  // the chat page at /
  TraceOptions traces = {};
  ResponseOptions responses = {};
  bool metrics = false;
  bool metrics_compat = false;  // vLLM's names besides our own
  // Of the access log, for /metrics; absent: nobody counts. Any thread.
  std::function<int64_t()> n_lost_log_lines = {};
  std::string version = {};
};

}  // namespace qwen3::server
