#include "cli/trace/run.h"

#include <chrono>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/model_path.h"
#include "cli/numbers.h"
#include "cli/trace/files.h"
#include "cli/trace/generate.h"
#include "engine/evaluate.h"
#include "engine/head_projection.h"
#include "model/losses.h"
#include "trace/filter_tap.h"
#include "trace/tap_list.h"
#include "trace/tap_name.h"

namespace qwen3::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMaxMapTokens = 256;  // per head a quarter of a MiB
constexpr int64_t kLensBest = 5;
constexpr size_t kMaxConfigBytes = 16 << 20;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The level of --level; else of enable_trace and trace_level in config.json; else input_flow when
// nothing else was asked for.
std::optional<TraceLevel> chosen_level(const TraceOptions& options) {
  if (options.level) return parse_trace_level(*options.level, "qwen3 trace: --level");
  const std::filesystem::path file = resolve_model(options.model.model) / "config.json";
  if (const auto text = read_text_file_if_there(file, kMaxConfigBytes)) {
    const Json config = parse_json(*text, file.string());
    const auto enabled = config.find("enable_trace");
    if (enabled != config.end() && enabled->is_boolean() && enabled->get<bool>()) {
      const auto level = config.find("trace_level");
      if (level == config.end()) return TraceLevel::input_flow;
      QWEN3_CHECK(level->is_string(),
                  ErrorKind::corrupt_file,
                  "{}: trace_level: expected input_flow, compact or verbose; got {}",
                  file.string(),
                  level->type_name());
      return parse_trace_level(level->get<std::string>(), file.string() + ": trace_level");
    }
  }
  return options.wants_more() ? std::nullopt : std::optional(TraceLevel::input_flow);
}

std::vector<int32_t> chosen_ids(const TraceOptions& options, const Trace& trace) {
  if (options.ids) return parse_id_list(*options.ids, "qwen3 trace: --ids");
  QWEN3_CHECK(trace.text.has_value(),
              ErrorKind::not_found,
              "{}: no tokenizer.json; expected one for --prompt and --chat; give --ids instead",
              options.model.model);
  if (options.chat) {
    QWEN3_CHECK(trace.text->has_chat_template(),
                ErrorKind::not_found,
                "{}: no chat template; expected chat_template.jinja, or chat_template in "
                "tokenizer_config.json; give the whole text by --prompt",
                options.model.model);
    ChatOptions chat;
    if (options.thinking) chat.enable_thinking = *options.thinking == "on";
    const Json messages = Json::array({{{"role", "user"}, {"content", *options.chat}}});
    return trace.text->encode_chat(dump_json(messages), chat).ids;
  }
  std::vector<int32_t> ids = trace.text->encode(*options.prompt);
  if (ids.empty()) throw UsageError("qwen3 trace: --prompt: expected some text; got none");
  return ids;
}

// Lines of a level: to stdout in large pieces, or as JSON lines.
class LinePrinter {
 public:
  explicit LinePrinter(bool json) : json_(json) {}

  void operator()(std::string_view line) {
    if (json_) {
      print_json({{"trace", line}});
      return;
    }
    buffer_.append(line).push_back('\n');
    if (buffer_.size() > kFlushBytes) flush();
  }
  void flush() {
    if (!buffer_.empty()) print_out(buffer_);
    buffer_.clear();
  }

 private:
  static constexpr size_t kFlushBytes = 1 << 16;
  bool json_;
  std::string buffer_;
};

void check_map_length(const TraceOptions& options, int64_t n_tokens) {
  QWEN3_CHECK(options.attention_out.empty() || n_tokens <= kMaxMapTokens,
              ErrorKind::invalid_argument,
              "qwen3 trace: --attention-out: expected at most {} tokens for full maps; got {}; use "
              "--attention for summaries, or a shorter prompt",
              kMaxMapTokens,
              n_tokens);
}

// A pass without taps under the clock; the first one warms caches and page tables.
void run_timed(const TraceOptions& options, Trace& trace, StatusLine& status) {
  if (!options.wants_time()) return;
  if (options.generate > 0) {
    run_timed_generation(options, trace, status);
    return;
  }
  status.show(fmt::format("timing a pass of {} tokens", trace.ids.size()));
  const auto nothing = [](int64_t, const Tensor&) {};
  evaluate(*trace.model, trace.ids, {}, nothing);
  Evaluation pass(*trace.model, trace.ids, {.operations = &trace.time});
  const auto begin = Clock::now();
  while (pass.next()) continue;
  trace.time.add_outer(fmt::format("forward pass of {} tokens", trace.ids.size()), begin);
  trace.seconds = seconds_since(begin);
}

void print_losses(LevelTap& level,
                  const ModelShape& shape,
                  const std::vector<int32_t>& labels,
                  const Tensor& logits,
                  const RoutingRecorder* routing) {
  level.cross_entropy(cross_entropy(logits, labels));
  if (shape.moe() && routing != nullptr) {
    level.router_aux_loss(auxiliary_losses(routing->layers()).educational);
  }
}

std::vector<int32_t> chosen_labels(const TraceOptions& options, const Trace& trace) {
  if (!options.labels) return {};
  std::vector<int32_t> labels = parse_id_list(*options.labels, "qwen3 trace: --labels", -100);
  if (labels.size() != trace.ids.size()) {
    throw UsageError(
        fmt::format("qwen3 trace: --labels: expected {} labels, one for each id; got {}",
                    trace.ids.size(),
                    labels.size()));
  }
  for (const int32_t label : labels) {
    QWEN3_CHECK(label == -100 || (label >= 0 && label < trace.model->shape().vocab_size),
                ErrorKind::invalid_argument,
                "qwen3 trace: --labels: expected -100 or an id below {}; got {}",
                trace.model->shape().vocab_size,
                label);
  }
  return labels;
}

}  // namespace

// Bytes that are no character of their own as \xe4\xb8: two such tokens are not the same.
std::string Trace::token_text(int32_t id) const {
  if (!text) return fmt::format("#{}", id);
  const std::string bytes = text->token_bytes(id);
  if (bytes.empty() || utf8_valid(bytes)) return text->decode({&id, 1});
  std::string shown;
  for (const char byte : bytes) shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return shown;
}

void run_trace(const TraceOptions& options, Trace& trace) {
  const std::optional<TraceLevel> level = chosen_level(options);
  if (!options.compare.empty()) {
    trace.compare.emplace(
        npy_names(options.compare), npy_reader(options.compare), options.tolerance);
  }
  check_writable(options.html);
  check_writable(options.timeline);
  trace.model = load_model(options.model, options.output);
  const ModelShape& shape = trace.model->shape();
  if (options.output.talk()) print_note(model_line(trace.model->info()));
  const std::vector<std::string> names = all_tap_names(shape);
  try {
    check_patterns(options.taps, names);
  } catch (const Error& error) {  // a wrong word on the command line, not failed work
    throw UsageError(error.what());
  }
  const std::filesystem::path directory = resolve_model(options.model.model);
  if (Text::available(directory)) trace.text.emplace(Text::load(directory));
  trace.ids = chosen_ids(options, trace);
  trace.n_prompt = static_cast<int64_t>(trace.ids.size());
  check_map_length(options, trace.n_prompt + options.generate);
  check_generated_length(options, trace);
  const std::vector<int32_t> labels = chosen_labels(options, trace);
  // Lines of a level come while it works, which is sign enough.
  StatusLine status(options.output.talk() && !level);
  run_timed(options, trace, status);

  TapList taps;
  LinePrinter print(options.output.json);
  std::optional<LevelTap> lines;
  if (level) {
    lines.emplace(*level, shape, trace_language(options), std::ref(print));
    taps.add(*lines);
  }
  std::optional<FilterTap> filtered_statistics, filtered_dumps;
  std::optional<NpyTaps> dumps;
  // The report and the watch want all tensors, whatever is printed.
  const bool all = options.watch || !options.html.empty();
  if (options.wants_statistics()) {
    trace.statistics.emplace();
    filtered_statistics.emplace(
        all ? std::vector<std::string>() : options.taps, names, *trace.statistics);
    taps.add(*filtered_statistics);
  }
  if (!options.out.empty()) {
    dumps.emplace(options.out);
    filtered_dumps.emplace(options.taps, names, *dumps);
    taps.add(*filtered_dumps);
  }
  if (trace.compare) taps.add(*trace.compare);
  if (options.wants_routing() || options.labels) taps.add(trace.routing.emplace());
  if (options.wants_attention()) {
    taps.add(trace.attention.emplace(shape, kMaxMapTokens));
  }
  std::optional<HeadProjection> projection;
  if (options.lens > 0) {
    projection.emplace(*trace.model, LogitLens::kChunkRows);
    const int64_t n_real = trace.text ? trace.text->n_tokens() : 0;
    taps.add(trace.lens.emplace(std::ref(*projection), options.lens, kLensBest, n_real));
  }

  const auto begin = Clock::now();
  if (options.generate > 0) {
    const std::vector<int32_t> generated = run_generation(options, trace, taps, status);
    trace.ids.insert(trace.ids.end(), generated.begin(), generated.end());
  } else {
    const auto on_logits = [&](int64_t, const Tensor& logits) {
      if (labels.empty() || !lines) return;
      print_losses(*lines, shape, labels, logits, trace.routing ? &*trace.routing : nullptr);
    };
    status.show(fmt::format("tracing a pass of {} tokens", trace.ids.size()));
    evaluate(*trace.model, trace.ids, {.tap = taps.empty() ? nullptr : &taps}, on_logits);
  }
  trace.traced_seconds = seconds_since(begin);
  print.flush();
  if (dumps) trace.n_dumped = dumps->n_files();
}

}  // namespace qwen3::cli
