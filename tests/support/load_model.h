// Models for tests of what lies above the backends, on any of them, the test double "far" too.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/load_plan.h"
#include "engine/model_parts.h"
#include "formats/gguf_path.h"
#include "formats/open_source.h"
#include "support/far_backend.h"

namespace qwen3::test {

inline std::shared_ptr<Model> load_model(const std::filesystem::path& path, LoadOptions options) {
  if (options.backend != "far") return Model::load(path, options);
  options.backend = "reference";
  const auto source = open_source(path);
  const LoadPlan plan = plan_load(*source, options);
  ModelParts parts{.config = plan.config,
                   .backend = std::make_unique<FarBackend>(),
                   .weight_type = plan.weight_type};
  parts.weights = load_weights(*source, *parts.backend, parse_weights_dtype(options.dtype), 1, {});
  return make_model(std::move(parts), model_name(path));
}

}  // namespace qwen3::test
