#include "cli/measure/official.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "cli/console.h"
#include "cli/measure/table.h"
#include "qwen3/engine.h"

namespace qwen3::cli {
namespace {

struct Timing {
  double seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

struct Row {
  int64_t input_tokens = 0, output_tokens = 0;
  std::optional<Timing> timing = {};
  int64_t peak_bytes = 0;
  std::string note = {};  // why there is no timing

  double speed() const {
    return static_cast<double>(input_tokens + output_tokens) / timing->seconds;
  }
  double prefill_speed() const {
    return static_cast<double>(input_tokens) / timing->prefill_seconds;
  }
  double decode_speed() const {
    return static_cast<double>(output_tokens - 1) / timing->decode_seconds;
  }
};

std::vector<int32_t> random_prompt(int64_t n, int64_t vocab_size, std::mt19937& random) {
  std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(vocab_size - 1));
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = any(random);
  return ids;
}

Timing run_once(Engine& engine, std::vector<int32_t> prompt, int64_t output_tokens) {
  Request request{.prompt_ids = std::move(prompt), .sampling = {}};
  request.sampling.max_tokens = output_tokens;
  request.sampling.ignore_eos = true;
  const auto begin = std::chrono::steady_clock::now();
  EventStream stream = engine.submit(std::move(request));
  Usage usage;
  while (const std::optional<Event> event = stream.next()) {
    if (!event->finish) continue;
    QWEN3_CHECK(*event->finish != FinishReason::error, ErrorKind::internal, "{}", event->error);
    usage = event->usage;
  }
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
  return {all.count(), usage.prefill_seconds, usage.decode_seconds};
}

Row measure(const std::shared_ptr<Model>& model,
            const OfficialRun& run,
            int64_t input_tokens,
            std::mt19937& random) {
  Row row{.input_tokens = input_tokens, .output_tokens = run.output_tokens};
  const int64_t longest = model->shape().context_length();
  const int64_t length = input_tokens + run.output_tokens;
  if (length > longest) {
    row.note = fmt::format("{} tokens: longer than the model's context of {}", length, longest);
    return row;
  }
  EngineOptions options;
  options.max_model_len = length;
  options.max_sequences = 1;
  options.prefix_cache = false;
  options.kv_cache_bytes = (length + 2 * options.block_size) * model->info().kv_bytes_per_token;
  try {
    Engine engine(model, options);
    std::vector<Timing> timings;
    for (int64_t i = 0; i < run.repeat; ++i) {
      timings.push_back(run_once(engine,
                                 random_prompt(input_tokens, model->info().vocab_size, random),
                                 run.output_tokens));
    }
    std::sort(timings.begin(), timings.end(), [](const Timing& a, const Timing& b) {
      return a.seconds < b.seconds;
    });
    row.timing = timings[timings.size() / 2];
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::out_of_memory) throw;
    row.note = error.what();
  }
  row.peak_bytes = peak_memory_bytes();
  return row;
}

Json row_json(const Row& row) {
  Json json = {{"input_tokens", row.input_tokens}, {"output_tokens", row.output_tokens}};
  if (!row.timing) {
    json["note"] = row.note;
    return json;
  }
  json["seconds"] = row.timing->seconds;
  json["tokens_per_second"] = row.speed();
  json["prefill_tokens_per_second"] = row.prefill_speed();
  if (row.output_tokens > 1) json["decode_tokens_per_second"] = row.decode_speed();
  json["peak_memory_bytes"] = row.peak_bytes;
  return json;
}

std::vector<std::string> cells_of(const Row& row, const ModelInfo& info) {
  std::vector<std::string> cells = {
      info.name, std::to_string(row.input_tokens), info.dtype, "", "", "", "", row.note};
  if (!row.timing) return cells;
  cells[3] = fmt::format("{:.2f}", row.speed());
  cells[4] = fmt::format("{:.2f}", row.prefill_speed());
  if (row.output_tokens > 1) cells[5] = fmt::format("{:.2f}", row.decode_speed());
  cells[6] = fmt::format("{:.2f}", static_cast<double>(row.peak_bytes) * 1e-9);
  return cells;
}

void print_text(const Row& row) {
  if (!row.timing) {
    return print_out(fmt::format("input {:>7}  {}\n", row.input_tokens, row.note));
  }
  print_out(
      fmt::format("input {:>7}  {:>10.2f} tok/s  prefill {:>10.1f} tok/s  decode {:>8.1f} tok/s  "
                  "peak memory {:.2f} GB\n",
                  row.input_tokens,
                  row.speed(),
                  row.prefill_speed(),
                  row.output_tokens > 1 ? row.decode_speed() : 0.0,
                  static_cast<double>(row.peak_bytes) * 1e-9));
}

}  // namespace

int64_t peak_memory_bytes() {
  rusage usage{};
  constexpr int64_t kUnit = 1024;  // of ru_maxrss, on Linux
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * kUnit : 0;
}

void run_official(const std::shared_ptr<Model>& model, const OfficialRun& run) {
  const ModelInfo& info = model->info();
  std::mt19937 random(12345);
  std::optional<TableWriter> table;
  if (run.format == "markdown" || run.format == "csv") {
    table.emplace(run.format == "csv" ? TableFormat::csv : TableFormat::markdown,
                  std::vector<std::string>{"Model",
                                           "Input Length",
                                           "Weights",
                                           "Speed (tokens/s)",
                                           "Prefill (tokens/s)",
                                           "Decode (tokens/s)",
                                           "Peak memory (GB)",
                                           "Note"});
  }
  Json rows = Json::array();
  for (const int64_t input : run.inputs) {
    const Row row = measure(model, run, input, random);
    if (table) {
      table->row(cells_of(row, info));
    } else if (run.format == "json") {
      rows.push_back(row_json(row));
    } else {
      print_text(row);
    }
  }
  if (run.format != "json") return;
  print_json({{"model", info.name},
              {"dtype", info.dtype},
              {"backend", info.backend},
              {"n_threads", info.n_threads},
              {"official", std::move(rows)}});
}

}  // namespace qwen3::cli
