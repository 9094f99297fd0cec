#include "cli/chat/event_reader.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"
#include "eval/run/chat_reply.h"

namespace qwen3::cli {
namespace {

constexpr size_t kMaxLineBytes = size_t{16} << 20;

// The text at that key; empty without one.
std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const Json* member_at(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

int64_t count_at(const Json& object, const char* key) {
  const Json* value = member_at(object, key);
  const bool counts = value != nullptr && value->is_number_integer() && value->get<int64_t>() >= 0;
  return counts ? value->get<int64_t>() : 0;
}

}  // namespace

void EventReader::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    pending_ += bytes.substr(0, end);
    QWEN3_CHECK(pending_.size() <= kMaxLineBytes,
                ErrorKind::device,
                "the answer has a line of more than {} bytes",
                kMaxLineBytes);
    if (end == bytes.npos) return;
    line(trim(pending_, " \r"));
    pending_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void EventReader::line(std::string_view text) {
  constexpr std::string_view kData = "data:";
  if (!text.starts_with(kData)) return;  // comments, names of events, empty lines
  const std::string_view data = trim(text.substr(kData.size()), " ");
  if (data == "[DONE]" || data.empty()) return;
  Json json;
  try {
    json = parse_json(data, "an event of the answer");
  } catch (const Error& error) {
    fail(ErrorKind::device, "{}", error.what());
  }
  QWEN3_CHECK(
      member_at(json, "error") == nullptr, ErrorKind::device, "{}", eval::server_message(data));
  chunk(json);
}

void EventReader::chunk(const Json& json) {
  if (const Json* usage = member_at(json, "usage")) {
    usage_.prompt_tokens = count_at(*usage, "prompt_tokens");
    usage_.completion_tokens = count_at(*usage, "completion_tokens");
    if (const Json* details = member_at(*usage, "prompt_tokens_details")) {
      usage_.cached_tokens = count_at(*details, "cached_tokens");
    }
  }
  const Json* choices = member_at(json, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return;
  const Json& choice = choices->front();
  if (const Json* delta = member_at(choice, "delta"); delta != nullptr && delta->is_object()) {
    std::string reasoning = text_at(*delta, "reasoning_content");
    if (reasoning.empty()) reasoning = text_at(*delta, "reasoning");
    if (!reasoning.empty()) {
      reasons_apart_ = true;
      deliver(AnswerPiece::Kind::reasoning, std::move(reasoning));
    }
    const std::string content = text_at(*delta, "content");
    if (!content.empty()) {
      if (reasons_apart_) {
        deliver(AnswerPiece::Kind::content, content);
      } else {
        deliver(splitter_.push(content));
      }
    }
  }
  if (!choice.is_object()) return;
  const std::string why = text_at(choice, "finish_reason");
  if (!why.empty()) finish_ = why == "length" ? FinishReason::length : FinishReason::stop;
}

void EventReader::deliver(const ReasoningDelta& delta) {
  if (!delta.reasoning.empty()) deliver(AnswerPiece::Kind::reasoning, delta.reasoning);
  if (!delta.content.empty()) deliver(AnswerPiece::Kind::content, delta.content);
}

void EventReader::deliver(AnswerPiece::Kind kind, std::string text) {
  any_text_ = true;
  on_piece_({kind, utf8_lossy(text)});
}

void EventReader::flush() {
  if (flushed_) return;
  flushed_ = true;
  deliver(splitter_.finish());
}

void EventReader::finish() {
  if (!pending_.empty()) line(trim(std::exchange(pending_, {}), " \r"));
  flush();
  QWEN3_CHECK(finish_, ErrorKind::device, "the answer broke off");
}

}  // namespace qwen3::cli
