// Whether a model computes here what its weights say (docs/verify.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/model_parts.h"
#include "qwen3/model.h"
#include "verify/verification.h"

namespace qwen3 {

// A model on the backend that is judged, and the same weights, widened exactly, twice on the reference
// backend.
class VerifiedModel {
 public:
  // Loads `path` as the options say, and for the reference. Throws as Model::load.
  static VerifiedModel load(const std::filesystem::path& path,
                            const LoadOptions& options,
                            const std::string& name);
  // REQUIRES: two loads of one checkpoint, the second for the reference backend.
  VerifiedModel(ModelParts judged, ModelParts exact, const std::string& name);

  const Model& judged() const { return *judged_; }
  // How many matrices are kept in each type, and how the inputs of their products are rounded.
  struct Kept {
    int64_t n_matrices = 0;
    Backend::InputRounding rounding = Backend::InputRounding::none;
  };
  const std::map<WeightType, Kept>& kept() const { return kept_; }

  // Once. `against`: a directory of another program's tensors, instead of the exact pass. `before_each`
  // is told each tensor before it is compared, and may throw. Throws Error: the model or the files are
  // unfit, or memory ran out.
  Verification run(std::span<const int32_t> ids,
                   const std::optional<std::filesystem::path>& against,
                   const std::function<void(std::string_view name)>& before_each);

 private:
  struct Passes;
  std::shared_ptr<Passes> passes_;
  std::shared_ptr<Model> judged_, exact_, yardstick_;
  std::map<WeightType, Kept> kept_;
};

}  // namespace qwen3
