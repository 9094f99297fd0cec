#include "cli/generation.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/available_memory.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/ranks.h"
#include "engine/model_parts.h"
#include "engine/step_cost.h"
#include "formats/gguf_path.h"
#include "hardware/cpu_info.h"

namespace qwen3::cli {
namespace {

// Waiting is in short turns, because a signal handler cannot wake a condition variable: this is how
// late Ctrl-C may be noticed.
constexpr std::chrono::milliseconds kPatience{50};

struct Speed {
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
  double decode_bytes_per_second = 0;
};

Speed speed_of(const Outcome& outcome, const ModelInfo& info) {
  const Usage& usage = outcome.usage;
  Speed speed;
  const auto computed = static_cast<double>(usage.prompt_tokens - usage.cached_tokens);
  if (usage.prefill_seconds > 0) speed.prefill_tokens_per_second = computed / usage.prefill_seconds;
  // The first new token comes from the prefill.
  const auto steps = static_cast<double>(usage.completion_tokens - 1);
  if (usage.decode_seconds > 0 && steps > 0) {
    speed.decode_tokens_per_second = steps / usage.decode_seconds;
    const double mean_kv_len = static_cast<double>(usage.prompt_tokens) + steps / 2;
    speed.decode_bytes_per_second =
        decode_bytes(info, mean_kv_len) * speed.decode_tokens_per_second;
  }
  return speed;
}

}  // namespace

std::shared_ptr<Model> load_model(const ModelOptions& options,
                                  const OutputOptions& output,
                                  WeightsFrom from) {
  const std::filesystem::path directory = resolve_model(options.model);
  LoadOptions load = load_options(options);
  const int n_cores = cpu_info().n_cores;
  if (output.talk() && options.threads > n_cores) {
    print_note(fmt::format(
        "--threads {}: this process may use {} core{}; more threads than cores are slower",
        options.threads,
        n_cores,
        n_cores == 1 ? "" : "s"));
  }
  load.random_weights = from == WeightsFrom::random;
  ProgressBar bar(output.talk());
  load.progress = bar.callback();
  Communicator* const group = group_of_ranks();
  if (group == nullptr) return Model::load(directory, load);
  auto model = make_model(load_parts(directory, load, group), model_name(directory));
  note_model_of_ranks();
  return model;
}

void tell_engine(EngineOptions& engine, const Text* text) {
  if (text == nullptr) return;
  engine.n_real_tokens = text->n_tokens();
  engine.eos_token_ids = text->eos_token_ids();
}

std::unique_ptr<Engine> start_engine(const std::shared_ptr<Model>& model,
                                     const ModelOptions& options,
                                     const Text* text) {
  check_context(options, model->shape());
  EngineOptions engine;
  engine.max_model_len = options.context;
  engine.kv_dtype = options.kv_dtype;
  engine.max_sequences = 1;
  tell_engine(engine, text);
  return std::make_unique<Engine>(model, engine);
}

void check_context(const ModelOptions& options, const ModelShape& shape) {
  const int64_t longest = shape.context_length();
  if (options.context <= longest) return;
  throw UsageError(fmt::format(
      "--context: expected at most the model's {} tokens; got {}; leave it out for the longest",
      longest,
      options.context));
}

void check_ids(std::span<const int32_t> ids, int64_t n_tokens, std::string_view option) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < n_tokens) continue;
    throw UsageError(fmt::format("{}: expected token ids from 0 to {}; got {} as number {}",
                                 option,
                                 n_tokens - 1,
                                 ids[i],
                                 i + 1));
  }
}

Outcome run_request(Engine& engine,
                    Request request,
                    const InterruptGuard* interrupt,
                    const OnToken& on_token) {
  EventStream stream = engine.submit(std::move(request));
  Outcome outcome;
  bool stopped_here = false;
  bool cancelled = false;
  for (;;) {
    if (interrupt != nullptr && interrupt->interrupted() && !cancelled) {
      stream.cancel();
      cancelled = true;
    }
    const std::optional<Event> event = stream.next_for(kPatience);
    if (!event) continue;
    if (event->token_id >= 0 && !stopped_here && !cancelled) {
      outcome.ids.push_back(event->token_id);
      if (!on_token(event->token_id, event->is_end_token)) {
        stopped_here = true;
        if (!event->finish) stream.cancel();
      }
    }
    if (!event->finish) continue;
    QWEN3_CHECK(*event->finish != FinishReason::error, ErrorKind::internal, "{}", event->error);
    outcome.finish = stopped_here ? FinishReason::stop : *event->finish;
    outcome.usage = event->usage;
    return outcome;
  }
}

std::string model_line(const ModelInfo& info) {
  return fmt::format("{}: {}, {} parameters, {} ({}), backend {}",
                     info.name,
                     info.model_type,
                     format_count(info.n_parameters),
                     info.dtype,
                     format_bytes(info.weight_bytes),
                     info.backend);
}

std::string model_line(const ModelInfo& info, const Engine& engine) {
  return fmt::format("{}, context {} tokens (KV cache {} per sequence)",
                     model_line(info),
                     engine.max_model_len(),
                     format_bytes(info.kv_bytes_per_token * engine.max_model_len()));
}

std::string speed_line(const Outcome& outcome, const ModelInfo& info) {
  const Usage& usage = outcome.usage;
  const Speed speed = speed_of(outcome, info);
  std::string line = fmt::format("prompt {} tokens", usage.prompt_tokens);
  if (usage.cached_tokens > 0) line += fmt::format(" ({} cached)", usage.cached_tokens);
  if (speed.prefill_tokens_per_second > 0) {
    line += fmt::format(", {:.1f} tok/s", speed.prefill_tokens_per_second);
  }
  line += fmt::format("; answer {} tokens", usage.completion_tokens);
  if (speed.decode_tokens_per_second > 0) {
    line += fmt::format(", {:.1f} tok/s, {:.2f} ms/token, {:.2f} GB/s",
                        speed.decode_tokens_per_second,
                        1e3 / speed.decode_tokens_per_second,
                        speed.decode_bytes_per_second * 1e-9);
  }
  return line + fmt::format("; finish: {}", finish_name(outcome.finish));
}

Json timing_json(const Outcome& outcome, const ModelInfo& info) {
  const Usage& usage = outcome.usage;
  const Speed speed = speed_of(outcome, info);
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"queue_seconds", usage.queue_seconds},
          {"prefill_seconds", usage.prefill_seconds},
          {"decode_seconds", usage.decode_seconds},
          {"prefill_tokens_per_second", speed.prefill_tokens_per_second},
          {"decode_tokens_per_second", speed.decode_tokens_per_second},
          {"decode_bytes_per_second", speed.decode_bytes_per_second}};
}

}  // namespace qwen3::cli
