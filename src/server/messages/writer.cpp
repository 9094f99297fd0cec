#include "server/messages/writer.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/sha256.h"
#include "server/api/json_writer.h"
#include "server/messages/errors.h"

namespace qwen3::server {
namespace {

constexpr std::chrono::seconds kPingInterval{5};

void begin_message_event(std::string& out, std::string_view type) {
  fmt::format_to(std::back_inserter(out), "event: {0}\ndata: {{\"type\":\"{0}\"", type);
}

void end_message_event(std::string& out) { out += "}\n\n"; }

// Clients drop a thought that has none. It is never checked: a thought that comes back is text.
std::string signature_of(std::string_view thought) { return sha256_hex(thought); }

std::string thinking_block(std::string_view thought, std::string_view shown) {
  std::string out = R"({"type":"thinking","thinking":)";
  append_json_string(out, shown);
  out += R"(,"signature":)";
  append_json_string(out, signature_of(thought));
  return out + "}";
}

std::string text_block(std::string_view text) {
  std::string out = R"({"type":"text","text":)";
  append_json_string(out, text);
  return out + "}";
}

// What the cache gave is not among the input tokens.
std::string message_usage(const TokenUsage& usage) {
  return fmt::format(R"({{"input_tokens":{},"cache_creation_input_tokens":0,)"
                     R"("cache_read_input_tokens":{},"output_tokens":{}}})",
                     usage.prompt_tokens - usage.cached_tokens,
                     usage.cached_tokens,
                     usage.completion_tokens);
}

std::string_view stop_reason_of(const AnswerEnd& end) {
  if (end.finish_reason == "tool_calls") return "tool_use";
  if (end.finish_reason == "length") {
    const bool full = end.context_is_full && end.finish_detail.empty();
    return full ? "model_context_window_exceeded" : "max_tokens";
  }
  return end.stop_reason.starts_with('"') ? "stop_sequence" : "end_turn";
}

// "stop_reason":…,"stop_sequence":…
std::string stop_members(const AnswerEnd& end) {
  const std::string_view reason = stop_reason_of(end);
  return fmt::format(R"("stop_reason":"{}","stop_sequence":{})",
                     reason,
                     reason == "stop_sequence" ? std::string_view(end.stop_reason) : "null");
}

// {"id":…,…,"content":[ BLOCKS ]
std::string message_head(const MessageSetup& setup, std::string_view blocks) {
  std::string out = R"({"id":)";
  append_json_string(out, setup.id);
  out += R"(,"type":"message","role":"assistant","model":)";
  append_json_string(out, setup.model);
  out += R"(,"content":[)";
  out += blocks;
  return out + "]";
}

}  // namespace

StreamForm MessageWriter::stream_form() {
  return {.headers = {{"request-id", setup_.request_id}},
          .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
          .ping_interval = kPingInterval,
          .last_event = [id = setup_.request_id](std::string_view message, std::string_view) {
            return messages_error_event(503, message, id);
          }};
}

void MessageWriter::begin(std::string& out) {
  if (!setup_.stream) return;
  begin_message_event(out, "message_start");
  out += R"(,"message":)" + message_head(setup_, {}) +
         R"(,"stop_reason":null,"stop_sequence":null,"usage":)" +
         message_usage({.prompt_tokens = setup_.prompt_tokens}) + "}";
  end_message_event(out);
  begin_message_event(out, "ping");
  end_message_event(out);
}

void MessageWriter::start_block(std::string& out, std::string_view block) {
  if (!setup_.stream) return;
  begin_message_event(out, "content_block_start");
  out += fmt::format(R"(,"index":{},"content_block":{})", n_blocks_, block);
  end_message_event(out);
}

void MessageWriter::delta(std::string& out,
                          std::string_view type,
                          std::string_view field,
                          std::string_view text) {
  if (!setup_.stream) return;
  begin_message_event(out, "content_block_delta");
  out += fmt::format(R"(,"index":{},"delta":{{"type":"{}","{}":)", n_blocks_, type, field);
  append_json_string(out, text);
  out += '}';
  end_message_event(out);
}

void MessageWriter::stop_block(std::string& out) {
  if (setup_.stream) {
    begin_message_event(out, "content_block_stop");
    out += fmt::format(R"(,"index":{})", n_blocks_);
    end_message_event(out);
  }
  ++n_blocks_;
}

void MessageWriter::add_block(std::string block) {
  if (setup_.stream) return;
  if (!blocks_.empty()) blocks_ += ',';
  blocks_ += block;
}

void MessageWriter::open(std::string& out, Open kind) {
  if (open_ == kind) return;
  close(out);
  open_ = kind;
  start_block(out,
              kind == Open::text ? R"({"type":"text","text":""})"
                                 : R"({"type":"thinking","thinking":"","signature":""})");
}

void MessageWriter::close(std::string& out) {
  if (open_ == Open::none) return;
  if (open_ == Open::thinking) {
    delta(out, "signature_delta", "signature", signature_of(text_));
    add_block(thinking_block(text_, setup_.omit_thinking ? "" : text_));
  } else {
    add_block(text_block(text_));
  }
  stop_block(out);
  open_ = Open::none;
  text_.clear();
}

void MessageWriter::reasoning(std::string& out, const std::string& text) {
  open(out, Open::thinking);
  text_ += text;
  if (!setup_.omit_thinking) delta(out, "thinking_delta", "thinking", text);
}

void MessageWriter::content(std::string& out, const std::string& text, const std::string&) {
  open(out, Open::text);
  text_ += text;
  delta(out, "text_delta", "text", text);
}

// Calls come whole: one delta has all of the arguments.
void MessageWriter::call(std::string& out, const ToolCall& call) {
  close(out);
  std::string head = R"({"type":"tool_use","id":)";
  append_json_string(head, setup_.new_id("toolu_"));
  head += R"(,"name":)";
  append_json_string(head, call.name);
  head += R"(,"input":)";
  start_block(out, head + "{}}");
  delta(out, "input_json_delta", "partial_json", call.arguments);
  add_block(head + call.arguments + "}");
  stop_block(out);
}

void MessageWriter::finish(std::string& out, const AnswerEnd& end) {
  close(out);
  if (setup_.stream) {
    begin_message_event(out, "message_delta");
    out += R"(,"delta":{)" + stop_members(end) + R"(},"usage":)" + message_usage(end.usage);
    end_message_event(out);
    begin_message_event(out, "message_stop");
    end_message_event(out);
  } else {
    body_ = message_head(setup_, std::exchange(blocks_, {})) + "," + stop_members(end) +
            R"(,"usage":)" + message_usage(end.usage) + "}";
  }
}

void MessageWriter::fail(std::string& out, const ApiError& error) {
  out += messages_error_event(error.status, error.what(), setup_.request_id);
}

HttpResponse MessageWriter::whole() {
  return {.headers = {{"request-id", setup_.request_id}}, .body = std::move(body_)};
}

HttpResponse MessageWriter::refusal(const ApiError& error) {
  return messages_error(error, setup_.request_id);
}

int64_t MessageWriter::gathered_bytes() const {
  return static_cast<int64_t>(text_.size() + blocks_.size() + body_.size());
}

}  // namespace qwen3::server
