#include "formats/gguf_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <span>
#include <system_error>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".gguf";
constexpr size_t kNumberDigits = 5;
constexpr int kMaxParts = 1000;

std::optional<int> parse_number(std::string_view digits) {
  int number = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || at != end || digits.front() == '-') return std::nullopt;
  return number;
}

std::string first_part(const GgufPart& part) {
  return fmt::format("{}-00001-of-{:05}{}", part.name, part.count, kExtension);
}

// The first bytes of a file tell what was taken for a model.
void check_is_gguf(const fs::path& path) {
  const InputFile file(path);
  std::string begin(static_cast<size_t>(std::min<int64_t>(file.size(), 256)), '\0');
  file.read(0, std::as_writable_bytes(std::span(begin)));
  if (begin.starts_with("GGUF")) return;
  const std::string text = ascii_lower(trim(begin, " \t\r\n"));
  const auto refuse = [&](ErrorKind kind, std::string_view got, std::string_view remedy) {
    fail(kind, "{}: expected a GGUF file, got {}; {}", file.name(), got, remedy);
  };
  if (begin.starts_with("version https://git-lfs")) {
    refuse(ErrorKind::corrupt_file, "a Git LFS pointer to it", "get the file by git lfs pull");
  }
  if (text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml")) {
    refuse(ErrorKind::corrupt_file,
           "a web page",
           "download the file itself, not the page that shows it (/resolve/ and not /blob/)");
  }
  if (begin.size() > 8 && begin[8] == '{') {
    refuse(ErrorKind::unsupported,
           "what looks like safetensors",
           "give the directory that holds it and its config.json");
  }
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (begin.starts_with(old)) {
      refuse(
          ErrorKind::unsupported, "a GGML file from before GGUF", "get a newer file of the model");
    }
  }
  refuse(ErrorKind::corrupt_file,
         begin.empty() ? "an empty file"
                       : fmt::format("one that begins with \"{}\"", quote_for_message(begin, 20)),
         "is the path right? A model is a GGUF file, or a Hugging Face directory with config.json");
}

// "Qwen3-0.6B" of …/models--Qwen--Qwen3-0.6B/snapshots/<commit>, a checkpoint in the cache of Hugging Face's client.
std::string repository_of_snapshot(const fs::path& path) {
  constexpr std::string_view kPrefix = "models--", kSeparator = "--";
  const std::string folder = path.parent_path().parent_path().filename().string();
  const size_t at = folder.find(kSeparator, kPrefix.size());
  const bool is_snapshot = path.parent_path().filename() == "snapshots" &&
                           folder.starts_with(kPrefix) && at != folder.npos;
  return is_snapshot ? folder.substr(at + kSeparator.size()) : "";
}

// The one model among the directory's GGUF files.
std::optional<fs::path> only_gguf(const fs::path& directory) {
  std::map<std::string, std::string> files;  // what is to be opened, by the model's name
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string file = entry.path().filename().string();
    if (ascii_lower(entry.path().extension().string()) != kExtension) continue;
    const std::optional<GgufPart> part = parse_gguf_part(file);
    const std::string first = part ? first_part(*part) : file;
    files.emplace(first, first);
  }
  if (files.empty()) return std::nullopt;
  if (files.size() == 1) return directory / files.begin()->second;
  constexpr size_t kShown = 8;
  std::vector<std::string> shown;
  for (const auto& [name, file] : files) {
    if (shown.size() < kShown) shown.push_back(quote_for_message(file));
  }
  fail(ErrorKind::not_found,
       "{}: expected config.json or one GGUF model, got {} of them: {}{}; give the path of one",
       directory.string(),
       files.size(),
       fmt::join(shown, ", "),
       files.size() > kShown ? " ..." : "");
}

}  // namespace

std::optional<GgufPart> parse_gguf_part(std::string_view file_name) {
  constexpr std::string_view kOf = "-of-";
  constexpr size_t kTail = 1 + kNumberDigits + kOf.size() + kNumberDigits;
  if (!file_name.ends_with(kExtension)) return std::nullopt;
  file_name.remove_suffix(kExtension.size());
  if (file_name.size() <= kTail) return std::nullopt;
  const std::string_view tail = file_name.substr(file_name.size() - kTail);
  if (tail.front() != '-' || tail.substr(1 + kNumberDigits, kOf.size()) != kOf) return std::nullopt;
  const auto number = parse_number(tail.substr(1, kNumberDigits));
  const auto count = parse_number(tail.substr(kTail - kNumberDigits));
  if (!number || !count || *number < 1 || *number > *count || *count > kMaxParts) {
    return std::nullopt;
  }
  return GgufPart{std::string(file_name.substr(0, file_name.size() - kTail)), *number, *count};
}

std::optional<fs::path> find_gguf(const fs::path& path) {
  if (folder_exists(path)) {
    return file_exists(path / "config.json") ? std::nullopt : only_gguf(path);
  }
  if (!file_exists(path)) return std::nullopt;
  check_is_gguf(path);
  const std::optional<GgufPart> part = parse_gguf_part(path.filename().string());
  QWEN3_CHECK(!part || part->number == 1,
              ErrorKind::not_found,
              "{}: expected the first file of its set, got number {}; give {}",
              path.string(),
              part->number,
              first_part(*part));
  return path;
}

std::vector<fs::path> gguf_files(const fs::path& first) {
  const std::optional<GgufPart> part = parse_gguf_part(first.filename().string());
  if (!part) return {first};
  std::vector<fs::path> files;
  for (int i = 1; i <= part->count; ++i) {
    files.push_back(first.parent_path() /
                    fmt::format("{}-{:05}-of-{:05}{}", part->name, i, part->count, kExtension));
  }
  return files;
}

std::string model_name(const fs::path& path) {
  const fs::path clean = path.lexically_normal();
  const fs::path last = clean.has_filename() ? clean.filename() : clean.parent_path().filename();
  const std::string name = last.string();
  if (const std::string repository =
          repository_of_snapshot(clean.has_filename() ? clean : clean.parent_path());
      !repository.empty()) {
    return repository;
  }
  if (const std::optional<GgufPart> part = parse_gguf_part(name)) return part->name;
  return name.ends_with(kExtension) ? last.stem().string() : name;
}

}  // namespace qwen3
