#include "formats/open_source.h"

#include <optional>

#include "base/embedded_files.h"
#include "base/error.h"
#include "formats/checkpoint.h"
#include "formats/gguf_path.h"
#include "formats/gguf_source.h"

namespace qwen3 {
namespace {

// The GGUF file of a path, or nothing for a directory.
std::optional<std::filesystem::path> gguf_or_directory(const std::filesystem::path& path) {
  QWEN3_CHECK(file_exists(path) || folder_exists(path),
              ErrorKind::not_found,
              "{}: no such model; expected a Hugging Face model directory or a GGUF file",
              path.string());
  return find_gguf(path);
}

}  // namespace

std::unique_ptr<TensorSource> open_source(const std::filesystem::path& path,
                                          std::string_view overrides) {
  if (const auto gguf = gguf_or_directory(path)) {
    return std::make_unique<GgufSource>(GgufSource::open(*gguf, overrides));
  }
  return std::make_unique<Checkpoint>(Checkpoint::open(path, overrides));
}

HfConfig open_config(const std::filesystem::path& path, std::string_view overrides) {
  if (const auto gguf = gguf_or_directory(path)) return GgufSource::open(*gguf, overrides).config();
  return read_hf_config(path, overrides);
}

}  // namespace qwen3
