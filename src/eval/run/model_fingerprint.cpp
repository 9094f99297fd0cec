// model_fingerprint: SHA-256 over a list "name size hash" of a model's files.
#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "eval/run/engine_source.h"
#include "formats/gguf_path.h"

namespace qwen3::eval {
namespace {

constexpr int64_t kWholeBytes = int64_t{256} << 20;
constexpr int64_t kPieceBytes = 64 << 10;
constexpr int64_t kPieces = 256;

// Reading a disk full of weights takes minutes; a changed checkpoint differs everywhere.
std::string sampled_hash(const InputFile& file) {
  const int64_t size = file.size();
  std::vector<std::byte> pieces(static_cast<size_t>(kPieces * kPieceBytes));
  for (int64_t i = 0; i < kPieces; ++i) {
    const int64_t offset = (size - kPieceBytes) / (kPieces - 1) * i;
    const auto out = std::span(pieces).subspan(static_cast<size_t>(i * kPieceBytes),
                                               static_cast<size_t>(kPieceBytes));
    file.read(i == kPieces - 1 ? size - kPieceBytes : offset, out);
  }
  return sha256_hex(pieces);
}

// Of a directory the files that shape an answer, of GGUF its file or files: names, sorted.
std::vector<std::string> model_files(const std::filesystem::path& path) {
  std::vector<std::string> names;
  if (const auto gguf = find_gguf(path)) {
    for (const auto& file : gguf_files(*gguf)) names.push_back(file.filename().string());
    return names;
  }
  const std::filesystem::path& directory = path;
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) {
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      const std::string extension = entry.path().extension().string();
      const bool counts = extension == ".json" || extension == ".jinja" ||
                          extension == ".safetensors" || extension == ".txt";
      if (counts && entry.is_regular_file(error)) names.push_back(entry.path().filename().string());
    }
  } else {
    for (const char* name : {"chat_template.jinja",
                             "config.json",
                             "generation_config.json",
                             "model.safetensors",
                             "tokenizer.json",
                             "tokenizer_config.json"}) {
      if (file_exists(directory / name)) names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string model_fingerprint(const std::filesystem::path& path) {
  const std::filesystem::path directory = folder_exists(path) ? path : path.parent_path();
  std::string list;
  bool sampled = false;
  for (const std::string& name : model_files(path)) {
    const InputFile file(directory / name);
    const int64_t size = file.size();
    sampled = sampled || size > kWholeBytes;
    list += fmt::format(
        "{} {} {}\n", name, size, size > kWholeBytes ? sampled_hash(file) : file.sha256());
  }
  return (sampled ? "sampled-sha256:" : "sha256:") + sha256_hex(list);
}

}  // namespace qwen3::eval
