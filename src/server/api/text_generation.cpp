#include "server/api/text_generation.h"

#include <utility>

namespace qwen3::server {

TextGeneration::TextGeneration(Service& service,
                               const ServedModel& model,
                               const HttpRequest& http,
                               std::shared_ptr<Exchange> exchange,
                               std::string head,
                               Mode mode)
    : Generation(service, model, http, std::move(exchange)), head_(std::move(head)), mode_(mode) {}

void TextGeneration::trace(const std::string& id, const Client& client, Request& first) {
  recording_ = service().traces().begin(id, client);
  first.tap = recording_->recorder().get();  // lives until note_event sees the finishing event
  for (const int32_t token : first.prompt_ids) recording_->add(token);
}

bool TextGeneration::took_progress(size_t index, const Event& event) {
  if (!event.progress) return false;
  if (index == 0) {
    progress_.append(out_, head_, *event.progress, std::chrono::steady_clock::now());
  }
  return true;
}

void TextGeneration::note_event(size_t index, const Event& event) {
  if (first_token_ == 0) first_token_ = seconds_since_received();
  if (index > 0 || recording_ == nullptr) return;
  if (event.token_id >= 0) recording_->add(event.token_id);
  if (!event.finish) return;
  recording_->keep(event.usage);
  recording_.reset();
}

void TextGeneration::record(std::string_view finish_reason) {
  service().metrics().answered({.finish_reason = finish_reason,
                                .prompt_tokens = usage_.prompt_tokens,
                                .completion_tokens = usage_.completion_tokens,
                                .queue_seconds = queue_seconds_,
                                .first_token_seconds = first_token_,
                                .total_seconds = seconds_since_received()});
  note_usage(exchange(), usage_, finish_reason);
}

void TextGeneration::end_stream(const std::string& last) {
  exchange().write(last + stream_end(nullptr));
  exchange().end();
}

void TextGeneration::begun() {
  if (streaming()) exchange().start_stream();
}

void TextGeneration::settle() {
  if (!out_.empty()) exchange().write(std::exchange(out_, {}));
}

void TextGeneration::failed(const ApiError& error) {
  if (!streaming() || !begun_stream()) return exchange().send(error_response(error));
  exchange().write(std::exchange(out_, {}) + stream_end(&error));
  exchange().end();
}

}  // namespace qwen3::server
