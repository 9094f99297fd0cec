#include "cli/serve/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "cli/generation.h"
#include "cli/numbers.h"
#include "cli/ranks.h"
#include "engine/load_plan.h"
#include "parallel/communicator.h"
#include "server/http/request_memory.h"

namespace qwen3::cli {
namespace {

// A server whose context is shorter than this is of no use to anybody; better to say so.
constexpr int64_t kLeastContext = 512;

// Requests get the least that they can do with, and up to this of what nobody else needs.
constexpr int64_t kMostForRequests = 512 << 20;

// Pages of this process that no file backs; 0 if the system does not say.
int64_t own_memory_bytes() {
  constexpr std::string_view kKey = "RssAnon:";
  std::ifstream file("/proc/self/status");
  const std::string status((std::istreambuf_iterator<char>(file)), {});
  size_t at = status.find(kKey);
  if (at == status.npos) return 0;
  at = status.find_first_not_of(" \t", at + kKey.size());
  if (at == status.npos) return 0;
  const std::string_view word = std::string_view(status).substr(at, status.find(' ', at) - at);
  return parse_integer(word).value_or(0) * 1024;
}

// The tokens that the cache must hold at least.
int64_t least_tokens(const ServeMemory& m, const EngineOptions& engine) {
  const int64_t wanted =
      engine.max_model_len > 0 ? engine.max_model_len : std::min(kLeastContext, m.model_context);
  const int64_t given = engine.kv_cache_bytes / m.plan.kv_bytes_per_token;
  return ceil_div(std::max(wanted, given), m.plan.block_size) * m.plan.block_size;
}

std::string what_to_lower(const EngineOptions& engine, bool limited) {
  std::string advice = "lower ";
  if (engine.kv_cache_bytes > 0) advice += "--kv-cache-size, ";
  if (engine.max_model_len > 0) advice += "--context, ";
  advice += "--max-batch-tokens or --max-sequences, or ";
  return advice + (limited ? "raise the limit" : "free memory");
}

// Throws unless the parts fit into what there is.
void check_sum(const ServeMemory& m, const EngineOptions& engine, int64_t limit) {
  const MemoryPlan& p = m.plan;
  const int64_t tokens = least_tokens(m, engine);
  const int64_t kv_bytes = tokens * p.kv_bytes_per_token;
  const int64_t requests = server::RequestMemory::kLeast + m.kept_bytes;
  const int64_t total =
      m.program_bytes + p.weight_bytes + p.activation_bytes + p.margin_bytes + requests + kv_bytes;
  const int64_t most = p.available_bytes + m.program_bytes + requests;
  QWEN3_CHECK(total <= most,
              ErrorKind::out_of_memory,
              "{}: program {} + weights {} + work buffers {} + reserve {} + requests {} + KV cache "
              "{} for {} "
              "tokens = "
              "{}; expected at most {}; short of {}; {}",
              limit > 0 ? "--memory-limit" : "memory",
              format_bytes(m.program_bytes),
              format_bytes(p.weight_bytes),
              format_bytes(p.activation_bytes),
              format_bytes(p.margin_bytes),
              format_bytes(requests),
              format_bytes(kv_bytes),
              tokens,
              format_bytes(total),
              format_bytes(most),
              format_bytes(total - most),
              what_to_lower(engine, limit > 0));
}

int64_t unused(const MemoryPlan& p) {
  return p.available_bytes - p.weight_bytes - p.activation_bytes - p.margin_bytes -
         p.kv_cache_bytes;
}

int64_t bytes_kept(const auto& options) { return options.count > 0 ? options.bytes : 0; }

}  // namespace

ServeMemory plan_serve_memory(const std::filesystem::path& directory,
                              const ServeOptions& options,
                              const EngineOptions& engine) {
  const Communicator* const group = group_of_ranks();
  const Shard shard = group == nullptr ? Shard{} : group->shard();
  const LoadPlan load = plan_load(directory, load_options(options.model), shard);
  check_context(options.model, load.config);
  ServeMemory memory{.plan = {},
                     .program_bytes = own_memory_bytes(),
                     .model_context = load.config.context_length()};
  int64_t available = available_memory_bytes();
  if (options.memory_limit > 0) {
    available = std::clamp<int64_t>(options.memory_limit - memory.program_bytes, 0, available);
  }
  memory.kept_bytes = bytes_kept(options.service.traces) + bytes_kept(options.service.responses);
  available -= server::RequestMemory::kLeast + memory.kept_bytes;
  memory.plan = load.memory(available, engine);
  check_sum(memory, engine, options.memory_limit);
  if (memory.plan.max_model_len < least_tokens(memory, engine)) {
    // Half of what is left is too little for a useful context, and more is available.
    EngineOptions least = engine;
    least.kv_cache_bytes = least_tokens(memory, engine) * memory.plan.kv_bytes_per_token;
    memory.plan = load.memory(available, least);
  }
  QWEN3_CHECK(memory.plan.problem.empty(), ErrorKind::out_of_memory, "{}", memory.plan.problem);
  memory.request_bytes = std::min(
      kMostForRequests, server::RequestMemory::kLeast + std::max<int64_t>(0, unused(memory.plan)));
  return memory;
}

std::string memory_line(const ServeMemory& m, int64_t max_sequences) {
  const MemoryPlan& p = m.plan;
  const int64_t total = m.program_bytes + p.weight_bytes + p.activation_bytes + m.request_bytes +
                        m.kept_bytes + p.kv_cache_bytes;
  return fmt::format(
      "memory: program {} + weights {} + work buffers {} + requests {} + KV cache {} ({} tokens of "
      "{} "
      "bytes) = {}; context {} tokens{}, up to {} requests at a time",
      format_bytes(m.program_bytes),
      format_bytes(p.weight_bytes),
      format_bytes(p.activation_bytes),
      format_bytes(m.request_bytes + m.kept_bytes),
      format_bytes(p.kv_cache_bytes),
      p.n_blocks * p.block_size,
      p.kv_bytes_per_token,
      format_bytes(total),
      p.max_model_len,
      p.max_model_len < m.model_context ? fmt::format(" of the model's {}", m.model_context) : "",
      max_sequences);
}

}  // namespace qwen3::cli
