#include "cli/quantize/calibrate.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "chat/text.h"
#include "cli/console.h"
#include "cli/eval/text_options.h"
#include "cli/generation.h"
#include "cli/signals.h"
#include "engine/evaluate.h"
#include "eval/likelihood/text_windows.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kPiece = 512;  // tokens, as llama.cpp's imatrix has them

}  // namespace

Calibration calibrate(const ModelOptions& options,
                      const OutputOptions& output,
                      const std::filesystem::path& text_file) {
  const Text text = load_text(options);
  const std::vector<int32_t> ids = read_text_ids(text_file, tokenizer_of(text));
  const std::shared_ptr<Model> model = load_model(options, output);
  const int64_t piece = std::min(kPiece, model->shape().context_length());
  const auto n_tokens = static_cast<int64_t>(ids.size());
  ImportanceTap tap(model->shape());
  ProgressBar bar(output.talk());
  const Progress progress = bar.callback();
  InterruptGuard guard;
  for (int64_t begin = 0; begin < n_tokens; begin += piece) {
    QWEN3_CHECK(!guard.interrupted(), ErrorKind::io, "interrupted; nothing was written");
    const auto count = static_cast<size_t>(std::min(piece, n_tokens - begin));
    evaluate(*model,
             std::span(ids).subspan(static_cast<size_t>(begin), count),
             {.tap = &tap},
             [](int64_t, const Tensor&) {});
    if (progress) progress("calibrating", begin + static_cast<int64_t>(count), n_tokens);
  }
  Calibration result{.importance = tap.result(),
                     .origin = {.text = text_file.string(),
                                .n_chunks = ceil_div(n_tokens, piece),
                                .chunk_tokens = piece},
                     .n_tokens = n_tokens};
  QWEN3_CHECK(!result.importance.empty(),
              ErrorKind::unsupported,
              "--calibrate: this program was built without listeners (QWEN3_TAPS=OFF)");
  return result;
}

}  // namespace qwen3::cli
