// ServedModel: everything about the model that requests ask for, looked up once. Immutable but for
// its generator and its grammars, which are thread safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "chat/text.h"
#include "qwen3/model.h"
#include "qwen3/text.h"
#include "server/api/decision_labels.h"
#include "server/api/generator.h"
#include "server/api/model_grammars.h"
#include "server/api/options.h"
#include "server/api/presets.h"
#include "server/api/turns.h"

namespace qwen3::server {

struct ServedModel {
  Text text;
  std::unique_ptr<Generator> generator;
  GenerationDefaults defaults;
  ModelInfo info;
  ModelShape shape;
  std::string name;            // it is served by
  Task task = Task::generate;  // never automatic
  ToolFormat tool_format = ToolFormat::hermes;
  std::shared_ptr<const DecisionLabels> decision_labels = {};  // of a model for generating
  Json template_defaults = Json::object();                     // variables of the chat template
  std::vector<Preset> presets = {};                            // of a model for generating

  int64_t max_model_len = 0;
  int64_t n_tokens = 0;  // ids from here on are refused
  int64_t longest_token_bytes = 0;
  int32_t think_open = -1, think_close = -1;
  int32_t yes = -1, no = -1;              // of a reranker
  std::vector<int32_t> closing_ids = {};  // ends a thought whose budget is used up
  std::vector<int32_t> ending_ids = {};   // ends one without the sentence
  std::unique_ptr<ModelGrammars> grammars = {};
  ChatAbilities abilities = {};

  const Tokenizer& tokenizer() const { return tokenizer_of(text); }
};

// What the files of a checkpoint say it was made for.
Task detect_task(const std::filesystem::path& directory);

struct ServedParts {
  Text text;
  std::unique_ptr<Generator> generator;
  GenerationDefaults defaults = {};
  ModelInfo info = {};
  ModelShape shape = {};
  Task task = Task::generate;
};

// Throws Error{unsupported} when the tokenizer lacks what the task needs.
std::unique_ptr<ServedModel> make_served_model(ServedParts parts, const ServiceOptions& options);

}  // namespace qwen3::server
