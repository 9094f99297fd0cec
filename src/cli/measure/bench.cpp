// qwen3 bench: how fast a model runs here, through the engine that serves requests too.
//
// Prefill: one prompt of --prompt-tokens after a context that the prefix cache already holds.
// Decode: a batch of sequences, each after its own context, timed from the moment all of them have
// their first token until the first of them ends. Medians over --repeat runs.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/measure/bandwidth.h"
#include "cli/measure/official.h"
#include "cli/measure/table.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/ranks.h"
#include "engine/step_cost.h"
#include "qwen3/engine.h"
#include "trace/timeline.h"

namespace qwen3::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  ModelOptions model;
  OutputOptions output;
  std::string random_weights;  // a directory with config.json, or GGUF; "": use --model
  int64_t prompt_tokens = 512;
  int64_t decode_tokens = 64;
  int64_t max_batch_tokens = EngineOptions{}.max_batch_tokens;
  std::string context = "0,1024";
  std::string batch = "1,16";
  int64_t repeat = 3;
  std::string timeline;  // a file; "": none
  std::string preset = "none", format = "text";
  // Given, and so no part of a preset.
  bool has_context = false, has_decode_tokens = false, has_repeat = false;
};

// What the engine takes at most; products of the two and of a token's bytes stay far below 2^63.
constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr int64_t kMaxBatch = 1024;

struct Plan {
  std::vector<int64_t> contexts, batches;
};

int64_t largest(const std::vector<int64_t>& values) {
  return *std::max_element(values.begin(), values.end());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

int64_t sequence_length(const BenchOptions& options, const Plan& plan) {
  const int64_t context = std::max<int64_t>(1, largest(plan.contexts));
  return context + std::max(options.prompt_tokens, options.decode_tokens) + 2;
}

void check_lengths(const BenchOptions& options, const Plan& plan, const ModelShape& shape) {
  const int64_t longest = shape.context_length();
  const int64_t wanted = sequence_length(options, plan);
  QWEN3_CHECK(
      wanted <= longest,
      ErrorKind::invalid_argument,
      "bench: expected sequences of at most the model's {} tokens; got {}; lower --context, "
      "--prompt-tokens or --decode-tokens",
      longest,
      wanted);
}

// A request that keeps the time of every token.
class TimedRequest {
 public:
  // The engine waits at this request's first event until `all_there` is ready, if valid.
  TimedRequest(Engine& engine,
               std::vector<int32_t> prompt,
               int64_t max_tokens,
               const std::shared_future<void>& all_there = {}) {
    Request request{.prompt_ids = std::move(prompt), .sampling = {}};
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    engine.submit(std::move(request), [state = state_, all_there](const Event& event) {
      if (all_there.valid()) all_there.wait();
      if (event.token_id >= 0) state->times.push_back(Clock::now());
      if (!event.finish) return;
      state->last = event;
      state->done.set_value();
    });
  }

  // Waits for the end. Throws Error{internal} if the engine failed.
  void wait() {
    state_->done.get_future().wait();
    const Event& last = state_->last;
    QWEN3_CHECK(last.finish != FinishReason::error, ErrorKind::internal, "{}", last.error);
  }

  // After wait().
  const std::vector<Clock::time_point>& times() const { return state_->times; }
  const Usage& usage() const { return state_->last.usage; }

 private:
  struct State {
    std::vector<Clock::time_point> times;
    Event last;
    std::promise<void> done;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// What the engine did.
struct Timeline {
  SpanLog operations;
  RequestSpans requests{operations.origin()};
};

class Bench {
 public:
  // `timeline` may be null.
  Bench(const BenchOptions& options,
        const Plan& plan,
        std::shared_ptr<Model> model,
        Timeline* timeline)
      : options_(options),
        model_(std::move(model)),
        info_(model_->info()),
        shape_(model_->shape()),
        engine_(model_, engine_options(options, plan, info_, timeline)) {}

  const Engine& engine() const { return engine_; }

  Json prefill(int64_t context) {
    const std::vector<int32_t> before = random_ids(context);
    if (context > 0) run_one(before);
    std::vector<double> seconds;
    std::vector<double> rates;
    for (int64_t i = 0; i <= options_.repeat; ++i) {  // the first run warms up
      std::vector<int32_t> prompt = before;
      const std::vector<int32_t> fresh = random_ids(options_.prompt_tokens);
      prompt.insert(prompt.end(), fresh.begin(), fresh.end());
      const Usage usage = run_one(prompt);
      if (i == 0) continue;
      seconds.push_back(usage.prefill_seconds);
      rates.push_back(static_cast<double>(usage.prompt_tokens - usage.cached_tokens) /
                      usage.prefill_seconds);
    }
    const double flops = prefill_flops(shape_, info_, options_.prompt_tokens, context);
    return {
        {"context", context},
        {"prompt_tokens", options_.prompt_tokens},
        {"seconds", seconds},
        {"tokens_per_second", median(rates)},
        {"flops_per_second", median(rates) * flops / static_cast<double>(options_.prompt_tokens)}};
  }

  Json decode(int64_t batch, int64_t context, double read_bandwidth) {
    std::vector<std::vector<int32_t>> prompts;
    for (int64_t i = 0; i < batch; ++i)
      prompts.push_back(random_ids(std::max<int64_t>(1, context)));
    run_batch(prompts, 1);  // fills the prefix cache
    std::vector<double> step_seconds;
    for (int64_t i = 0; i < options_.repeat; ++i) {
      step_seconds.push_back(run_batch(prompts, options_.decode_tokens + 1));
    }
    const double step = median(step_seconds);
    const double kv_len =
        static_cast<double>(context) + static_cast<double>(options_.decode_tokens) / 2;
    const double bandwidth = decode_bytes(shape_, info_, batch, kv_len) / step;
    return {{"batch", batch},
            {"context", context},
            {"decode_tokens", options_.decode_tokens},
            {"step_seconds", step_seconds},
            {"ms_per_step", step * 1e3},
            {"tokens_per_second", static_cast<double>(batch) / step},
            {"bytes_per_second", bandwidth},
            {"share_of_read_bandwidth", bandwidth / read_bandwidth}};
  }

 private:
  // KV memory for the largest batch after the longest context, and for the prefill runs.
  static EngineOptions engine_options(const BenchOptions& options,
                                      const Plan& plan,
                                      const ModelInfo& info,
                                      Timeline* timeline) {
    EngineOptions engine;
    if (timeline != nullptr) {
      engine.on_step = [timeline](const StepReport& step) { timeline->requests.add(step); };
      engine.operations = &timeline->operations;
    }
    const int64_t batch = largest(plan.batches);
    const int64_t context = std::max<int64_t>(1, largest(plan.contexts));
    engine.max_model_len = sequence_length(options, plan);
    engine.kv_dtype = options.model.kv_dtype;
    engine.max_sequences = batch;
    engine.max_waiting = batch;
    if (options.max_batch_tokens > 0)
      engine.max_batch_tokens = std::max(options.max_batch_tokens, batch);
    const int64_t sequence_tokens = context + options.decode_tokens + 2 * engine.block_size;
    const int64_t tokens =
        std::max(batch * sequence_tokens, 2 * (engine.max_model_len + engine.block_size));
    engine.kv_cache_bytes = tokens * info.kv_bytes_per_token;
    return engine;
  }

  std::vector<int32_t> random_ids(int64_t n) {
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(info_.vocab_size - 1));
    std::vector<int32_t> ids(static_cast<size_t>(n));
    for (int32_t& id : ids) id = any(random_);
    return ids;
  }

  Usage run_one(const std::vector<int32_t>& prompt) {
    TimedRequest request(engine_, prompt, 1);
    request.wait();
    return request.usage();
  }

  // Seconds per step while the whole batch decodes.
  double run_batch(const std::vector<std::vector<int32_t>>& prompts, int64_t max_tokens) {
    // However slowly this thread submits them, all of the batch is there before the second token.
    std::promise<void> submitted;
    const std::shared_future<void> all_there = submitted.get_future().share();
    std::vector<TimedRequest> requests;
    for (const auto& prompt : prompts) {
      requests.emplace_back(engine_, prompt, max_tokens, all_there);
    }
    submitted.set_value();
    for (TimedRequest& request : requests) request.wait();
    Clock::time_point begin = requests.front().times().front();
    Clock::time_point end = requests.front().times().back();
    for (const TimedRequest& request : requests) {
      begin = std::max(begin, request.times().front());
      end = std::min(end, request.times().back());
    }
    const auto& times = requests.front().times();
    const auto steps = std::count_if(
        times.begin(), times.end(), [&](Clock::time_point t) { return t > begin && t <= end; });
    const std::chrono::duration<double> elapsed = end - begin;
    QWEN3_CHECK(max_tokens == 1 || steps > 0,
                ErrorKind::invalid_argument,
                "bench: {} sequences never decoded together; expected --decode-tokens long enough "
                "for all to start; got {}; raise it",
                prompts.size(),
                options_.decode_tokens);
    return steps > 0 ? elapsed.count() / static_cast<double>(steps) : 0;
  }

  const BenchOptions& options_;
  std::shared_ptr<Model> model_;
  const ModelInfo& info_;
  const ModelShape& shape_;
  Engine engine_;
  std::mt19937 random_{12345};
};

void print_prefill(const Json& row) {
  print_out(
      fmt::format("prefill  context {:>6}  {:>6} tokens   {:>10.1f} tok/s  {:>8.2f} GFLOP/s\n",
                  row["context"].get<int64_t>(),
                  row["prompt_tokens"].get<int64_t>(),
                  row["tokens_per_second"].get<double>(),
                  row["flops_per_second"].get<double>() * 1e-9));
}

void print_decode(const Json& row) {
  print_out(fmt::format(
      "decode   context {:>6}  batch {:>4}     {:>10.1f} tok/s  {:>8.2f} ms/step  {:>7.2f} GB/s  "
      "{:>5.1f} % of the limit{}\n",
      row["context"].get<int64_t>(),
      row["batch"].get<int64_t>(),
      row["tokens_per_second"].get<double>(),
      row["ms_per_step"].get<double>(),
      row["bytes_per_second"].get<double>() * 1e-9,
      row["share_of_read_bandwidth"].get<double>() * 100,
      row["share_of_read_bandwidth"].get<double>() > 1 ? " (in cache)" : ""));
}

// Rows for other programs and for reports.
class BenchTable {
 public:
  explicit BenchTable(TableFormat format)
      : table_(format,
               {"test", "context", "batch", "tokens", "tokens/s", "ms/step", "GB/s", "GFLOP/s"}) {}

  void prefill(const Json& row) const {
    table_.row({"prefill",
                fmt::format("{}", row["context"].get<int64_t>()),
                "1",
                fmt::format("{}", row["prompt_tokens"].get<int64_t>()),
                fmt::format("{:.2f}", row["tokens_per_second"].get<double>()),
                "",
                "",
                fmt::format("{:.2f}", row["flops_per_second"].get<double>() * 1e-9)});
  }

  void decode(const Json& row) const {
    table_.row({"decode",
                fmt::format("{}", row["context"].get<int64_t>()),
                fmt::format("{}", row["batch"].get<int64_t>()),
                fmt::format("{}", row["decode_tokens"].get<int64_t>()),
                fmt::format("{:.2f}", row["tokens_per_second"].get<double>()),
                fmt::format("{:.3f}", row["ms_per_step"].get<double>()),
                fmt::format("{:.2f}", row["bytes_per_second"].get<double>() * 1e-9),
                ""});
  }

 private:
  TableWriter table_;
};

ExitCode bench_official(const BenchOptions& options, const std::shared_ptr<Model>& model) {
  OfficialRun run{.inputs = {}, .format = options.format};
  run.inputs = parse_size_list(options.has_context ? options.context : kOfficialInputs,
                               "qwen3 bench: --context",
                               1,
                               kMaxContext);
  if (options.has_decode_tokens) run.output_tokens = std::max<int64_t>(1, options.decode_tokens);
  if (options.has_repeat) run.repeat = options.repeat;
  if (options.output.talk() && options.format == "text") print_note(model_line(model->info()));
  run_official(model, run);
  return kDone;
}

ExitCode bench(BenchOptions options, WeightsFrom from) {
  if (options.output.json) options.format = "json";
  options.output.json = options.format == "json";
  const Plan plan{parse_size_list(options.context, "qwen3 bench: --context", 0, kMaxContext),
                  parse_size_list(options.batch, "qwen3 bench: --batch", 1, kMaxBatch)};
  const std::shared_ptr<Model> model = load_model(options.model, options.output, from);
  if (options.preset == "official") return bench_official(options, model);
  check_lengths(options, plan, model->shape());
  const int n_threads = model->info().n_threads;
  const double of_device = model->measure_device_bandwidth();
  const double read_bandwidth = of_device > 0 ? of_device : measure_read_bandwidth(n_threads);
  if (!options.timeline.empty()) check_writable(options.timeline);
  Timeline timeline;
  Bench run(options, plan, model, options.timeline.empty() ? nullptr : &timeline);
  std::optional<BenchTable> table;
  if (options.format == "markdown") table.emplace(TableFormat::markdown);
  if (options.format == "csv") table.emplace(TableFormat::csv);
  const bool text = options.format == "text";
  if (options.output.talk()) {
    print_note(model_line(model->info(), run.engine()));
    print_note(fmt::format(
        "the limit: {} {:.2f} GB/s of memory (measured); what is read from the caches may "
        "exceed it",
        of_device > 0 ? "the card reads" : fmt::format("{} threads read", n_threads),
        read_bandwidth * 1e-9));
  }
  Json prefill = Json::array();
  Json decode = Json::array();
  for (const int64_t context : plan.contexts) {
    if (options.prompt_tokens > 0) {
      prefill.push_back(run.prefill(context));
      if (text) print_prefill(prefill.back());
      if (table) table->prefill(prefill.back());
    }
    for (const int64_t batch : plan.batches) {
      if (options.decode_tokens == 0) break;
      decode.push_back(run.decode(batch, context, read_bandwidth));
      if (text) print_decode(decode.back());
      if (table) table->decode(decode.back());
    }
  }
  if (!options.timeline.empty()) {
    OutputFile file(options.timeline);
    file.write(timeline_json(model->info().name, timeline.operations, &timeline.requests));
    file.commit();
  }
  if (options.output.talk()) {
    print_note(fmt::format("peak memory of the process {}", format_bytes(peak_memory_bytes())));
  }
  if (options.output.json) {
    const ModelInfo& info = model->info();
    print_json({{"model", info.name},
                {"model_type", info.model_type},
                {"n_parameters", info.n_parameters},
                {"n_active_parameters", info.n_active_parameters},
                {"weight_bytes", info.weight_bytes},
                {"dtype", info.dtype},
                {"backend", info.backend},
                {"n_threads", n_threads},
                {"read_bandwidth_bytes_per_second", read_bandwidth},
                {"peak_memory_bytes", peak_memory_bytes()},
                {"prefill", std::move(prefill)},
                {"decode", std::move(decode)}});
  }
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure prefill and decode speed against what this machine's memory allows");
  const auto options = std::make_shared<BenchOptions>();
  add_model_option(*command, options->model, ModelStands::alone_too);
  command
      ->add_option(
          "--random-weights",
          options->random_weights,
          "A directory with a config.json, or a GGUF file: weights of those sizes are drawn "
          "at random")
      ->type_name("PATH")
      ->check(some_name())
      ->excludes("--model");
  command
      ->add_option("--prompt-tokens", options->prompt_tokens, "Prompt of the prefill runs; 0: none")
      ->check(integer_in(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--max-batch-tokens,--ubatch-size,-u",
                   options->max_batch_tokens,
                   "Rows of a step: prompts are computed in pieces of so many")
      ->check(integer_in(1, 1 << 20))
      ->default_str("512; 2048 on cuda");
  command
      ->add_option("--decode-tokens", options->decode_tokens, "Steps of the decode runs; 0: none")
      ->check(integer_in(0, 1 << 20))
      ->capture_default_str();
  add_kv_dtype_option(*command, options->model.kv_dtype);
  command->add_option("--context", options->context, "Tokens before the measured ones, a list")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Sequences that decode together, a list")
      ->capture_default_str();
  command
      ->add_option("--timeline",
                   options->timeline,
                   "Write the time of each operation and the life of each request for Perfetto or "
                   "chrome://tracing; recording costs some of the speed")
      ->type_name("FILE");
  command->add_option("--repeat", options->repeat, "Runs per number; the median is shown")
      ->check(integer_in(1, 1000))
      ->capture_default_str();
  command
      ->add_option(
          "--preset",
          options->preset,
          "official: the table of Qwen's speed benchmark, 2048 tokens after inputs of 1 to "
          "129024, unless --context, --decode-tokens or --repeat say otherwise")
      ->check(one_of({"none", "official"}))
      ->capture_default_str();
  add_compute_options(*command, options->model);
  add_ranks_options(*command, options->model);
  add_override_options(*command, options->model);
  command->add_option("--format", options->format, "How the rows are written; json is --json")
      ->check(one_of({"text", "markdown", "csv", "json"}))
      ->capture_default_str()
      ->group("Output");
  add_output_options(*command, options->output, "One JSON object with every run");
  command->callback([options, command, &action] {
    action = [options, command] {
      options->has_context = command->count("--context") > 0;
      options->has_decode_tokens = command->count("--decode-tokens") > 0;
      options->has_repeat = command->count("--repeat") > 0;
      const bool random = !options->random_weights.empty();
      if (random) options->model.model = options->random_weights;
      const WeightsFrom from = random ? WeightsFrom::random : WeightsFrom::checkpoint;
      return on_ranks(options->model, from, [options, from] { return bench(*options, from); });
    };
  });
}

}  // namespace qwen3::cli
