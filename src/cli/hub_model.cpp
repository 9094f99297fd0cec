#include "cli/hub_model.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "cli/hub_environment.h"

namespace qwen3::cli {

namespace fs = std::filesystem;

fs::path model_in_snapshot(const hub::Cache& cache,
                           const hub::Snapshot& snapshot,
                           const hub::ModelRef& ref) {
  std::vector<std::string> paths;
  for (const hub::CachedFile& file : cache.files(snapshot)) paths.push_back(file.path);
  const auto has = [&](const std::string& path) {
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  };
  const bool has_weights = std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return path.ends_with(".safetensors") && path.find('/') == path.npos;
  });
  const std::vector<hub::GgufModel> models = hub::gguf_models(paths);
  if (ref.file.empty() && (has_weights || models.empty())) return snapshot.path;
  const std::string where = ref.text() + ": in the cache";
  QWEN3_CHECK(!models.empty(),
              ErrorKind::not_found,
              "{}: the cache has no GGUF file of it; to download it: qwen3 pull {}",
              ref.text(),
              ref.text());
  const hub::GgufModel& model = hub::choose_gguf(models, ref.file, where);
  for (const std::string& part : model.parts) {
    QWEN3_CHECK(has(part),
                ErrorKind::not_found,
                "{}: the cache lacks a part of it, {}; to download it: qwen3 pull {}",
                ref.text(),
                part,
                ref.text());
  }
  return snapshot.path / model.parts.front();
}

bool is_cached(const hub::ModelRef& ref) { return hub_cache().find(ref).has_value(); }

fs::path cached_model(const hub::ModelRef& ref) {
  const hub::Cache cache = hub_cache();
  if (const auto snapshot = cache.find(ref)) return model_in_snapshot(cache, *snapshot, ref);
  fail(ErrorKind::not_found,
       "{}: no such file or folder here, and no such model in the cache {}; to download it: "
       "qwen3 pull {}",
       ref.text(),
       cache.root().string(),
       ref.text());
}

}  // namespace qwen3::cli
