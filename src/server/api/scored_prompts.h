// ScoredPrompts: an answer made of scores, one of each prompt: what is read from the probabilities behind its last token.
// Nothing is generated. What rerank, score and decisions are.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time_slice.h"
#include "server/api/answer_json.h"
#include "server/api/generation.h"
#include "server/api/generation_fields.h"

namespace qwen3::server {

// Of all prompts of a request: each has again what they share.
inline constexpr int64_t kMaxScoredTokens = 1 << 22;

template <typename Score>
class ScoredPrompts {
 public:
  // Of the log-probabilities of the ids, in their order.
  using Read = std::function<Score(std::span<const double> logprobs)>;
  // The answer's body; scores in the order of add().
  using Shape =
      std::function<std::string(const std::vector<Score>& scores, const TokenUsage& usage)>;

  // `field` has the prompts, which all have `shared` ("query") in them: for refusals.
  ScoredPrompts(Service& service,
                const ServedModel& model,
                const HttpRequest& http,
                ExchangePtr exchange,
                std::string_view field,
                std::string_view shared)
      : service_(service),
        model_(model),
        http_(http),
        exchange_(std::move(exchange)),
        field_(field),
        shared_(shared) {}

  // `path`: of what the prompt is made of. Refuses a prompt beyond the context, and too many of them.
  void add(std::vector<int32_t> prompt,
           std::string_view path,
           std::vector<int32_t> score_ids,
           Read read) {
    Request one = make_request({}, std::move(prompt), http_, service_.options());
    one.score_ids = std::move(score_ids);
    fit_max_tokens(1, 1, std::ssize(one.prompt_ids), model_, {}, path);
    n_tokens_ += std::ssize(one.prompt_ids);
    if (n_tokens_ > kMaxScoredTokens) {
      refuse(field_,
             fmt::format("with their {} they have more than {} tokens; send fewer at a time",
                         shared_,
                         kMaxScoredTokens));
    }
    kept_ += Generation::kept_bytes(one);
    hold(*exchange_, kept_);
    TimeSlice::check();
    reads_.push_back(std::move(read));
    requests_.push_back(std::move(one));
  }

  // The last act of the handler.
  void start(Shape shape, size_t window) {
    std::make_shared<Answer>(
        service_, model_, http_, std::move(exchange_), std::move(reads_), std::move(shape))
        ->start(std::move(requests_), window);
  }

 private:
  class Answer final : public Generation {
   public:
    Answer(Service& service,
           const ServedModel& model,
           const HttpRequest& http,
           ExchangePtr exchange,
           std::vector<Read> reads,
           Shape shape)
        : Generation(service, model, http, std::move(exchange)),
          reads_(std::move(reads)),
          scores_(reads_.size()),
          shape_(std::move(shape)) {}

   private:
    void on_event(size_t index, const Event& event) override {
      if (!event.finish) return;
      if (!event.scores.empty()) scores_[index] = reads_[index](event.scores);
      usage_.prompt_tokens += event.usage.prompt_tokens;
      usage_.cached_tokens += event.usage.cached_tokens;
    }
    void complete() override {
      service().metrics().answered({.finish_reason = "stop",
                                    .prompt_tokens = usage_.prompt_tokens,
                                    .total_seconds = seconds_since_received()});
      note_usage(exchange(), usage_, "stop");
      exchange().send({.body = shape_(scores_, usage_)});
    }
    void failed(const ApiError& error) override { exchange().send(error_response(error)); }

    const std::vector<Read> reads_;
    std::vector<Score> scores_;
    const Shape shape_;
    TokenUsage usage_;
  };

  Service& service_;
  const ServedModel& model_;
  const HttpRequest& http_;
  ExchangePtr exchange_;
  const std::string_view field_, shared_;
  std::vector<Read> reads_;
  std::vector<Request> requests_;
  int64_t n_tokens_ = 0, kept_ = 0;
};

}  // namespace qwen3::server
