// From a model directory to what the API serves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/serve/memory.h"
#include "cli/serve/options.h"
#include "qwen3/text.h"
#include "server/api/served_model.h"

namespace qwen3::cli {

// All that can be known of a model without its weights.
struct PreparedModel {
  Text text;
  server::Task task = server::Task::automatic;
  ServeMemory memory = {};
};

// Reads tokenizer, template and config, and plans the memory. Throws Error when something is missing, broken, or
// does not fit; the message has the arithmetic.
PreparedModel prepare_served_model(const ServeOptions& options);

struct LoadedModel {
  std::unique_ptr<server::ServedModel> served;
  int64_t request_bytes = 0;  // for HttpServer::set_request_memory
  std::string description;    // two lines for people: the model, and the memory plan
};

// Loads the weights and starts the engine. Throws as above.
LoadedModel load_served_model(const ServeOptions& options, PreparedModel prepared);

}  // namespace qwen3::cli
