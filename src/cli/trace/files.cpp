#include "cli/trace/files.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"
#include "base/output_file.h"
#include "formats/npy.h"
#include "trace/glob.h"

namespace qwen3::cli {
namespace {

constexpr size_t kSuggestions = 3;

// The words of a pattern without its wild cards: "layers.*.q_porj" gives "q_porj".
std::string literal_end(std::string_view pattern) {
  const size_t star = pattern.find_last_of("*?");
  if (star != pattern.npos) pattern.remove_prefix(star + 1);
  while (pattern.starts_with('.')) pattern.remove_prefix(1);
  return std::string(pattern);
}

std::vector<std::string> nearest_names(std::string_view pattern,
                                       std::span<const std::string> names) {
  const std::string word = literal_end(pattern);
  std::vector<std::string> candidates;
  for (const std::string& name : names) {
    if (name.find(".experts.") != name.npos) continue;
    candidates.push_back(name);
    // The ends of the name after each dot: what may follow a star.
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
      candidates.push_back(name.substr(dot + 1));
    }
  }
  std::ranges::sort(candidates);
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::vector<std::string> found;
  // "layer.0.*": the first word is misspelt, the rest a pattern.
  const std::string first(pattern.substr(0, pattern.find('.')));
  const std::string head = nearest(first, std::vector<std::string>{"layers", "embed_tokens"});
  if (!head.empty() && head != first) {
    found.push_back(head + std::string(pattern.substr(first.size())));
  }
  while (found.size() < kSuggestions) {
    const std::string best = nearest(word, candidates);
    if (best.empty()) break;
    found.push_back(best);
    std::erase(candidates, best);
  }
  return found;
}

}  // namespace

void check_patterns(const std::vector<std::string>& patterns, std::span<const std::string> names) {
  for (const std::string& pattern : patterns) {
    const auto matches = [&](const std::string& name) { return glob_match(pattern, name); };
    if (std::ranges::any_of(names, matches)) continue;
    const std::vector<std::string> near = nearest_names(pattern, names);
    fail(ErrorKind::not_found,
         "qwen3 trace: --taps \"{}\": matches no tap of this model; {}",
         pattern,
         near.empty() ? "examples are embed_tokens, layers.0.self_attn.q_proj, … (docs/model.md)"
                      : fmt::format("the nearest names are {}", fmt::join(near, ", ")));
  }
}

TapNames npy_names(const std::filesystem::path& directory) {
  std::error_code ignored;
  QWEN3_CHECK(std::filesystem::is_directory(directory, ignored),
              ErrorKind::not_found,
              "{}: no such directory; expected reference dumps named <tap>.npy",
              directory.string());
  TapNames names;
  std::error_code error;
  std::filesystem::directory_iterator file(directory, error), end;
  for (; !error && file != end; file.increment(error)) {
    if (file->path().extension() == ".npy") names.add(file->path().stem().string());
  }
  QWEN3_CHECK(!error,
              ErrorKind::io,
              "{}: cannot list the directory: {}",
              directory.string(),
              error.message());
  return names;
}

CompareTap::Read npy_reader(std::filesystem::path directory) {
  return [directory = std::move(directory)](std::string_view name) {
    const NpyFile file(directory / (std::string(name) + ".npy"));
    return ReferenceTensor{file.shape(), file.values()};
  };
}

NpyTaps::NpyTaps(std::filesystem::path directory) : directory_(std::move(directory)) {
  make_folder(directory_);
}

void NpyTaps::tensor(std::string_view name, const Tensor& value) {
  write_npy(directory_ / (std::string(name) + ".npy"), value);
  ++n_files_;
}

}  // namespace qwen3::cli
