// What a trace found, as files.
#pragma once

#include <filesystem>

#include "cli/trace/options.h"
#include "cli/trace/run.h"

namespace qwen3::cli {

// routing.json, and experts.npy and weights.npy of shape [n_tokens, n_sparse_layers, top_k].
// Throws Error{invalid_argument} for a dense model.
void write_routing(const Trace& trace, const std::filesystem::path& directory);
// layers.{i}.self_attn.probs.npy of shape [n_heads, n_tokens, n_tokens].
void write_attention(const Trace& trace, const std::filesystem::path& directory);
void write_report(const TraceOptions& options, const Trace& trace);
void write_timeline(const Trace& trace, const std::filesystem::path& file);

}  // namespace qwen3::cli
