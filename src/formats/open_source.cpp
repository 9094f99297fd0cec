#include "formats/open_source.h"

#include "formats/checkpoint.h"
#include "formats/gguf_path.h"
#include "formats/gguf_source.h"

namespace qwen3 {

std::unique_ptr<TensorSource> open_source(const std::filesystem::path& path) {
  if (const auto gguf = find_gguf(path)) {
    return std::make_unique<GgufSource>(GgufSource::open(*gguf));
  }
  return std::make_unique<Checkpoint>(Checkpoint::open(path));
}

HfConfig open_config(const std::filesystem::path& path) {
  if (const auto gguf = find_gguf(path)) return GgufSource::open(*gguf).config();
  return read_hf_config(path);
}

}  // namespace qwen3
