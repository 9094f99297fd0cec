// POST /v1/completions.
#include <algorithm>
#include <utility>

#include "server/api/answer_json.h"
#include "server/api/completion_request.h"
#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/logprobs.h"
#include "server/api/routed_experts.h"
#include "server/api/text_generation.h"

namespace qwen3::server {
namespace {

class Completion final : public TextGeneration {
 public:
  Completion(Service& service,
             const ServedModel& model,
             const HttpRequest& http,
             ExchangePtr exchange,
             CompletionRequest request)
      : TextGeneration(service,
                       model,
                       http,
                       std::move(exchange),
                       answer_head(service, "cmpl-" + http.id, "text_completion"),
                       request.common.stream ? Mode::streamed : Mode::whole),
        request_(std::move(request)) {
    AnswerPlan plan{.text = {.split_reasoning = false,
                             .skip_special_tokens = request_.common.skip_special_tokens,
                             .stop = request_.common.stop,
                             .include_stop = request_.common.include_stop,
                             .min_tokens = request_.common.sampling.min_tokens},
                    .stop_token_ids = request_.common.sampling.stop_token_ids,
                    .loop_guard = service.options().loop_guard};
    if (!request_.common.loop_guard) plan.loop_guard.min_tokens = 0;
    choices_.reserve(request_.n_choices());
    for (size_t i = 0; i < request_.n_choices(); ++i) {
      plan.closed = closed_flag(request_.common, i);
      choices_.emplace_back(Answer(model.text, plan), model);
      if (request_.common.routed_experts != RoutedExperts::none) {
        choices_.back().experts = ExpertRows(expert_shape(model.shape));
      }
    }
  }

 private:
  struct Choice {
    Choice(Answer made, const ServedModel& model)
        : answer(std::move(made)), logprobs(model.tokenizer()), experts(ExpertShape()) {}

    Answer answer;
    CompletionLogprobs logprobs;
    ExpertRows experts;
    std::string text;       // that is not sent yet
    std::string token_ids;  // likewise, without brackets
    std::string prompt_logprobs;
    std::string finish;  // ,"finish_reason":…
    bool begun = false;
    bool shown = false;  // a part of it was written
  };

  const CompletionPrompt& prompt_of(size_t index) const {
    return request_.prompts[index / static_cast<size_t>(request_.common.n)];
  }

  void on_event(size_t index, const Event& event) override {
    if (took_progress(index, event)) return;
    Choice& choice = choices_[index];
    note_event(index, event);
    if (!std::exchange(choice.begun, true)) begin_choice(choice, prompt_of(index), event);
    if (!request_.prompt_only) {
      const bool over = choice.answer.ended();
      if (!over) note_token(choice, event);
      if (!over) choice.experts.add(event.routed_experts);
      choice.text += choice.answer.push(event).content;
      if (!over && choice.answer.ended()) stop(index);
    }
    if (event.finish) finish(index, event);
    if (streaming() && (!choice.text.empty() || event.finish)) write_chunk(index);
  }

  void begin_choice(Choice& choice, const CompletionPrompt& prompt, const Event& event) {
    if (request_.show_prompt_logprobs && !event.prompt_logprobs.empty()) {
      choice.prompt_logprobs = prompt_logprobs_json(model().tokenizer(), event.prompt_logprobs);
    }
    if (!request_.echo) return;
    choice.text = prompt.text;
    if (!request_.with_logprobs()) return;
    for (size_t i = 0; i < event.prompt_logprobs.size() && i < prompt.ids.size(); ++i) {
      const PromptLogprobs& entry = event.prompt_logprobs[i];
      choice.logprobs.add(prompt.ids[i], entry.token, entry.top);
    }
  }

  void note_token(Choice& choice, const Event& event) {
    if (event.token_id < 0) return;
    if (request_.common.return_token_ids) {
      choice.token_ids += choice.token_ids.empty() ? "" : ",";
      append_json_number(choice.token_ids, event.token_id);
    }
    if (!request_.with_logprobs() || !event.logprob) return;
    // An end token too, although it is no text, as vLLM does: lm-evaluation-harness asks for one
    // token after a text and takes the last entry, whatever it is, off the text's own.
    choice.logprobs.add(event.token_id, event.logprob, event.top_logprobs);
  }

  void finish(size_t index, const Event& event) {
    Choice& choice = choices_[index];
    if (request_.prompt_only) {
      append_finish(choice.finish, "length", "null", "");
    } else {
      choice.text += choice.answer.finish(*event.finish).content;
      append_finish(choice.finish,
                    choice.answer.finish_reason(),
                    choice.answer.stop_reason(),
                    choice.answer.finish_detail());
    }
    usage_.completion_tokens += choice.answer.n_tokens();
    // A prompt counts once, however many choices it has.
    if (index % static_cast<size_t>(request_.common.n) != 0) return;
    usage_.prompt_tokens += event.usage.prompt_tokens;
    usage_.cached_tokens += event.usage.cached_tokens;
    queue_seconds_ = std::max(queue_seconds_, event.usage.queue_seconds);
  }

  // {"index":…,"text":…,"logprobs":…,"finish_reason":…}
  void append_choice(std::string& out, size_t index) {
    Choice& choice = choices_[index];
    out += R"({"index":)";
    append_json_number(out, static_cast<int64_t>(index));
    out += R"(,"text":)";
    append_json_string(out, std::exchange(choice.text, {}));
    out += R"(,"logprobs":)";
    const bool any = request_.with_logprobs() && !(streaming() && choice.logprobs.empty());
    out += any ? choice.logprobs.take() : "null";
    if (!choice.token_ids.empty()) {
      out += R"(,"token_ids":[)" + std::exchange(choice.token_ids, {}) + "]";
    }
    out += streaming() ? choice.experts.take_chunk() : choice.experts.take_whole();
    if (!std::exchange(choice.shown, true)) append_prompt(out, choice, prompt_of(index));
    if (choice.finish.empty()) {
      out += R"(,"finish_reason":null)";
    } else {
      out += choice.finish;
    }
    out += '}';
  }

  void append_prompt(std::string& out, const Choice& choice, const CompletionPrompt& prompt) const {
    if (!streaming() && !choice.prompt_logprobs.empty()) {
      out += R"(,"prompt_logprobs":)" + choice.prompt_logprobs;
    }
    if (!request_.common.return_token_ids) return;
    out += R"(,"prompt_token_ids":)";
    append_json_ids(out, prompt.ids);
  }

  void write_chunk(size_t index) {
    out_ += "data: ";
    out_ += head_;
    append_choice(out_, index);
    out_ += ']';
    if (request_.common.continuous_usage) out_ += R"(,"usage":)" + usage_json(usage_so_far());
    out_ += "}\n\n";
  }

  TokenUsage usage_so_far() const {
    TokenUsage usage;
    for (const CompletionPrompt& prompt : request_.prompts) {
      usage.prompt_tokens += static_cast<int64_t>(prompt.ids.size());
    }
    for (const Choice& choice : choices_) usage.completion_tokens += choice.answer.n_tokens();
    return usage;
  }

  int64_t gathered_bytes() const override {
    size_t n = 0;
    for (const Choice& choice : choices_) {
      n += choice.text.size() + choice.token_ids.size() + choice.prompt_logprobs.size() +
           choice.logprobs.n_bytes() + choice.experts.n_bytes();
    }
    return static_cast<int64_t>(n);
  }

  void complete() override {
    record(request_.prompt_only ? "length" : choices_.front().answer.finish_reason());
    if (streaming()) {
      std::string last;
      if (request_.common.include_usage) {
        last = "data: " + head_ + R"(],"usage":)" + usage_json(usage_) + "}\n\n";
      }
      end_stream(last);
      return;
    }
    std::string out = std::move(head_);
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(out, i);
    }
    exchange().send({.body = out + R"(],"usage":)" + usage_json(usage_) + "}"});
  }

  const CompletionRequest request_;
  std::vector<Choice> choices_;
};

}  // namespace

void completions(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::generate, "/v1/completions");
  CompletionRequest request = read_completion_request(fields, model, service.options());
  note_unread(fields, *exchange);
  std::vector<Request> requests = completion_requests(request, http, model, service.options());
  const bool traced = request.common.trace;
  const auto answer =
      std::make_shared<Completion>(service, model, http, exchange, std::move(request));
  if (traced) answer->trace("cmpl-" + http.id, http.client, requests.front());
  answer->start(std::move(requests), kRequestsAtOnce);
}

}  // namespace qwen3::server
