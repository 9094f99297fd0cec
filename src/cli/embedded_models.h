// The models inside the program, put there by cmake/embed_models.cmake.
#pragma once

#include <span>

#include "base/embedded_files.h"

namespace qwen3 {

// Empty if the program was built with QWEN3_EMBED_MODELS off.
std::span<const EmbeddedFile> embedded_model_files();

}  // namespace qwen3
