// POST /v1/chat/completions.
#include <fmt/ranges.h>

#include <utility>

#include "server/api/answer_json.h"
#include "server/api/chat_output.h"
#include "server/api/chat_request.h"
#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/logprobs.h"
#include "server/api/routed_experts.h"
#include "server/api/text_generation.h"
#include "server/api/token_log.h"

namespace qwen3::server {
namespace {

// One answer of n choices.
class ChatCompletion final : public TextGeneration {
 public:
  ChatCompletion(Service& service,
                 const ServedModel& model,
                 const HttpRequest& http,
                 ExchangePtr exchange,
                 ChatRequest request,
                 EncodedChat prompt)
      : TextGeneration(
            service,
            model,
            http,
            std::move(exchange),
            answer_head(service,
                        "chatcmpl-" + http.id,
                        request.common.stream ? "chat.completion.chunk" : "chat.completion"),
            request.common.stream ? Mode::streamed : Mode::whole),
        id_("chatcmpl-" + http.id),
        request_(std::move(request)),
        prompt_ids_(std::move(prompt.ids)),
        chunks_(head_, service.options().reasoning_field) {
    AnswerPlan plan = answer_plan(request_, prompt.state, model, service.options());
    request_.chat = {};  // has become the prompt
    choices_.reserve(static_cast<size_t>(request_.common.n));
    for (int64_t i = 0; i < request_.common.n; ++i) {
      plan.closed = closed_flag(request_.common, static_cast<size_t>(i));
      choices_.emplace_back(Answer(model.text, plan), wanted_shape());
      choices_.back().shown.index = i;
      choices_.back().shown.with_logprobs = with_logprobs();
    }
  }

  // From now on a client may end the thought. Before start().
  void control(const Client& client) {
    control_ = service().controls().open(id_, client, request_.end_thought);
  }

 private:
  struct Choice {
    Choice(Answer made, const ExpertShape& shape) : answer(std::move(made)), experts(shape) {}

    Answer answer;
    ExpertRows experts;
    ChatChoice shown;  // streaming: only what the next chunk will carry
    int64_t n_calls = 0;
    bool has_role = false;
    TokenLog log;
  };

  ExpertShape wanted_shape() const {
    const bool wanted = request_.common.routed_experts != RoutedExperts::none;
    return wanted ? expert_shape(model().shape) : ExpertShape();
  }

  bool with_logprobs() const { return request_.common.sampling.n_logprobs >= 0; }

  void on_event(size_t index, const Event& event) override {
    if (took_progress(index, event)) return;
    Choice& choice = choices_[index];
    note_event(index, event);
    if (!event.prompt_logprobs.empty()) {
      prompt_logprobs_ = prompt_logprobs_json(model().tokenizer(), event.prompt_logprobs);
    }
    if (streaming() && !std::exchange(choice.has_role, true)) {
      note_usage_so_far();
      chunks_.role(out_, choice.shown.index, prompt_ids_json());
    }
    const bool over = choice.answer.ended();
    if (!over) note_token_id(choice, event);
    if (!over) choice.experts.add(event.routed_experts);
    const size_t begin = choice.answer.text_bytes();
    AnswerDelta delta = choice.answer.push(event);
    if (!over && with_logprobs()) {
      choice.log.add(model().tokenizer(),
                     event,
                     {begin, choice.answer.text_bytes()},
                     request_.common.return_token_ids ? LogprobIds::shown : LogprobIds::absent);
    }
    show(choice, std::move(delta));
    if (!over && choice.answer.ended()) stop(index);
    if (event.finish) finish(index, event);
  }

  void note_token_id(Choice& choice, const Event& event) {
    if (event.token_id < 0 || !request_.common.return_token_ids) return;
    ChoiceExtras& extras = choice.shown.extras;
    extras.token_ids += extras.token_ids.empty() ? "" : ",";
    append_json_number(extras.token_ids, event.token_id);
  }

  // The entries spell the content: tokens of a thought, of its tags and of calls have none.
  static void show_logprobs(Choice& choice, const std::vector<TextRange>& ranges) {
    choice.log.take(choice.shown.extras.logprobs, ranges, choice.answer.text_before_content());
  }

  void finish(size_t index, const Event& event) {
    Choice& choice = choices_[index];
    show(choice, choice.answer.finish(*event.finish));
    choice.shown.end = {
        choice.answer.finish_reason(), choice.answer.stop_reason(), choice.answer.finish_detail()};
    usage_.completion_tokens += choice.answer.n_tokens();
    usage_.reasoning_tokens += choice.answer.n_reasoning_tokens();
    if (index == 0) {
      usage_.prompt_tokens = event.usage.prompt_tokens;
      usage_.cached_tokens = event.usage.cached_tokens;
      queue_seconds_ = event.usage.queue_seconds;
    }
    note_usage_so_far();
    if (streaming()) chunks_.finish(out_, choice.shown.index, choice.shown.end, extras(choice));
  }

  void show(Choice& choice, AnswerDelta delta) {
    show_logprobs(choice, delta.ranges);
    if (delta.empty()) return;
    std::vector<NamedCall> calls;
    for (ToolCall& call : delta.calls) {
      calls.push_back({service().unique_id("call_"), std::move(call)});
    }
    if (streaming()) return stream(choice, delta, calls);
    choice.shown.reasoning += delta.reasoning;
    choice.shown.content += delta.content;
    for (NamedCall& call : calls) {
      n_call_bytes_ += sizeof call + call.call.arguments.size();
      choice.shown.calls.push_back(std::move(call));
    }
  }

  void stream(Choice& choice, const AnswerDelta& delta, const std::vector<NamedCall>& calls) {
    const int64_t index = choice.shown.index;
    note_usage_so_far();
    if (!delta.reasoning.empty()) {
      std::string entries = std::exchange(choice.shown.extras.logprobs, {});
      chunks_.reasoning(out_, index, delta.reasoning, extras(choice));
      choice.shown.extras.logprobs = std::move(entries);
    }
    if (!delta.content.empty()) chunks_.content(out_, index, delta.content, extras(choice));
    for (const NamedCall& call : calls) {
      chunks_.call(out_, index, choice.n_calls++, call, extras(choice));
    }
  }

  // Takes what has gathered for the next chunk.
  static ChoiceExtras extras(Choice& choice) {
    ChoiceExtras taken = std::exchange(choice.shown.extras, {});
    taken.experts = choice.experts.take_chunk();
    close_ids(taken);
    return taken;
  }

  static void close_ids(ChoiceExtras& extras) {
    if (!extras.token_ids.empty()) extras.token_ids = "[" + extras.token_ids + "]";
  }

  void note_usage_so_far() {
    if (request_.common.continuous_usage) chunks_.set_usage(usage_json(usage_so_far()));
  }

  // "" unless they were asked for.
  std::string prompt_ids_json() const {
    std::string out;
    if (request_.common.return_token_ids) append_json_ids(out, prompt_ids_);
    return out;
  }

  TokenUsage usage_so_far() const {
    TokenUsage usage{.prompt_tokens = static_cast<int64_t>(prompt_ids_.size())};
    for (const Choice& choice : choices_) {
      usage.completion_tokens += choice.answer.n_tokens();
      usage.reasoning_tokens += choice.answer.n_reasoning_tokens();
    }
    return usage;
  }

  int64_t gathered_bytes() const override {
    size_t n = prompt_logprobs_.size() + n_call_bytes_;
    for (const Choice& choice : choices_) {
      const ChatChoice& shown = choice.shown;
      n += shown.reasoning.size() + shown.content.size() + shown.extras.logprobs.size() +
           shown.extras.token_ids.size() + choice.log.n_bytes() + choice.experts.n_bytes();
    }
    return static_cast<int64_t>(n);
  }

  void complete() override {
    control_.reset();
    record(choices_.front().answer.finish_reason());
    if (streaming()) {
      std::string last;
      chunks_.set_usage({});
      if (request_.common.include_usage) chunks_.usage_only(last, usage_json(usage_));
      end_stream(last);
    } else {
      exchange().send({.body = whole_answer()});
    }
  }

  std::string whole_answer() {
    std::string out = std::move(head_);
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ',';
      close_ids(choices_[i].shown.extras);
      choices_[i].shown.extras.experts = choices_[i].experts.take_whole();
      append_choice(out, choices_[i].shown, service().options().reasoning_field);
    }
    out += R"(],"usage":)" + usage_json(usage_);
    if (!prompt_logprobs_.empty()) out += R"(,"prompt_logprobs":)" + prompt_logprobs_;
    const std::string prompt_ids = prompt_ids_json();
    if (!prompt_ids.empty()) out += R"(,"prompt_token_ids":)" + prompt_ids;
    return out + "}";
  }

  const std::string id_;
  ChatRequest request_;
  const std::vector<int32_t> prompt_ids_;
  ChatChunks chunks_;
  std::vector<Choice> choices_;
  std::string prompt_logprobs_;
  size_t n_call_bytes_ = 0;                            // of whole answers
  std::unique_ptr<ReasoningControls::Place> control_;  // null: nobody asked
};

}  // namespace

void chat_completions(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::generate, "/v1/chat/completions");
  ChatRequest request = read_chat_request(fields, model, service.options());
  note_unread(fields, *exchange);
  EncodedChat prompt = encode_chat_prompt(model, request.chat);
  std::vector<std::string> relaxed;
  std::vector<Request> requests =
      chat_requests(relaxed, request, prompt, http, model, service.options());
  if (!relaxed.empty()) exchange->note("relaxed_tools", fmt::format("{}", fmt::join(relaxed, ",")));
  const size_t window = requests.size();
  const bool traced = request.common.trace, controlled = request.end_thought != nullptr;
  const auto answer = std::make_shared<ChatCompletion>(
      service, model, http, exchange, std::move(request), std::move(prompt));
  if (traced) answer->trace("chatcmpl-" + http.id, http.client, requests.front());
  if (controlled) answer->control(http.client);
  answer->start(std::move(requests), window);
}

}  // namespace qwen3::server
