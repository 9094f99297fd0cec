#include "server/responses/writer.h"

#include <fmt/format.h>

#include <chrono>

#include "base/utf8.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

int64_t response_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void begin_response_event(std::string& out, std::string_view type, int64_t number) {
  fmt::format_to(std::back_inserter(out),
                 "event: {0}\ndata: {{\"type\":\"{0}\",\"sequence_number\":{1}",
                 type,
                 number);
}

void end_response_event(std::string& out) { out += "}\n\n"; }

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string(out, text);
}

std::string response_usage(const TokenUsage& usage) {
  return fmt::format(
      R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},)"
      R"("output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}})",
      usage.prompt_tokens,
      usage.cached_tokens,
      usage.completion_tokens,
      usage.reasoning_tokens,
      usage.prompt_tokens + usage.completion_tokens);
}

std::string response_error(const ApiError& error) {
  std::string out = R"({"code":)";
  append_json_string(out, error.code);
  append_member(out, "message", utf8_lossy(error.what()));
  return out + "}";
}

}  // namespace

ResponseWriter::ResponseWriter(ResponseSetup setup)
    : setup_(std::move(setup)),
      created_(response_time()),
      sequence_(std::make_shared<std::atomic<int64_t>>(0)) {}

StreamForm ResponseWriter::stream_form() {
  return {.last_event = [number = sequence_](std::string_view message, std::string_view code) {
    std::string out;
    begin_response_event(out, "error", number->fetch_add(1));
    append_member(out, "code", code);
    append_member(out, "message", message);
    out += R"(,"param":null)";
    end_response_event(out);
    return out;
  }};
}

void ResponseWriter::event(std::string& out, std::string_view type) {
  begin_response_event(out, type, sequence_->fetch_add(1));
}

void ResponseWriter::item_event(std::string& out, std::string_view type, const std::string& item) {
  event(out, type);
  out += fmt::format(R"(,"output_index":{},"item":)", output_.size()) + item;
  end_response_event(out);
}

// Up to what it says of the part.
void ResponseWriter::part_event(std::string& out, std::string_view type) {
  event(out, type);
  append_member(out, "item_id", item_id_);
  const bool of_summary = open_ == Open::reasoning && setup_.summary;
  out += fmt::format(R"(,"output_index":{},"{}":0)",
                     output_.size(),
                     of_summary ? "summary_index" : "content_index");
}

// {"type":…,"text":…}; the text of a part that has just begun is empty.
std::string ResponseWriter::part(bool whole) const {
  std::string out = R"({"type":)";
  if (open_ == Open::message) {
    out += R"("output_text","annotations":[],"logprobs":[)" + (whole ? logprobs_ : "") + "]";
  } else {
    out += setup_.summary ? R"("summary_text")" : R"("reasoning_text")";
  }
  append_member(out, "text", whole ? text_ : "");
  return out + "}";
}

std::string ResponseWriter::item(std::string_view status, bool whole) const {
  const std::string parts = whole ? "[" + part(true) + "]" : "[]";
  std::string out = R"({"id":)";
  append_json_string(out, item_id_);
  if (open_ == Open::message) {
    out += R"(,"type":"message","role":"assistant","content":)" + parts;
  } else {
    out += R"(,"type":"reasoning","summary":)" + (setup_.summary ? parts : "[]") +
           R"(,"content":)" + (setup_.summary ? "[]" : parts);
    if (whole && setup_.encrypted) append_member(out, "encrypted_content", seal_thought(text_));
  }
  append_member(out, "status", status);
  return out + "}";
}

void ResponseWriter::open(std::string& out, Open kind) {
  if (open_ == kind) return;
  close(out, "completed");
  open_ = kind;
  item_id_ = setup_.new_id(kind == Open::message ? "msg_" : "rs_");
  if (!setup_.stream) return;
  item_event(out, "response.output_item.added", item("in_progress", false));
  const bool of_summary = kind == Open::reasoning && setup_.summary;
  part_event(out,
             of_summary ? "response.reasoning_summary_part.added" : "response.content_part.added");
  out += R"(,"part":)" + part(false);
  end_response_event(out);
}

void ResponseWriter::close(std::string& out, std::string_view status) {
  if (open_ == Open::none) return;
  std::string done = item(status, true);
  if (setup_.stream) {
    const bool message = open_ == Open::message;
    part_event(out,
               message          ? "response.output_text.done"
               : setup_.summary ? "response.reasoning_summary_text.done"
                                : "response.reasoning_text.done");
    append_member(out, "text", text_);
    if (message) out += R"(,"logprobs":[)" + logprobs_ + "]";
    end_response_event(out);
    part_event(out,
               !message && setup_.summary ? "response.reasoning_summary_part.done"
                                          : "response.content_part.done");
    out += R"(,"part":)" + part(true);
    end_response_event(out);
    item_event(out, "response.output_item.done", done);
  }
  output_bytes_ += done.size();
  output_.emplace_back(std::exchange(item_id_, {}), std::move(done));
  open_ = Open::none;
  text_.clear();
  logprobs_.clear();
}

// The members before `output` are the same in every event but for the status.
std::string ResponseWriter::response(std::string_view status,
                                     std::string_view error,
                                     bool whole) const {
  std::string out = R"({"id":)";
  append_json_string(out, setup_.id);
  out += fmt::format(R"(,"object":"response","created_at":{},"status":"{}")", created_, status);
  const bool over = status == "completed" || status == "incomplete";
  out += over ? fmt::format(R"(,"completed_at":{})", response_time()) : R"(,"completed_at":null)";
  out += fmt::format(R"(,"error":{},"incomplete_details":{})",
                     error.empty() ? "null" : error,
                     status == "incomplete" ? R"({"reason":"max_output_tokens"})" : "null");
  out += setup_.echo;
  if (over && !end_.finish_detail.empty()) append_member(out, "finish_detail", end_.finish_detail);
  out += R"(,"output":[)";
  for (size_t i = 0; whole && i < output_.size(); ++i) {
    if (i > 0) out += ',';
    out += output_[i].second;
  }
  out += R"(],"usage":)" + (over ? response_usage(end_.usage) : "null");
  return out + "}";
}

void ResponseWriter::respond(std::string& out, std::string_view type, const std::string& response) {
  event(out, type);
  out += R"(,"response":)" + response;
  end_response_event(out);
}

void ResponseWriter::begin(std::string& out) {
  if (!setup_.stream) return;
  const std::string begun = response("in_progress", {}, false);
  respond(out, "response.created", begun);
  respond(out, "response.in_progress", begun);
}

void ResponseWriter::reasoning(std::string& out, const std::string& text) {
  open(out, Open::reasoning);
  text_ += text;
  if (!setup_.stream) return;
  part_event(
      out,
      setup_.summary ? "response.reasoning_summary_text.delta" : "response.reasoning_text.delta");
  append_member(out, "delta", text);
  end_response_event(out);
}

void ResponseWriter::content(std::string& out,
                             const std::string& text,
                             const std::string& logprobs) {
  open(out, Open::message);
  text_ += text;
  if (!logprobs.empty()) logprobs_ += (logprobs_.empty() ? "" : ",") + logprobs;
  if (!setup_.stream) return;
  part_event(out, "response.output_text.delta");
  append_member(out, "delta", text);
  out += R"(,"logprobs":[)" + logprobs + "]";
  end_response_event(out);
}

// Calls come whole: one delta has all of the arguments.
void ResponseWriter::call(std::string& out, const ToolCall& call) {
  close(out, "completed");
  const auto found = setup_.tools.find(call.name);
  const CalledTool tool =
      found == setup_.tools.end() ? CalledTool{.name = call.name} : found->second;
  const std::string text = tool.custom ? custom_input(call.arguments) : call.arguments;
  const char* const field = tool.custom ? "input" : "arguments";
  item_id_ = setup_.new_id(tool.custom ? "ctc_" : "fc_");
  std::string head = R"({"id":)";
  append_json_string(head, item_id_);
  append_member(head, "type", tool.custom ? "custom_tool_call" : "function_call");
  append_member(head, "call_id", setup_.new_id("call_"));
  append_member(head, "name", tool.name);
  if (!tool.name_space.empty()) append_member(head, "namespace", tool.name_space);
  std::string begun = head, done = head;
  append_member(begun, field, "");
  begun += R"(,"status":"in_progress"})";
  append_member(done, field, text);
  done += R"(,"status":"completed"})";
  if (setup_.stream) {
    item_event(out, "response.output_item.added", begun);
    const std::string stem =
        tool.custom ? "response.custom_tool_call_input" : "response.function_call_arguments";
    const auto call_event = [&](const char* which, const char* name) {
      event(out, stem + which);
      append_member(out, "item_id", item_id_);
      out += fmt::format(R"(,"output_index":{})", output_.size());
      append_member(out, name, text);
    };
    call_event(".delta", "delta");
    end_response_event(out);
    call_event(".done", field);
    if (!tool.custom) append_member(out, "name", tool.name);
    end_response_event(out);
    item_event(out, "response.output_item.done", done);
  }
  output_bytes_ += done.size();
  output_.emplace_back(std::exchange(item_id_, {}), std::move(done));
}

void ResponseWriter::finish(std::string& out, const AnswerEnd& end) {
  end_ = end;
  const std::string_view status = end.finish_reason == "length" ? "incomplete" : "completed";
  close(out, status);
  body_ = response(status, {}, true);
  if (setup_.stream) respond(out, fmt::format("response.{}", status), body_);
  if (setup_.keep) setup_.keep(body_, std::move(output_));
  if (setup_.stream) body_.clear();
}

void ResponseWriter::fail(std::string& out, const ApiError& error) {
  close(out, "incomplete");
  respond(out, "response.failed", response("failed", response_error(error), true));
}

HttpResponse ResponseWriter::whole() { return {.body = std::move(body_)}; }

HttpResponse ResponseWriter::refusal(const ApiError& error) { return error_response(error); }

int64_t ResponseWriter::kept_bytes() const { return setup_.items_bytes + std::ssize(setup_.echo); }

int64_t ResponseWriter::gathered_bytes() const {
  return static_cast<int64_t>(output_bytes_ + text_.size() + logprobs_.size() + body_.size());
}

}  // namespace qwen3::server
