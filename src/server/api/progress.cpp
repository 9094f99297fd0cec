#include "server/api/progress.h"

#include <fmt/format.h>

#include <iterator>

namespace qwen3::server {

void ProgressChunks::append(std::string& out,
                            std::string_view head,
                            const PromptProgress& progress,
                            Time now) {
  constexpr std::chrono::milliseconds kLeast{250};
  if (last_ && now - *last_ < kLeast) return;
  last_ = now;
  fmt::format_to(std::back_inserter(out),
                 R"(data: {}],"prompt_progress":{{"total":{},"cache":{},"processed":{},)"
                 R"("time_ms":{}}}}})"
                 "\n\n",
                 head,
                 progress.total,
                 progress.cached,
                 progress.processed,
                 static_cast<int64_t>(progress.seconds * 1000));
}

}  // namespace qwen3::server
