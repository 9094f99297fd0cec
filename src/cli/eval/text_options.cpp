#include "cli/eval/text_options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "cli/model_path.h"
#include "cli/numbers.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kMaxWindow = int64_t{1} << 30;

}  // namespace

void add_text_options(CLI::App& command, TextOptions& options) {
  command.add_option("--file", options.file, "A text in UTF-8")->type_name("FILE")->required();
  command
      .add_option(
          "--context", options.context, "Tokens per window; 0: the model's limit, but at most 2048")
      ->check(integer_in(0, kMaxWindow))
      ->capture_default_str();
  command
      .add_option("--stride",
                  options.stride,
                  "How far the next window starts, in tokens; 0: half the context")
      ->check(integer_in(0, kMaxWindow))
      ->capture_default_str();
  command
      .add_option("--kv-dtype",
                  options.kv_dtype,
                  "Keys and values of the model that is judged: auto (the most exact), float32, "
                  "bfloat16 or q8")
      ->check(one_of({"auto", "float32", "bfloat16", "q8"}))
      ->capture_default_str();
}

Text load_text(const ModelOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model);
  QWEN3_CHECK(Text::available(directory),
              ErrorKind::not_found,
              "{}: no tokenizer.json; expected one, to read the text of --file",
              options.model);
  return Text::load(directory);
}

WindowOptions window_options(const TextOptions& options, ProgressBar& bar, InterruptGuard& guard) {
  return {.context = options.context,
          .stride = options.stride,
          .kv_dtype = options.kv_dtype,
          .progress = [draw = bar.callback(), &guard](
                          std::string_view what, int64_t done, int64_t total) {
            if (draw) draw(what, done, total);
            QWEN3_CHECK(!guard.interrupted() || done == total,
                        ErrorKind::io,
                        "interrupted after {} of {} tokens; nothing was measured",
                        done,
                        total);
          }};
}

std::string with_error(double value, std::optional<double> error) {
  return error ? fmt::format("{:.5g} ± {:.2g}", value, *error) : fmt::format("{:.5g}", value);
}

}  // namespace qwen3::cli
