// One run of the source model over a text, for qwen3 quantize --calibrate.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cli/options.h"
#include "quantize/importance.h"

namespace qwen3::cli {

struct Calibration {
  Importance importance;
  Importance::Origin origin;
  int64_t n_tokens = 0;
};

// Runs `text` in pieces that do not overlap, each by itself. Throws Error; Ctrl-C, noticed between
// pieces, too.
Calibration calibrate(const ModelOptions& model,
                      const OutputOptions& output,
                      const std::filesystem::path& text);

}  // namespace qwen3::cli
