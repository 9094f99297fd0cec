// qwen3 quantize: a checkpoint into a GGUF file with fewer bits, and how much that cost.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/output_file.h"
#include "chat/text.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/eval/divergence_report.h"
#include "cli/eval/text_options.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "cli/quantize/calibrate.h"
#include "cli/signals.h"
#include "eval/likelihood/divergence.h"
#include "hardware/thread_pool.h"
#include "quantize/quantize_model.h"

namespace qwen3::cli {
namespace {

struct QuantizeCommand {
  ModelOptions model;
  OutputOptions output;
  std::string out;
  std::string type = "Q4_K_M";
  std::string calibrate, importance, save_importance, judge;
  bool tensors = false;
};

std::vector<std::string> mix_names() {
  std::vector<std::string> names;
  for (const Mix& mix : mixes()) names.emplace_back(mix.name);
  return names;
}

void check_usage(const QuantizeCommand& options) {
  if (!options.calibrate.empty() && !options.importance.empty()) {
    throw UsageError(
        "qwen3 quantize: --calibrate makes an importance matrix and --importance reads one; "
        "expected "
        "one of the two, got both");
  }
  if (!options.save_importance.empty() && options.calibrate.empty()) {
    throw UsageError("qwen3 quantize: --save-importance: expected --calibrate TEXT beside it");
  }
}

// What was measured of the inputs; nothing if nobody asked.
std::optional<Importance> importance_for(const QuantizeCommand& options) {
  if (!options.importance.empty()) return Importance::load(options.importance);
  if (options.calibrate.empty()) return std::nullopt;
  Calibration calibration = calibrate(options.model, options.output, options.calibrate);
  if (options.output.talk()) {
    print_note(fmt::format("calibrated with {} tokens", calibration.n_tokens));
  }
  if (!options.save_importance.empty()) {
    calibration.importance.save(options.save_importance, calibration.origin);
  }
  return std::move(calibration.importance);
}

QuantizedModel quantize_file(const QuantizeCommand& options, const Importance* importance) {
  ProgressBar bar(options.output.talk());
  InterruptGuard guard;
  return quantize_model(
      resolve_model(options.model.model),
      options.out,
      {.mix = find_mix(options.type),
       .name = name_of_model(options.model.model),
       .importance = importance,
       .n_threads = team_size(options.model.threads),
       .progress = [draw = bar.callback(), &guard](
                       std::string_view what, int64_t done, int64_t total) {
         if (draw) draw(what, done, total);
         QWEN3_CHECK(!guard.interrupted(), ErrorKind::io, "interrupted; nothing was written");
       }});
}

// What the result is judged on.
struct JudgedText {
  Text text;
  std::vector<int32_t> ids;
};

std::optional<JudgedText> judged_text(const QuantizeCommand& options) {
  if (options.judge.empty()) return std::nullopt;
  Text text = load_text(options.model);
  std::vector<int32_t> ids = read_text_ids(options.judge, tokenizer_of(text));
  return JudgedText{std::move(text), std::move(ids)};
}

Divergence judge(const QuantizeCommand& options, const JudgedText& judged) {
  ModelOptions quantized = options.model;
  quantized.model = options.out;
  const Tokenizer& tokenizer = tokenizer_of(judged.text);
  check_same_vocabulary(tokenizer, tokenizer_of(load_text(quantized)));
  const std::shared_ptr<Model> p = load_model(options.model, options.output);
  const std::shared_ptr<Model> q = load_model(quantized, options.output);
  if (options.output.talk()) {
    print_note("P: " + model_line(p->info()));
    print_note("Q: " + model_line(q->info()));
  }
  ProgressBar bar(options.output.talk());
  InterruptGuard guard;
  TextOptions windows;
  windows.file = options.judge;
  return measure_divergence(p, q, tokenizer, judged.ids, window_options(windows, bar, guard));
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("{}", fmt::join(shape, " x "));
}

void print_summary(const QuantizeCommand& options, const QuantizedModel& result) {
  if (options.tensors) {
    for (const QuantizedTensor& tensor : result.tensors) {
      print_out(fmt::format("{:<32} {:<8} {:>20} {:>12} bytes  error {:.5f}{}\n",
                            tensor.name,
                            weight_type_name(tensor.type),
                            shape_text(tensor.shape),
                            tensor.n_bytes,
                            tensor.relative_rms,
                            tensor.has_importance ? "  calibrated" : ""));
    }
  }
  print_out(fmt::format("{}: {}, {} ({} bytes), {:.3f} bits per weight\n",
                        options.out,
                        options.type,
                        format_bytes(result.file_bytes),
                        result.file_bytes,
                        result.bits_per_weight()));
}

Json summary_json(const QuantizeCommand& options, const QuantizedModel& result) {
  Json json{{"file", options.out},
            {"type", options.type},
            {"bytes", result.file_bytes},
            {"tensor_bytes", result.tensor_bytes()},
            {"n_parameters", result.n_parameters()},
            {"bits_per_weight", result.bits_per_weight()}};
  if (!options.tensors) return json;
  json["tensors"] = Json::array();
  for (const QuantizedTensor& tensor : result.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", weight_type_name(tensor.type)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.n_bytes},
                               {"relative_rms", tensor.relative_rms},
                               {"calibrated", tensor.has_importance}});
  }
  return json;
}

ExitCode quantize(const QuantizeCommand& options) {
  check_usage(options);
  check_no_output_is_an_input(
      "qwen3 quantize",
      {{"--calibrate", options.calibrate},
       {"--importance", options.importance},
       {"--judge", options.judge}},
      {{"--out", options.out}, {"--save-importance", options.save_importance}});
  check_writable(options.out);
  check_writable(options.save_importance);
  // What cannot be judged is said before the work, not after it.
  const std::optional<JudgedText> judged = judged_text(options);
  const std::optional<Importance> importance = importance_for(options);
  const QuantizedModel result = quantize_file(options, importance ? &*importance : nullptr);
  if (!options.output.json) print_summary(options, result);
  Json line = options.output.json ? summary_json(options, result) : Json();
  if (judged) {
    const Divergence divergence = judge(options, *judged);
    if (options.output.json) {
      line["judge"] = divergence_json(divergence);
    } else {
      print_out(divergence_report(divergence));
    }
  }
  if (options.output.json) print_json(line);
  return kDone;
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Write a model as a GGUF file with fewer bits per weight (docs/quantize.md)");
  const auto options = std::make_shared<QuantizeCommand>();
  add_model_option(*command, options->model);
  command->add_option("-o,--out", options->out, "The GGUF file to write; replaced when it is whole")
      ->type_name("FILE")
      ->check(some_name())
      ->required();
  command->add_option("--type", options->type, "Which bits, by llama.cpp's names")
      ->transform(CLI::Validator(
          [](std::string& name) {
            std::ranges::transform(name, name.begin(), [](char c) {
              return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
            });
            return std::string();
          },
          ""))
      ->check(one_of(mix_names()))
      ->capture_default_str();
  command
      ->add_option("--calibrate",
                   options->calibrate,
                   "A text in UTF-8 that the model is run over first: inputs that it uses strongly "
                   "are given smaller errors")
      ->type_name("FILE")
      ->check(some_name());
  command
      ->add_option("--importance",
                   options->importance,
                   "Instead: an importance matrix, as --save-importance or llama.cpp writes it")
      ->type_name("FILE")
      ->check(some_name());
  command
      ->add_option("--save-importance",
                   options->save_importance,
                   "Keep what --calibrate found in this file (llama.cpp's imatrix GGUF)")
      ->type_name("FILE")
      ->check(some_name());
  command
      ->add_option("--judge",
                   options->judge,
                   "A text in UTF-8: perplexity of source and result, KL divergence and agreement")
      ->type_name("FILE")
      ->check(some_name());
  command->add_flag(
      "--tensors", options->tensors, "Also each tensor's type, size and relative error");
  add_compute_options(*command, options->model);
  add_output_options(*command, options->output, "One line of JSON");
  command->callback([options, &action] { action = [options] { return quantize(*options); }; });
}

}  // namespace qwen3::cli
