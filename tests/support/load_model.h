// Models for tests of what lies above the backends, on any of them, the test double "far" too.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/load_plan.h"
#include "engine/model_parts.h"
#include "formats/checkpoint.h"
#include "support/far_backend.h"

namespace qwen3::test {

inline std::shared_ptr<Model> load_model(const std::filesystem::path& directory,
                                         LoadOptions options) {
  if (options.backend != "far") return Model::load(directory, options);
  options.backend = "reference";
  const Checkpoint checkpoint = Checkpoint::open(directory);
  const LoadPlan plan = plan_load(checkpoint, options);
  ModelParts parts{.config = plan.config,
                   .backend = std::make_unique<FarBackend>(),
                   .weight_type = plan.weight_type};
  parts.weights =
      load_weights(checkpoint, *parts.backend, parse_weights_dtype(options.dtype), 1, {});
  return make_model(std::move(parts), directory.filename().string());
}

}  // namespace qwen3::test
