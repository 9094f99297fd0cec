// `return_progress: true`: how far a prompt is, in chunks of a stream without choices, at most four a
// second. The members are llama.cpp's.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "qwen3/request.h"

namespace qwen3::server {

class ProgressChunks {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Appends an event to `out`, unless one went out just before. `head`: answer_head() of the stream.
  void append(std::string& out, std::string_view head, const PromptProgress& progress, Time now);

 private:
  std::optional<Time> last_;
};

}  // namespace qwen3::server
