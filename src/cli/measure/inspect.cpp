// qwen3 inspect: what a model is and whether it fits, from its headers alone (and a head stored beside
// a flag that there is none, which is compared as loading does), its tokenizer and its template. A
// directory with a config.json and no weights yet is enough for the plan.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/options.h"
#include "engine/load_plan.h"
#include "engine/validate.h"
#include "formats/gguf_path.h"
#include "formats/open_source.h"
#include "model/tied_head.h"
#include "model/weights.h"
#include "qwen3/text.h"

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  ModelOptions model;
  bool json = false;
  bool tensors = false;
};

struct Inspection {
  std::string directory;
  std::string hf_overrides;                  // "": none
  std::unique_ptr<TensorSource> checkpoint;  // nullptr: config.json only
  std::optional<Text> text;                  // nothing: no tokenizer there
  LoadPlan load;
  MemoryPlan plan;
};

bool has_weights(const fs::path& path) {
  return file_exists(path / "model.safetensors") ||
         file_exists(path / "model.safetensors.index.json") || find_gguf(path).has_value();
}

// Embeddings may have a row less than their tokenizer has tokens, and generate nothing.
bool generates(const Inspection& it) {
  const TensorSource* files = it.checkpoint.get();
  return files == nullptr || it.load.config.tie_word_embeddings || files->find("lm_head.weight");
}

Inspection look_at(const InspectOptions& options) {
  Inspection result;
  const fs::path directory = resolve_model(options.model.model);
  result.directory = directory.string();
  LoadOptions load = load_options(options.model);
  result.hf_overrides = load.hf_overrides;
  if (has_weights(directory)) {
    result.checkpoint = open_source(directory, load.hf_overrides);
    result.load = plan_load(*result.checkpoint, load);
    check_tied_head(*result.checkpoint, result.load.backend->info().n_threads);
  } else {
    load.random_weights = true;
    result.load = plan_load(directory, load);
  }
  check_context(options.model, result.load.config);
  EngineOptions engine;
  engine.max_model_len = options.model.context;
  engine.kv_dtype = options.model.kv_dtype;
  engine.max_sequences = 1;
  if (Text::available(directory)) result.text.emplace(Text::load(directory));
  tell_engine(engine, result.text ? &*result.text : nullptr);
  if (generates(result)) check_tokenizer(engine, result.load.config.vocab_size);
  result.plan = result.load.memory(result.load.backend->available_bytes(), engine);
  return result;
}

std::string_view type_name(ModelType type) {
  return type == ModelType::qwen3_moe ? "qwen3_moe" : "qwen3";
}

int64_t count_sparse(const HfConfig& config) {
  return std::count(config.layer_is_sparse.begin(), config.layer_is_sparse.end(), true);
}

std::string_view rope_type_name(RopeScaling::Type type) {
  switch (type) {
    case RopeScaling::Type::none:
      return "none";
    case RopeScaling::Type::yarn:
      return "yarn";
    case RopeScaling::Type::linear:
      return "linear";
  }
  return "?";
}

Json config_json(const HfConfig& c) {
  Json json = {{"model_type", type_name(c.model_type)},
               {"vocab_size", c.vocab_size},
               {"hidden_size", c.hidden_size},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.num_hidden_layers},
               {"num_attention_heads", c.num_attention_heads},
               {"num_key_value_heads", c.num_key_value_heads},
               {"head_dim", c.head_dim},
               {"max_position_embeddings", c.max_position_embeddings},
               {"rms_norm_eps", c.rms_norm_eps},
               {"rope_theta", c.rope_theta},
               {"rope_scaling", rope_type_name(c.rope_scaling.type)},
               {"rope_factor", c.rope_scaling.factor},
               {"tie_word_embeddings", c.tie_word_embeddings},
               {"attention_bias", c.attention_bias},
               {"dtype", dtype_name(c.dtype)},
               {"qk_norm_order", c.qk_norm_after_rope ? "after_rope" : "official"},
               {"eos_token_id", c.eos_token_ids}};
  if (c.model_type == ModelType::qwen3_moe) {
    json["num_experts"] = c.num_experts;
    json["num_experts_per_tok"] = c.num_experts_per_tok;
    json["moe_intermediate_size"] = c.moe_intermediate_size;
    json["norm_topk_prob"] = c.norm_topk_prob;
    json["router_aux_loss_coef"] = c.router_aux_loss_coef;
    json["sparse_layers"] = count_sparse(c);
  }
  return json;
}

Json tensors_json(const TensorSource& checkpoint) {
  Json tensors = Json::array();
  for (const std::string& name : checkpoint.names()) {
    const SourceTensor* tensor = checkpoint.find(name);
    tensors.push_back({{"name", name},
                       {"dtype", tensor->file_dtype},
                       {"shape", tensor->shape},
                       {"bytes", tensor->n_bytes}});
  }
  return tensors;
}

// How many tensors there are of each type.
std::map<std::string, int64_t> count_dtypes(const TensorSource& checkpoint) {
  std::map<std::string, int64_t> counts;
  for (const auto& [name, tensor] : checkpoint.tensors()) ++counts[std::string(tensor.file_dtype)];
  return counts;
}

Json said_overrides(const Inspection& it) {
  return it.hf_overrides.empty() ? Json() : parse_json(it.hf_overrides, "--hf-overrides");
}

Json inspection_json(const Inspection& it) {
  const MemoryPlan& plan = it.plan;
  const BackendInfo backend = it.load.backend->info();
  Json json = {{"directory", it.directory},
               {"hf_overrides", said_overrides(it)},
               {"config", config_json(it.load.config)},
               {"n_parameters", n_parameters(it.load.config)},
               {"n_active_parameters", n_active_parameters(it.load.config)}};
  json["checkpoint"] = nullptr;
  if (it.checkpoint) {
    json["checkpoint"] = {{"files", it.checkpoint->n_files()},
                          {"bytes", it.checkpoint->n_bytes()},
                          {"dtypes", count_dtypes(*it.checkpoint)},
                          {"tensors", tensors_json(*it.checkpoint)}};
  }
  json["tokenizer"] = nullptr;
  if (it.text) {
    json["tokenizer"] = {{"tokens", it.text->n_tokens()},
                         {"eos_token_id", it.text->eos_token_ids()},
                         {"chat_template", it.text->has_chat_template()}};
  }
  json["plan"] = {{"backend", backend.name},
                  {"hardware", backend.hardware},
                  {"n_threads", backend.n_threads},
                  {"dtype", weight_type_name(it.load.weight_type)},
                  {"available_bytes", plan.available_bytes},
                  {"weight_bytes", plan.weight_bytes},
                  {"activation_bytes", plan.activation_bytes},
                  {"margin_bytes", plan.margin_bytes},
                  {"kv_dtype", dtype_name(plan.kv_dtype)},
                  {"kv_bytes_per_token", plan.kv_bytes_per_token},
                  {"kv_cache_bytes", plan.kv_cache_bytes},
                  {"context", plan.max_model_len},
                  {"longest_context", plan.longest_context}};
  json["fits"] = plan.problem.empty();
  json["problem"] = plan.problem.empty() ? Json() : Json(plan.problem);
  return json;
}

void print_row(std::string_view name, const std::string& value) {
  print_out(fmt::format("{:<24} {}\n", name, value));
}

void print_tensors(const TensorSource& checkpoint) {
  for (const std::string& name : checkpoint.names()) {
    const SourceTensor* tensor = checkpoint.find(name);
    print_out(fmt::format("  {:<60} {:<6} [{}] {}\n",
                          name,
                          tensor->file_dtype,
                          fmt::join(tensor->shape, ", "),
                          format_bytes(tensor->n_bytes)));
  }
}

std::string tokenizer_words(const std::optional<Text>& text) {
  if (!text) return "none here: only token ids can be given (--ids)";
  return fmt::format("{} tokens, {}",
                     text->n_tokens(),
                     text->has_chat_template() ? "chat template" : "no chat template");
}

void print_inspection(const Inspection& it, bool with_tensors) {
  const MemoryPlan& plan = it.plan;
  const BackendInfo backend = it.load.backend->info();
  print_row("model", it.directory);
  if (!it.hf_overrides.empty()) print_row("hf_overrides", it.hf_overrides);
  const Json config = config_json(it.load.config);
  for (const auto& [key, value] : config.items()) {
    print_row(key, value.is_string() ? value.get<std::string>() : dump_json(value));
  }
  print_row("parameters",
            fmt::format("{}, {} of them multiplied with each token",
                        format_count(n_parameters(it.load.config)),
                        format_count(n_active_parameters(it.load.config))));
  if (it.checkpoint) {
    print_row("checkpoint",
              fmt::format("{} tensors in {} file(s), {}",
                          it.checkpoint->n_tensors(),
                          it.checkpoint->n_files(),
                          format_bytes(it.checkpoint->n_bytes())));
    std::vector<std::string> dtypes;
    for (const auto& [dtype, n] : count_dtypes(*it.checkpoint)) {
      dtypes.push_back(fmt::format("{} {}", n, dtype));
    }
    print_row("  stored as", fmt::format("{}", fmt::join(dtypes, ", ")));
    if (with_tensors) print_tensors(*it.checkpoint);
  } else {
    print_row("checkpoint", "no weights in this directory; the plan is from config.json alone");
  }
  print_row("tokenizer", tokenizer_words(it.text));
  print_row(
      "backend",
      fmt::format("{} ({}), {} thread(s)", backend.name, backend.hardware, backend.n_threads));
  print_row("memory available", format_bytes(plan.available_bytes));
  print_row(
      "  weights",
      fmt::format(
          "{} as {}", format_bytes(plan.weight_bytes), weight_type_name(it.load.weight_type)));
  print_row("  activations", format_bytes(plan.activation_bytes));
  print_row("  KV cache",
            fmt::format("{} for {} tokens, {} per token as {}",
                        format_bytes(plan.kv_cache_bytes),
                        plan.max_model_len,
                        format_bytes(plan.kv_bytes_per_token),
                        dtype_name(plan.kv_dtype)));
  print_row("  margin", format_bytes(plan.margin_bytes));
  print_row("longest context", fmt::format("{} tokens", plan.longest_context));
  print_row("fits", plan.problem.empty() ? "yes" : "no: " + plan.problem);
}

ExitCode inspect(const InspectOptions& options) {
  const Inspection inspection = look_at(options);
  if (options.json) {
    print_json(inspection_json(inspection));
  } else {
    print_inspection(inspection, options.tensors);
  }
  return kDone;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show a checkpoint's configuration and tensors, and whether it fits in memory");
  const auto options = std::make_shared<InspectOptions>();
  add_model_option(*command, options->model, ModelStands::alone_too);
  command->add_flag("--tensors", options->tensors, "List every tensor (--json always does)");
  add_context_option(*command, options->model);
  add_kv_dtype_option(*command, options->model.kv_dtype);
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  command->add_flag("--json", options->json, "One JSON object, sizes in bytes");
  command->callback([options, &action] { action = [options] { return inspect(*options); }; });
}

}  // namespace qwen3::cli
