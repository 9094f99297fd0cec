// What `qwen3 eval perplexity` and `qwen3 eval divergence` share: the text and its windows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/console.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "eval/likelihood/text_windows.h"
#include "qwen3/text.h"

namespace qwen3::cli {

struct TextOptions {
  std::string file;
  int64_t context = 0, stride = 0;
  std::string kv_dtype = "auto";
};
void add_text_options(CLI::App& command,
                      TextOptions& options);  // --file --context --stride --kv-dtype

// The model's tokenizer. Throws Error{not_found} when it has none.
Text load_text(const ModelOptions& options);

// The options' windows, reporting to `bar`; Ctrl-C, noticed between windows, throws Error.
WindowOptions window_options(const TextOptions& options, ProgressBar& bar, InterruptGuard& guard);

std::string with_error(double value, std::optional<double> error);  // "12.3456 ± 0.0123"

}  // namespace qwen3::cli
