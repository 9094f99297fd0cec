#include "cli/serve/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/generation.h"
#include "server/api/embedding_modules.h"

namespace qwen3::cli {
namespace {

// Waiting prompts together: enough to keep the engine busy, little enough to answer soon.
constexpr int64_t kWaitingContexts = 4;

// Which presets there are does not depend on the bits of the weights, which are not known yet.
void check_preset(const std::string& name, const PreparedModel& prepared) {
  std::vector<server::Preset> presets;
  if (prepared.task == server::Task::generate) presets = server::presets_for(prepared.text, false);
  try {
    server::choose_preset(presets, name, std::nullopt);
  } catch (const Error& error) {
    throw UsageError(fmt::format("qwen3 serve: --{}", error.what()));
  }
}

}  // namespace

PreparedModel prepare_served_model(const ServeOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  PreparedModel prepared{.text = Text::load(directory, options.chat_template)};
  prepared.task = options.service.task == server::Task::automatic ? server::detect_task(directory)
                                                                  : options.service.task;
  check_preset(options.service.preset, prepared);
  if (prepared.task == server::Task::embed) server::check_embedding_modules(directory);
  EngineOptions engine = options.engine;
  engine.max_model_len = options.model.context;
  prepared.memory = plan_serve_memory(directory, options, engine);
  return prepared;
}

LoadedModel load_served_model(const ServeOptions& options, PreparedModel prepared) {
  const ServeMemory& memory = prepared.memory;
  EngineOptions engine = options.engine;
  engine.max_model_len = memory.plan.max_model_len;
  engine.kv_cache_bytes = memory.plan.kv_cache_bytes;
  engine.max_waiting_tokens =
      options.max_waiting_tokens.value_or(kWaitingContexts * memory.plan.max_model_len);

  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  tell_engine(engine, &prepared.text);
  engine.n_real_tokens = std::min(engine.n_real_tokens, model->info().vocab_size);
  server::ServedParts parts{
      .text = std::move(prepared.text),
      .generator = std::make_unique<server::EngineGenerator<Engine>>(model, engine),
      .defaults = model->generation_defaults(),
      .info = model->info(),
      .shape = model->shape(),
      .task = prepared.task};
  return {server::make_served_model(std::move(parts), options.service),
          memory.request_bytes,
          model_line(model->info()) + "\n" + memory_line(memory, options.engine.max_sequences)};
}

}  // namespace qwen3::cli
