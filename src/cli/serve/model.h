// From a model directory to what the API serves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/serve/options.h"
#include "server/api/served_model.h"

namespace qwen3::cli {

struct LoadedModel {
  std::unique_ptr<server::ServedModel> served;
  int64_t request_bytes = 0;  // for HttpServer::set_request_memory
  std::string description;    // two lines for people: the model, and the memory plan
};

// Loads tokenizer and weights, plans the memory, starts the engine. Throws Error when something is
// missing, broken, or does not fit; the message has the arithmetic.
LoadedModel load_served_model(const ServeOptions& options);

}  // namespace qwen3::cli
