// The one place that decides what the path of a model is: a Hugging Face directory (checkpoint.h), or
// GGUF (gguf_path.h says when).
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "formats/tensor_source.h"

namespace qwen3 {

// Reads the headers. `overrides` are laid over the config (parse_hf_config). Throws what Checkpoint::open, find_gguf and GgufSource::open throw.
std::unique_ptr<TensorSource> open_source(const std::filesystem::path& path,
                                          std::string_view overrides = {});

// The config alone: of a directory, which needs no weights then, or of a GGUF file.
HfConfig open_config(const std::filesystem::path& path, std::string_view overrides = {});

}  // namespace qwen3
