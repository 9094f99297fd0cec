// One request from submit to its last event, with Ctrl-C, and how fast it went.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "qwen3/model.h"
#include "qwen3/text.h"

namespace qwen3::cli {

// Loads the model that the options name, with a progress bar on stderr when `output` allows.
// `random` draws the weights instead of reading them.
enum class WeightsFrom { checkpoint, random };
std::shared_ptr<Model> load_model(const ModelOptions& options,
                                  const OutputOptions& output,
                                  WeightsFrom from = WeightsFrom::checkpoint);

// Throws Error{invalid_argument} when --context asks for more than the model was made for.
void check_context(const ModelOptions& options, const ModelShape& shape);

// Throws Error{invalid_argument} for an id that is not in [0, n_tokens). `option` gave the ids.
void check_ids(std::span<const int32_t> ids, int64_t n_tokens, std::string_view option);

// What the engine has to know of the text that it is for; null: nothing.
void tell_engine(EngineOptions& engine, const Text* text);

// An engine for one sequence at a time, for that text.
std::unique_ptr<Engine> start_engine(const std::shared_ptr<Model>& model,
                                     const ModelOptions& options,
                                     const Text* text);

struct Outcome {
  std::vector<int32_t> ids;  // new tokens, end token included
  FinishReason finish = FinishReason::stop;
  Usage usage;
};

// Told each token; returns false to end the request here (a stop string was found).
using OnToken = std::function<bool(int32_t id, bool is_end_token)>;

// Runs the request to its end. Ctrl-C, if `interrupt` is not null, cancels it within one step.
// Throws Error{internal} when the engine reports a failure.
Outcome run_request(Engine& engine,
                    Request request,
                    const InterruptGuard* interrupt,
                    const OnToken& on_token);

// "nano: qwen3, 7.8 M parameters, float32 …": the first line on stderr.
std::string model_line(const ModelInfo& info);
// The same with the engine's context and cache.
std::string model_line(const ModelInfo& info, const Engine& engine);
// The last line on stderr: tok/s, ms/token, GB/s.
std::string speed_line(const Outcome& outcome, const ModelInfo& info);
// The same for machines.
Json timing_json(const Outcome& outcome, const ModelInfo& info);

}  // namespace qwen3::cli
