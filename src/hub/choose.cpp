#include "hub/choose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/gguf_path.h"

namespace qwen3::hub {
namespace {

constexpr std::string_view kGguf = ".gguf", kSafetensors = ".safetensors";
constexpr std::string_view kUsualGguf = "Q4_K_M";

std::string file_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 == 0
}

bool is_gguf(std::string_view path) { return ascii_lower(path).ends_with(kGguf); }

// One step of a pattern against one character: how much of the pattern it takes, 0 when it does not fit.
size_t one_step(std::string_view pattern, char c) {
  if (pattern.front() == '?') return 1;
  const size_t close = pattern.front() == '[' ? pattern.find(']', 2) : pattern.npos;
  if (close == pattern.npos) return pattern.front() == c ? 1 : 0;
  const bool negated = pattern[1] == '!';
  bool inside = false;
  for (size_t i = negated ? 2 : 1; i < close; ++i) {
    if (i + 2 < close && pattern[i + 1] == '-') {
      inside = inside || (pattern[i] <= c && c <= pattern[i + 2]);
      i += 2;
    } else {
      inside = inside || pattern[i] == c;
    }
  }
  return inside != negated ? close + 1 : 0;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return matches(pattern, path);
  });
}

// What a checkpoint of transformers is read from, weights aside.
bool is_side_file(std::string_view path) {
  const std::string name = ascii_lower(file_name(path));
  for (const std::string_view folder : {"onnx/", "openvino/", "original/", ".", "images/"}) {
    if (path.starts_with(folder)) return false;
  }
  for (const std::string_view end : {".json", ".jinja", ".txt", ".md", "tokenizer.model"}) {
    if (name.ends_with(end)) return true;
  }
  return name.starts_with("license") || name.starts_with("notice");
}

bool is_weights_in_root(std::string_view path) {
  return path.find('/') == path.npos && path.ends_with(kSafetensors);
}

std::vector<std::string> checkpoint_files(std::span<const std::string> paths) {
  // "consolidated.safetensors" beside "model-00001-of-00002.safetensors" is the same once more.
  const auto usual = [](const std::string& path) {
    return is_weights_in_root(path) && path.starts_with("model");
  };
  const bool has_usual = std::any_of(paths.begin(), paths.end(), usual);
  std::vector<std::string> chosen;
  for (const std::string& path : paths) {
    const bool weights = has_usual ? usual(path) : is_weights_in_root(path);
    if (weights || is_side_file(path)) chosen.push_back(path);
  }
  return chosen;
}

std::vector<std::string> parts_that_are_there(const GgufModel& model,
                                              std::span<const std::string> paths,
                                              std::string_view where) {
  for (const std::string& part : model.parts) {
    QWEN3_CHECK(std::find(paths.begin(), paths.end(), part) != paths.end(),
                ErrorKind::not_found,
                "{}: a part of the model is missing: {}",
                where,
                quote_for_message(part));
  }
  return model.parts;
}

std::vector<std::string> default_files(std::span<const std::string> paths,
                                       const std::string& gguf,
                                       std::string_view where) {
  if (gguf.empty() && std::any_of(paths.begin(), paths.end(), is_weights_in_root)) {
    return checkpoint_files(paths);
  }
  const std::vector<GgufModel> models = gguf_models(paths);
  if (!models.empty() || !gguf.empty()) {
    return parts_that_are_there(choose_gguf(models, gguf, where), paths, where);
  }
  const bool pickled = std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
    return path.ends_with(".bin") || path.ends_with(".pt") || path.ends_with(".pth");
  });
  fail(ErrorKind::unsupported,
       "{}: expected weights as safetensors or GGUF; got {}; --include takes other files all the "
       "same",
       where,
       pickled ? "PyTorch's pickled ones only" : "neither");
}

// None fits: the words of all. Several do: their files, which are told apart by their names.
[[noreturn]] void fail_to_choose(std::span<const GgufModel> models,
                                 const std::vector<const GgufModel*>& found,
                                 std::string_view wanted,
                                 std::string_view where) {
  constexpr size_t kShown = 30;
  std::vector<std::string> words;
  for (const GgufModel& model : models) {
    if (found.empty()) words.push_back(quote_for_message(quantisation_of(model)));
  }
  for (const GgufModel* model : found) words.push_back(quote_for_message(model->parts.front()));
  const std::string example = words.front();
  const bool more = words.size() > kShown;
  if (more) words.resize(kShown);
  fail(ErrorKind::not_found,
       "{}: expected one GGUF model{}; got {}: {}{}; name one, as {}:{}",
       where,
       wanted.empty() ? "" : fmt::format(" \"{}\"", quote_for_message(wanted)),
       found.empty() ? "others" : fmt::format("{}", found.size()),
       fmt::join(words, ", "),
       more ? " …" : "",
       where.substr(0, where.find(':')),
       example);
}

}  // namespace

bool matches(std::string_view pattern, std::string_view path) {
  std::string whole;
  if (pattern.ends_with('/')) pattern = whole = std::string(pattern) + "*";
  size_t p = 0, s = 0, star = pattern.npos, star_s = 0;
  while (s < path.size()) {
    const size_t step =
        p < pattern.size() && pattern[p] != '*' ? one_step(pattern.substr(p), path[s]) : 0;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_s = s;
    } else if (step > 0) {
      p += step;
      ++s;
    } else if (star != pattern.npos) {
      p = star + 1;
      s = ++star_s;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<GgufModel> gguf_models(std::span<const std::string> paths) {
  std::vector<GgufModel> models;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    const std::string name = file_name(path);
    if (!is_gguf(path) || ascii_lower(name).starts_with("mmproj")) continue;
    const std::string folder = path.substr(0, path.size() - name.size());
    GgufModel model{folder + name.substr(0, name.size() - kGguf.size()), {path}};
    if (const std::optional<GgufPart> part = parse_gguf_part(name)) {
      model = {folder + part->name, {}};
      const auto first = fmt::format("{}-00001-of-{:05}{}", model.name, part->count, kGguf);
      for (const auto& file : gguf_files(first)) model.parts.push_back(file.string());
    }
    if (seen.insert(model.parts.front()).second) models.push_back(std::move(model));
  }
  return models;
}

std::string quantisation_of(const GgufModel& model) {
  const std::string name = file_name(model.name);
  const size_t at = name.find_last_of(".-");
  return at == name.npos ? name : name.substr(at + 1);
}

const GgufModel& choose_gguf(std::span<const GgufModel> models,
                             std::string_view wanted,
                             std::string_view where) {
  QWEN3_CHECK(!models.empty(), ErrorKind::not_found, "{}: expected GGUF files; got none", where);
  if (wanted.empty() && models.size() == 1) return models.front();
  const std::string word = ascii_lower(wanted.empty() ? kUsualGguf : wanted);
  std::vector<const GgufModel*> found;
  for (const GgufModel& model : models) {
    const std::string name = ascii_lower(model.name);
    const std::string last = file_name(name);
    const bool at_end =
        last.ends_with(word) && last.size() > word.size() &&
        std::string_view("-._").find(last[last.size() - word.size() - 1]) != std::string_view::npos;
    const bool in_folder = ("/" + name).find("/" + word + "/") != std::string::npos;
    const bool is_file =
        std::any_of(model.parts.begin(), model.parts.end(), [&](const std::string& part) {
          return ascii_lower(part) == word || ascii_lower(file_name(part)) == word;
        });
    if (at_end || in_folder || is_file) found.push_back(&model);
  }
  if (found.size() == 1) return *found.front();
  fail_to_choose(models, found, wanted, where);
}

std::vector<std::string> choose_files(std::span<const std::string> paths,
                                      const Wanted& wanted,
                                      std::string_view where) {
  std::vector<std::string> chosen;
  if (wanted.include.empty()) {
    chosen = default_files(paths, wanted.gguf, where);
  } else {
    for (const std::string& path : paths) {
      if (matches_any(wanted.include, path)) chosen.push_back(path);
    }
  }
  std::erase_if(chosen, [&](const std::string& path) { return matches_any(wanted.exclude, path); });
  QWEN3_CHECK(!chosen.empty(),
              ErrorKind::not_found,
              "{}: none of its {} files matches --include and --exclude",
              where,
              paths.size());
  return chosen;
}

}  // namespace qwen3::hub
