#include "cli/model_path.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/hub_model.h"
#include "formats/gguf_path.h"

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

// A name of a hub, unless it looks more like the path of a file that is not there.
std::optional<hub::ModelRef> hub_name(const std::string& name) {
  auto ref = hub::parse_model_ref(name);
  if (ref && ref->file.empty() && ascii_lower(name).ends_with(".gguf")) return std::nullopt;
  return ref;
}

[[noreturn]] void fail_unknown(const std::string& name) {
  if (name.starts_with("qwen3:") && name.size() > 6) {  // "qwen3:0.6b"
    std::string last = "Qwen3-" + name.substr(6);
    if (last.ends_with('b')) last.back() = 'B';
    fail(ErrorKind::not_found,
         "{}: no such model; to download it: qwen3 pull Qwen/{}, then -m Qwen/{}",
         name,
         last,
         last);
  }
  if (ascii_lower(name).ends_with(".gguf")) {
    fail(ErrorKind::not_found, "{}: no such GGUF file; is the path right?", name);
  }
  const std::vector<std::string> built_in = embedded_folders();
  const std::string hint = name.find('/') == name.npos ? did_you_mean(name, built_in) : "";
  fail(ErrorKind::not_found,
       "{}: no such model directory, GGUF file or built-in model{}; give a Hugging Face model "
       "directory, a GGUF file, or the name of a downloaded model (qwen3 list) with --model; built "
       "in: {}",
       name,
       hint,
       fmt::join(built_in, ", "));
}

// A folder that cannot be a model is named for what it holds.
void check_folder(const fs::path& path) {
  for (const char* file : {"config.json", "tokenizer.json", "vocab.json"}) {
    if (file_exists(path / file)) return;
  }
  if (find_gguf(path)) return;
  std::vector<std::string> found;
  size_t more = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (found.size() == 3) {
      ++more;
    } else {
      found.push_back(quote_for_message(entry.path().filename().string(), 60));
    }
  }
  if (error) return;  // opening its files will say why
  std::sort(found.begin(), found.end());
  fail(ErrorKind::not_found,
       "{}: no config.json here; expected a Hugging Face model directory, or one with a GGUF file; "
       "found {}{}",
       path.string(),
       found.empty() ? "nothing" : fmt::format("{}", fmt::join(found, ", ")),
       more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

std::filesystem::path resolve_model(const std::string& name) {
  std::filesystem::path embedded = "embedded:" + name;
  if (name.find('/') == name.npos && folder_exists(embedded)) return embedded;
  if (folder_exists(name)) check_folder(name);
  if (folder_exists(name) || file_exists(name)) return name;
  QWEN3_CHECK(name != kDefaultModel,
              ErrorKind::not_found,
              "model {}: this program was built without its models; give a model directory with "
              "--model",
              name);
  if (const std::optional<hub::ModelRef> ref = hub_name(name)) return cached_model(*ref);
  fail_unknown(name);
}

bool is_model_name(const std::string& word) {
  if (word.find('/') != word.npos && folder_exists(word)) {
    return file_exists(fs::path(word) / "config.json") || find_gguf(word).has_value();
  }
  if (ascii_lower(word).ends_with(".gguf")) return file_exists(word);
  const std::optional<hub::ModelRef> ref = hub_name(word);
  return ref && (ref->repo.starts_with("Qwen/") || is_cached(*ref));
}

std::string name_of_model(const std::string& name) {
  const std::string last = model_name(name);
  return utf8_lossy(last.empty() ? name : last);
}

}  // namespace qwen3::cli
