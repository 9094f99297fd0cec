#include "eval/run/engine_source.h"

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "eval/run/chat_request.h"
#include "qwen3/sampling.h"
#include "qwen3/text.h"

namespace qwen3::eval {
namespace {

constexpr int64_t kMostSequences = 64;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// What a request asks for besides its messages, in the engine's terms.
struct Settings {
  SamplingParams sampling;
  std::vector<std::string> stop;
  std::string template_kwargs;
};

[[noreturn]] void refuse(const std::string& key, std::string_view expected, const Json& value) {
  fail(ErrorKind::invalid_argument,
       "{}: expected {}; got {}",
       key,
       expected,
       quote_for_message(dump_json(value)));
}

double number_of(const std::string& key, const Json& value) {
  if (!value.is_number()) refuse(key, "a number", value);
  return value.get<double>();
}

int64_t integer_of(const std::string& key, const Json& value) {
  if (!value.is_number_integer()) refuse(key, "an integer", value);
  return value.get<int64_t>();
}

void read_stop(Settings& settings, const Json& value) {
  const Json list = value.is_array() ? value : Json::array({value});
  for (const Json& text : list) {
    if (!text.is_string()) refuse("stop", "text or a list of texts", value);
    settings.stop.push_back(text.get<std::string>());
  }
}

void read_setting(Settings& settings, const std::string& key, const Json& value) {
  SamplingParams& sampling = settings.sampling;
  if (const SamplingField* field = find_sampling_field(key)) {
    const double number =
        field->is_integer() ? static_cast<double>(integer_of(key, value)) : number_of(key, value);
    if (!field->accepts(number)) refuse(key, field->what_it_accepts(), value);
    field->set(sampling, number);
  } else if (key == "min_tokens") {
    sampling.min_tokens = integer_of(key, value);
  } else if (key == "seed") {
    sampling.seed = static_cast<uint64_t>(integer_of(key, value));
  } else if (key == "ignore_eos") {
    if (!value.is_boolean()) refuse(key, "true or false", value);
    sampling.ignore_eos = value.get<bool>();
  } else if (key == "stop") {
    read_stop(settings, value);
  } else if (key == "chat_template_kwargs") {
    if (!value.is_object()) refuse(key, "a map", value);
    settings.template_kwargs = dump_json(value);
  } else if (key != "model") {
    fail(ErrorKind::invalid_argument,
         "extra_body: {}: the engine in this process does not know this key; remove it, or use a "
         "server (base_url)",
         quote_for_message(key));
  }
}

// A server fills what a request leaves open from generation_config.json; so does this.
Settings read_settings(const Json& request, const GenerationDefaults& defaults) {
  Settings settings{
      .sampling = with_defaults(defaults, DoSample::yes), .stop = {}, .template_kwargs = {}};
  for (const auto& [key, value] : request.items()) read_setting(settings, key, value);
  return settings;
}

// Events on their way from the engine thread. Shared with the callbacks, which may outlive the
// source by one step.
struct EventQueue {
  std::mutex mutex;
  std::condition_variable ready;
  std::vector<std::pair<uint64_t, Event>> events;

  void push(uint64_t tag, const Event& event) {
    const std::lock_guard lock(mutex);
    events.emplace_back(tag, event);
    ready.notify_one();
  }

  std::vector<std::pair<uint64_t, Event>> take(Clock::time_point until) {
    std::unique_lock lock(mutex);
    ready.wait_until(lock, until, [this] { return !events.empty(); });
    return std::exchange(events, {});
  }
};

// One question that the engine works on.
struct Running {
  AnswerStream stream;
  Answer answer;
  std::string reasoning;
  uint64_t request_id = 0;
  bool ended = false;  // a stop string was found; what comes now is dropped
  Clock::time_point started = Clock::now();

  void add(const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      (piece.kind == AnswerPiece::Kind::content ? answer.text : reasoning) += piece.text;
    }
  }
};

EngineOptions engine_options(const EvalConfig& config,
                             const EngineSourceOptions& options,
                             const Text& text) {
  EngineOptions engine;
  engine.max_model_len = options.max_model_len;
  engine.kv_dtype = options.kv_dtype;
  engine.max_sequences = std::clamp<int64_t>(config.max_workers, 1, kMostSequences);
  engine.max_waiting = config.max_workers + 1;
  engine.n_real_tokens = text.n_tokens();
  engine.eos_token_ids = text.eos_token_ids();
  return engine;
}

}  // namespace

struct EngineSource::Impl {
  Impl(const EvalConfig& given, Mode how, const EngineSourceOptions& options)
      : config(given),
        mode(how),
        request(request_settings(given, how)),
        fingerprint(model_fingerprint(options.directory)),
        version(options.version),
        hf_overrides(options.load.hf_overrides),
        text(Text::load(options.directory)),
        model(Model::load(options.directory, options.load)),
        settings(read_settings(request, model->generation_defaults())),
        engine(model, engine_options(given, options, text)) {
    QWEN3_CHECK(text.has_chat_template() || given.scores_choices(),
                ErrorKind::unsupported,
                "{}: no chat template; an evaluation asks by chat messages, so give a model that "
                "has one",
                options.directory.string());
  }

  void start(const Question& question);
  void start_answer(const Question& question);
  void start_prompt(const Question& question);
  bool fits(const Question& question, const std::vector<int32_t>& ids);
  void submit(const Question& question, Running job, Request request);
  void on_event(uint64_t tag, const Event& event);
  void finish(std::map<uint64_t, Running>::iterator running, const Event& event);
  void fail_question(uint64_t tag, FailureKind kind, const std::string& message);

  EvalConfig config;
  Mode mode;
  Json request;
  std::string fingerprint, version, hf_overrides;
  Text text;
  std::shared_ptr<Model> model;
  Settings settings;
  std::shared_ptr<EventQueue> queue = std::make_shared<EventQueue>();
  std::map<uint64_t, Running> running;
  std::vector<Reply> replies;
  Engine engine;  // last: its thread goes first
};

void EngineSource::Impl::start(const Question& question) {
  if (question.want == Want::answer) {
    start_answer(question);
  } else {
    start_prompt(question);
  }
}

bool EngineSource::Impl::fits(const Question& question, const std::vector<int32_t>& ids) {
  const auto n_prompt = static_cast<int64_t>(ids.size());
  if (n_prompt < engine.max_model_len()) return true;
  fail_question(
      question.tag,
      FailureKind::context,
      fmt::format(
          "the prompt has {} tokens; the context holds {}", n_prompt, engine.max_model_len()));
  return false;
}

void EngineSource::Impl::submit(const Question& question, Running job, Request ask) {
  const uint64_t tag = question.tag;
  job.request_id = engine.submit(
      std::move(ask), [tag, shared = queue](const Event& event) { shared->push(tag, event); });
  running.emplace(tag, std::move(job));
}

void EngineSource::Impl::start_answer(const Question& question) {
  const Json messages = request_messages(config, mode, question.prompt);
  const EncodedChat chat =
      text.encode_chat(dump_json(messages), {.template_kwargs = settings.template_kwargs});
  if (!fits(question, chat.ids)) return;
  SamplingParams sampling = settings.sampling;
  if (mode == Mode::standard && config.seed && !request.contains("seed")) {
    sampling.seed = static_cast<uint64_t>(*config.seed + question.sample);
  }
  const bool split = mode == Mode::standard;
  submit(question,
         {.stream = text.answer({.state = chat.state,
                                 .split_reasoning = split,
                                 .trim_newlines = split,
                                 .stop = settings.stop}),
          .answer = {},
          .reasoning = {}},
         {.prompt_ids = chat.ids, .sampling = sampling});
}

// Control tokens spelled in the text are recognised, as our server's /completions and the
// tokenizers of lm-evaluation-harness do: choose_prompt can spell a chat's turns.
void EngineSource::Impl::start_prompt(const Question& question) {
  std::vector<int32_t> ids = text.encode(question.prompt);
  if (!fits(question, ids)) return;
  Answer answer{.prompt_tokens = static_cast<int64_t>(ids.size())};
  for (const int32_t id : ids) answer.token_names.push_back(std::to_string(id));
  if (question.want == Want::tokens) {
    replies.push_back({.tag = question.tag, .result = std::move(answer), .server = "in-process"});
    return;
  }
  submit(question,
         {.stream = text.answer(), .answer = std::move(answer), .reasoning = {}},
         {.prompt_ids = std::move(ids), .sampling = settings.sampling, .n_prompt_logprobs = 0});
}

void EngineSource::Impl::on_event(uint64_t tag, const Event& event) {
  const auto found = running.find(tag);
  if (found == running.end()) return;
  Running& job = found->second;
  for (const PromptLogprobs& token : event.prompt_logprobs) {
    job.answer.token_logprobs.push_back(token.token ? token.token->logprob : kNone);
  }
  if (event.token_id >= 0 && !event.is_end_token && !job.ended) {
    job.add(job.stream.push(event.token_id));
    if (job.stream.stopped()) {
      job.ended = true;
      if (!event.finish) engine.cancel(job.request_id);
    }
  }
  if (event.finish) finish(found, event);
}

void EngineSource::Impl::finish(std::map<uint64_t, Running>::iterator found, const Event& event) {
  Running& job = found->second;
  const FinishReason reason = job.ended ? FinishReason::stop : *event.finish;
  if (reason != FinishReason::stop && reason != FinishReason::length) {
    fail_question(found->first,
                  FailureKind::model,
                  event.error.empty() ? "the engine ended the request" : event.error);
    running.erase(found);
    return;
  }
  job.add(job.stream.finish());
  Answer answer = std::move(job.answer);
  answer.finish_reason = reason == FinishReason::stop ? "stop" : "length";
  if (!job.reasoning.empty()) answer.reasoning = std::move(job.reasoning);
  answer.prompt_tokens = event.usage.prompt_tokens;
  answer.completion_tokens = event.usage.completion_tokens;
  replies.push_back({.tag = found->first,
                     .result = std::move(answer),
                     .seconds = std::chrono::duration<double>(Clock::now() - job.started).count(),
                     .server = "in-process"});
  running.erase(found);
}

void EngineSource::Impl::fail_question(uint64_t tag, FailureKind kind, const std::string& message) {
  replies.push_back({.tag = tag, .result = Answer{}, .server = "in-process"});
  if (kind == FailureKind::context && mode == Mode::strict) {
    replies.back().result = Answer{.finish_reason = "length", .context_exceeded = true};
  } else {
    replies.back().result = Failure{kind, 0, message};
  }
}

EngineSource::EngineSource(const EvalConfig& config, Mode mode, const EngineSourceOptions& options)
    : impl_(std::make_unique<Impl>(config, mode, options)) {}

EngineSource::~EngineSource() = default;

void EngineSource::ask(Question question) {
  try {
    impl_->start(question);
  } catch (const Error& error) {  // the template or the engine refuses this question
    if (error.kind() == ErrorKind::internal || error.kind() == ErrorKind::out_of_memory) throw;
    impl_->fail_question(question.tag, FailureKind::rejected, error.what());
  }
}

std::vector<Reply> EngineSource::wait(std::chrono::milliseconds patience) {
  const Clock::time_point until = Clock::now() + patience;
  while (impl_->replies.empty()) {
    const auto events = impl_->queue->take(until);
    for (const auto& [tag, event] : events) impl_->on_event(tag, event);
    if (events.empty()) break;
  }
  return std::exchange(impl_->replies, {});
}

Json EngineSource::served() const {
  const ModelInfo& info = impl_->model->info();
  const std::string backend = info.backend.substr(0, info.backend.find(' '));
  Json facts = {{"version", impl_->version},
                {"model", info.name},
                {"model_files", impl_->fingerprint},
                {"dtype", info.dtype},
                {"backend", backend}};
  if (!impl_->hf_overrides.empty()) facts["hf_overrides"] = impl_->hf_overrides;
  return Json::array({std::move(facts)});
}

const ModelInfo& EngineSource::model_info() const { return impl_->model->info(); }

}  // namespace qwen3::eval
