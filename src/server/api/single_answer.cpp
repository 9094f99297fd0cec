#include "server/api/single_answer.h"

#include <fmt/ranges.h>

#include <utility>

namespace qwen3::server {

namespace {

constexpr const char* kSameAsChat[] = {"stream",
                                       "temperature",
                                       "top_p",
                                       "top_k",
                                       "min_p",
                                       "repetition_penalty",
                                       "repeat_penalty",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "allowed_token_ids",
                                       "seed",
                                       "min_tokens",
                                       "ignore_eos",
                                       "stop_token_ids",
                                       "enable_thinking",
                                       "chat_template_kwargs",
                                       "thinking_token_budget",
                                       "include_reasoning",
                                       "skip_special_tokens",
                                       "cache_salt",
                                       "cache_prompt",
                                       "priority",
                                       "loop_guard",
                                       "close_on_length",
                                       "trace",
                                       "structured_outputs",
                                       "json_schema",
                                       "guided_json",
                                       "guided_regex",
                                       "guided_choice",
                                       "guided_grammar",
                                       "guided_whitespace_pattern",
                                       "regex",
                                       "grammar",
                                       "ebnf",
                                       "structural_tag"};

void take_field(Json& chat, Fields& fields, const char* name) {
  if (const Json* value = fields.value(name)) chat[name] = *value;
}

}  // namespace

void take_chat_fields(Json& chat, Fields& fields, std::initializer_list<const char*> more) {
  for (const char* name : kSameAsChat) take_field(chat, fields, name);
  for (const char* name : more) take_field(chat, fields, name);
}

PreparedChat prepare_chat(const Json& body,
                          const ServedModel& model,
                          const ServiceOptions& options,
                          Exchange& exchange) {
  Fields fields(body);
  PreparedChat chat{.request = read_chat_request(fields, model, options), .prompt = {}};
  note_unread(fields, exchange);
  chat.prompt = encode_chat_prompt(model, chat.request.chat);
  return chat;
}

namespace {

// These APIs have a place for reasoning, whatever chat answers do with it.
AnswerPlan split_plan(const PreparedChat& chat,
                      const ServedModel& model,
                      const ServiceOptions& options) {
  AnswerPlan plan = answer_plan(chat.request, chat.prompt.state, model, options);
  plan.tags_in_content = false;
  plan.closed = closed_flag(chat.request.common, 0);
  plan.text.trim_newlines = true;
  return plan;
}

}  // namespace

SingleAnswer::SingleAnswer(Service& service,
                           const ServedModel& model,
                           const HttpRequest& http,
                           ExchangePtr exchange,
                           const PreparedChat& chat,
                           std::unique_ptr<AnswerWriter> writer)
    : TextGeneration(service,
                     model,
                     http,
                     std::move(exchange),
                     {},
                     chat.request.common.stream ? Mode::streamed : Mode::whole),
      answer_(model.text, split_plan(chat, model, service.options())),
      writer_(std::move(writer)),
      with_logprobs_(chat.request.common.sampling.n_logprobs >= 0) {
  keep_besides(writer_->kept_bytes());
}

void SingleAnswer::start(std::shared_ptr<SingleAnswer> answer,
                         const PreparedChat& chat,
                         const HttpRequest& http,
                         const ServiceOptions& options,
                         const std::string& id) {
  std::vector<std::string> relaxed;
  std::vector<Request> requests =
      chat_requests(relaxed, chat.request, chat.prompt, http, answer->model(), options);
  if (!relaxed.empty()) {
    answer->exchange().note("relaxed_tools", fmt::format("{}", fmt::join(relaxed, ",")));
  }
  if (chat.request.common.trace) answer->trace(id, http.client, requests.front());
  answer->Generation::start(std::move(requests), 1);
}

void SingleAnswer::begun() {
  writer_->begin(out_);
  if (!streaming()) return out_.clear();
  exchange().start_stream(writer_->stream_form());
  settle();
}

void SingleAnswer::on_event(size_t index, const Event& event) {
  note_event(index, event);
  const bool over = answer_.ended();
  const size_t begin = answer_.text_bytes();
  AnswerDelta delta = answer_.push(event);
  if (!over && with_logprobs_) {
    log_.add(model().tokenizer(), event, {begin, answer_.text_bytes()}, LogprobIds::absent);
  }
  show(std::move(delta));
  if (!over && answer_.ended()) stop(index);
  if (event.finish) finish(event);
}

void SingleAnswer::show(AnswerDelta delta) {
  log_.take(logprobs_, delta.ranges, answer_.text_before_content());
  if (!delta.reasoning.empty()) writer_->reasoning(out_, delta.reasoning);
  if (!delta.content.empty()) {
    writer_->content(out_, delta.content, std::exchange(logprobs_, {}));
  }
  for (const ToolCall& call : delta.calls) writer_->call(out_, call);
}

void SingleAnswer::finish(const Event& event) {
  show(answer_.finish(*event.finish));
  usage_ = {.prompt_tokens = event.usage.prompt_tokens,
            .cached_tokens = event.usage.cached_tokens,
            .completion_tokens = answer_.n_tokens(),
            .reasoning_tokens = answer_.n_reasoning_tokens()};
  queue_seconds_ = event.usage.queue_seconds;
  writer_->finish(out_,
                  {.finish_reason = answer_.finish_reason(),
                   .finish_detail = answer_.finish_detail(),
                   .stop_reason = answer_.stop_reason(),
                   .usage = usage_,
                   .context_is_full =
                       usage_.prompt_tokens + usage_.completion_tokens >= model().max_model_len});
}

void SingleAnswer::settle() {
  if (!streaming()) return out_.clear();
  if (!out_.empty()) exchange().write(std::exchange(out_, {}));
}

void SingleAnswer::complete() {
  record(answer_.finish_reason());
  if (!streaming()) return exchange().send(writer_->whole());
  settle();
  exchange().end();
}

void SingleAnswer::failed(const ApiError& error) {
  if (!streaming() || !begun_stream()) return exchange().send(writer_->refusal(error));
  writer_->fail(out_, error);
  settle();
  exchange().end();
}

int64_t SingleAnswer::gathered_bytes() const {
  return writer_->gathered_bytes() + static_cast<int64_t>(log_.n_bytes() + logprobs_.size());
}

}  // namespace qwen3::server
