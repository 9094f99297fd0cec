// qwen3 logits: one forward pass over token ids. The logits and every intermediate go to .npy
// files, the training losses to stdout. Needs no tokenizer.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/ranks.h"
#include "cli/trace/files.h"
#include "engine/evaluate.h"
#include "formats/npy.h"
#include "model/losses.h"
#include "trace/routing.h"
#include "trace/tap_list.h"

namespace qwen3::cli {
namespace {

constexpr int32_t kIgnoredLabel = -100;

struct LogitsOptions {
  ModelOptions model;
  OutputOptions output;
  std::string ids;
  std::string out;
  std::string taps;
  std::optional<std::string> labels;
  std::string aux = "transformers";
};

std::vector<int32_t> parse_labels(const LogitsOptions& options, size_t n_ids) {
  std::vector<int32_t> labels =
      parse_id_list(*options.labels, "qwen3 logits: --labels", kIgnoredLabel);
  if (labels.size() != n_ids) {
    throw UsageError(fmt::format(
        "qwen3 logits: --labels: expected {} labels, one for each id; got {}; the shift by one "
        "happens inside",
        n_ids,
        labels.size()));
  }
  return labels;
}

// Labels depend on the vocabulary, which is known after loading only.
void check_labels(const std::vector<int32_t>& labels, int64_t vocab_size) {
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool known = labels[i] >= 0 && labels[i] < vocab_size;
    QWEN3_CHECK(known || labels[i] == kIgnoredLabel,
                ErrorKind::invalid_argument,
                "--labels: expected {} or ids from 0 to {}; got {} as number {}",
                kIgnoredLabel,
                vocab_size - 1,
                labels[i],
                i + 1);
  }
}

// The logits of the whole sequence.
class LogitsBuffer {
 public:
  LogitsBuffer(int64_t n_tokens, int64_t vocab_size)
      : storage_(checked_bytes(n_tokens, vocab_size)),
        tensor_(storage_.data(), DType::f32, {n_tokens, vocab_size}) {}

  void store(int64_t first_row, const Tensor& rows) {
    const auto row_bytes = static_cast<size_t>(rows.dim(1)) * sizeof(float);
    for (int64_t i = 0; i < rows.dim(0); ++i) {
      std::memcpy(tensor_.f32_row(first_row + i), rows.f32_row(i), row_bytes);
    }
  }

  const Tensor& tensor() const { return tensor_; }

 private:
  static int64_t checked_bytes(int64_t n_tokens, int64_t vocab_size) {
    const std::optional<int64_t> numbers = checked_mul(n_tokens, vocab_size);
    const std::optional<int64_t> bytes = numbers ? checked_mul(*numbers, 4) : std::nullopt;
    QWEN3_CHECK(
        bytes.has_value(), ErrorKind::out_of_memory, "logits: too many ids; got {}", n_tokens);
    return *bytes;
  }

  Storage storage_;
  Tensor tensor_;
};

Json losses(const LogitsOptions& options,
            const ModelShape& shape,
            const Tensor& logits,
            const std::vector<int32_t>& labels,
            std::vector<LayerRouting> layers) {
  const double ce_loss = cross_entropy(logits, labels);
  if (!shape.moe()) {
    return {{"ce_loss", ce_loss}, {"aux_loss", nullptr}, {"loss", ce_loss}};
  }
  std::vector<Tensor> router_logits;
  for (LayerRouting& layer : layers) {
    router_logits.push_back(Tensor::view(layer.router_logits, {layer.n_tokens, layer.n_experts}));
  }
  const double aux_loss =
      options.aux == "educational"
          ? educational_load_balancing_loss(router_logits, shape.num_experts_per_tok)
          : load_balancing_loss(router_logits, shape.num_experts_per_tok);
  return {{"ce_loss", ce_loss},
          {"aux_loss", aux_loss},
          {"loss", ce_loss + shape.router_aux_loss_coef * aux_loss}};
}

ExitCode logits(const LogitsOptions& options) {
  if (options.out.empty() && options.taps.empty() && !options.labels) {
    throw UsageError(
        "qwen3 logits: nothing to do; expected --out FILE, --taps DIR or --labels; got none");
  }
  if (!options.taps.empty() && group_of_ranks() != nullptr) {
    throw UsageError(
        "qwen3 logits: --taps: ranks have parts of tensors; expected one process, which has the "
        "same bits");
  }
  const std::vector<int32_t> ids = parse_id_list(options.ids, "qwen3 logits: --ids");
  std::vector<int32_t> labels;
  if (options.labels) labels = parse_labels(options, ids.size());
  check_writable(options.out);
  std::optional<NpyTaps> files;
  if (!options.taps.empty()) files.emplace(options.taps);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  const ModelShape& shape = model->shape();
  if (options.output.talk()) print_note(model_line(model->info()));
  check_ids(ids, shape.vocab_size, "--ids");
  check_labels(labels, shape.vocab_size);

  TapList taps;
  RoutingRecorder routing;
  if (files) taps.add(*files);
  if (options.labels && shape.moe()) taps.add(routing);

  const auto begin = std::chrono::steady_clock::now();
  LogitsBuffer buffer(static_cast<int64_t>(ids.size()), shape.vocab_size);
  evaluate(*model,
           ids,
           {.tap = taps.empty() ? nullptr : &taps},
           [&](int64_t first_row, const Tensor& rows) { buffer.store(first_row, rows); });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;

  if (!options.out.empty()) write_npy(options.out, buffer.tensor());
  if (options.labels) {
    print_json(losses(options, shape, buffer.tensor(), labels, routing.layers()));
  }
  if (options.output.talk()) {
    std::string line = fmt::format("{} tokens in {:.3f} s, {:.1f} tok/s",
                                   ids.size(),
                                   elapsed.count(),
                                   static_cast<double>(ids.size()) / elapsed.count());
    if (files) line += fmt::format("; {} taps in {}", files->n_files(), options.taps);
    print_note(line);
  }
  return kDone;
}

}  // namespace

void add_logits(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "logits", "One forward pass over --ids: logits, intermediates, losses; needs no tokenizer");
  const auto options = std::make_shared<LogitsOptions>();
  add_model_option(*command, options->model);
  command->add_option("--ids", options->ids, "Token ids: 1,2,3, or @FILE with such a list")
      ->required();
  command
      ->add_option("--out", options->out, "Write float32 [n_tokens, vocab_size] to this .npy file")
      ->type_name("FILE")
      ->check(some_name());
  command
      ->add_option(
          "--taps", options->taps, "Write every intermediate to a .npy file in this directory")
      ->type_name("DIR")
      ->check(some_name());
  command->add_option("--labels",
                      options->labels,
                      "As many labels as ids, -100 ignored, shifted by one inside; prints one line "
                      "{\"ce_loss\":…,\"aux_loss\":…,\"loss\":…}");
  command
      ->add_option("--aux",
                   options->aux,
                   "Load-balancing loss: transformers (all layers together) or educational (mean "
                   "over layers)")
      ->check(one_of({"transformers", "educational"}))
      ->capture_default_str();
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_quiet_option(*command, options->output);
  add_ranks_options(*command, options->model);
  command->callback([options, &action] {
    action = [options] {
      return on_ranks(
          options->model, WeightsFrom::checkpoint, [options] { return logits(*options); });
    };
  });
}

}  // namespace qwen3::cli
