#include "cli/model_path.h"

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/utf8.h"
#include "formats/gguf_path.h"

namespace qwen3::cli {

std::filesystem::path resolve_model(const std::string& name) {
  std::filesystem::path embedded = "embedded:" + name;
  if (name.find('/') == name.npos && folder_exists(embedded)) return embedded;
  if (folder_exists(name) || file_exists(name)) return name;
  QWEN3_CHECK(name != kDefaultModel,
              ErrorKind::not_found,
              "model {}: this program was built without its models; give a model directory with "
              "--model",
              name);
  fail(ErrorKind::not_found,
       "{}: no such model directory, GGUF file or built-in model; give a Hugging Face model "
       "directory or a GGUF file with --model",
       name);
}

std::string name_of_model(const std::string& name) {
  const std::string last = model_name(name);
  return utf8_lossy(last.empty() ? name : last);
}

}  // namespace qwen3::cli
