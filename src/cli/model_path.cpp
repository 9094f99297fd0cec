#include "cli/model_path.h"

#include <system_error>

#include "base/embedded_files.h"
#include "base/error.h"

namespace qwen3::cli {

namespace fs = std::filesystem;

std::vector<fs::path> bundled_model_roots() {
  std::error_code error;
  const fs::path exe = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const fs::path bin = exe.parent_path();
  return {(bin / "../../../models").lexically_normal(),
          (bin / "../share/qwen3/models").lexically_normal()};
}

fs::path resolve_model(const std::string& name) {
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) return name;
  QWEN3_CHECK(!fs::exists(name, ignored),
              ErrorKind::not_found,
              "{}: not a directory; expected a Hugging Face model directory with config.json; "
              "give the directory that holds it",
              name);
  const bool plain_name =
      !name.empty() && name.find('/') == name.npos && name != "." && name != "..";
  const fs::path embedded = "embedded:" + name;
  if (plain_name && folder_exists(embedded)) return embedded;
  std::string tried;
  for (const fs::path& root : bundled_model_roots()) {
    if (plain_name && fs::is_directory(root / name, ignored)) return root / name;
    tried += (tried.empty() ? "" : ", ") + root.string();
  }
  if (name == kDefaultModel) {
    fail(ErrorKind::not_found,
         "model {}: the model that comes with qwen3 is not installed; looked in {}; give a model "
         "directory with --model",
         name,
         tried);
  }
  fail(ErrorKind::not_found,
       "{}: no such model directory{}; give a Hugging Face model directory with --model",
       name,
       plain_name ? fmt::format(", nor a bundled model in {}", tried) : "");
}

}  // namespace qwen3::cli
