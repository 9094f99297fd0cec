#include "eval/score/score_config.h"

#include "base/error.h"
#include "base/input_file.h"
#include "eval/run/yaml_values.h"

namespace qwen3::eval {
namespace {

std::string text_of(const YAML::Node& config, const char* key, const std::string& where) {
  const YAML::Node node = config[key];
  QWEN3_CHECK(node.IsDefined() && !node.IsNull(),
              ErrorKind::corrupt_file,
              "{}: missing key {}",
              where,
              key);
  QWEN3_CHECK(node.IsScalar() && !node.Scalar().empty(),
              ErrorKind::corrupt_file,
              "{}: {}: expected text",
              where,
              key);
  return node.Scalar();
}

}  // namespace

void read_score_config(const std::filesystem::path& path, ScoreOptions& options) {
  const std::string where = path.string();
  const YAML::Node config = parse_yaml(read_text_file(path, kMaxConfigBytes), where);
  QWEN3_CHECK(config.IsMap(),
              ErrorKind::corrupt_file,
              "{}: expected keys and values (eval_input_path: …)",
              where);
  options.input_file = text_of(config, "eval_input_path", where);
  options.details_file = text_of(config, "details_path", where);
  options.task = text_of(config, "task_name", where);
}

}  // namespace qwen3::eval
