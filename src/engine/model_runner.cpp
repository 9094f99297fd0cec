#include "engine/model_runner.h"

#include <utility>

#include "engine/group_runner.h"
#include "engine/qwen3_runner.h"

namespace qwen3 {

std::unique_ptr<ModelRunner> make_model_runner(std::shared_ptr<Model> model,
                                               const RunnerOptions& options) {
  if (impl_of(*model).group != nullptr) return make_group_runner(std::move(model), options);
  return std::make_unique<Qwen3Runner>(std::move(model), options);
}

}  // namespace qwen3
