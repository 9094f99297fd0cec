#include "cli/model_path.h"

#include "base/embedded_files.h"
#include "base/error.h"

namespace qwen3::cli {

std::filesystem::path resolve_model(const std::string& name) {
  std::filesystem::path embedded = "embedded:" + name;
  if (name.find('/') == name.npos && folder_exists(embedded)) return embedded;
  if (folder_exists(name)) return name;
  QWEN3_CHECK(!file_exists(name),
              ErrorKind::not_found,
              "{}: not a directory; expected a Hugging Face model directory with config.json; "
              "give the directory that holds it",
              name);
  QWEN3_CHECK(name != kDefaultModel,
              ErrorKind::not_found,
              "model {}: this program was built without its models; give a model directory with "
              "--model",
              name);
  fail(ErrorKind::not_found,
       "{}: no such model directory or built-in model; give a Hugging Face model "
       "directory with --model",
       name);
}

}  // namespace qwen3::cli
