#include "server/api/chat_output.h"

#include "server/api/answer_json.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

// "reasoning_content":…, — under every name that was asked for.
void append_reasoning(std::string& out, std::string_view text, ReasoningField field) {
  const auto append = [&](std::string_view name) {
    append_json_string(out, name);
    out += ':';
    if (text.empty()) {
      out += "null";
    } else {
      append_json_string(out, text);
    }
  };
  switch (field) {
    case ReasoningField::reasoning_content:
      return append("reasoning_content");
    case ReasoningField::reasoning:
      return append("reasoning");
    case ReasoningField::both:
      append("reasoning_content");
      out += ',';
      return append("reasoning");
    case ReasoningField::none:
      return;
  }
}

// "id":…,"type":"function","function":{"name":…,"arguments":…}
void append_call(std::string& out, const NamedCall& call) {
  out += R"("id":)";
  append_json_string(out, call.id);
  out += R"(,"type":"function","function":{"name":)";
  append_json_string(out, call.call.name);
  out += R"(,"arguments":)";
  append_json_string(out, call.call.arguments);
  out += '}';
}

void append_logprobs(std::string& out, std::string_view entries, bool wanted) {
  if (!wanted) {
    out += R"(,"logprobs":null)";
    return;
  }
  out += R"(,"logprobs":{"content":[)";
  out += entries;
  out += R"(],"refusal":null})";
}

void append_extras(std::string& out, const ChoiceExtras& extras) {
  out += extras.experts;
  if (extras.token_ids.empty()) return;
  out += R"(,"token_ids":)";
  out += extras.token_ids;
}

}  // namespace

void append_choice(std::string& out, const ChatChoice& choice, ReasoningField field) {
  out += R"({"index":)";
  append_json_number(out, choice.index);
  out += R"(,"message":{"role":"assistant","content":)";
  if (choice.content.empty() && !choice.calls.empty()) {
    out += "null";
  } else {
    append_json_string(out, choice.content);
  }
  out += R"(,"refusal":null)";
  if (field != ReasoningField::none) {
    out += ',';
    append_reasoning(out, choice.reasoning, field);
  }
  if (!choice.calls.empty()) {
    out += R"(,"tool_calls":[)";
    for (size_t i = 0; i < choice.calls.size(); ++i) {
      out += i > 0 ? ",{" : "{";
      append_call(out, choice.calls[i]);
      out += '}';
    }
    out += ']';
  }
  out += '}';
  append_logprobs(out, choice.extras.logprobs, choice.with_logprobs);
  append_extras(out, choice.extras);
  append_finish(out, choice.end.finish_reason, choice.end.stop_reason, choice.end.finish_detail);
  out += '}';
}

ChatChunks::ChatChunks(std::string_view head, ReasoningField field)
    : prefix_("data: " + std::string(head)), field_(field) {}

void ChatChunks::open(std::string& out, int64_t choice) const {
  out += prefix_;
  out += R"({"index":)";
  append_json_number(out, choice);
  out += R"(,"delta":{)";
}

// After the delta.
void ChatChunks::close(std::string& out,
                       const ChoiceExtras& extras,
                       std::string_view prompt_ids) const {
  out += '}';
  append_logprobs(out, extras.logprobs, !extras.logprobs.empty());
  append_extras(out, extras);
  out += R"(,"finish_reason":null})";
  end_event(out, prompt_ids);
}

void ChatChunks::end_event(std::string& out, std::string_view prompt_ids) const {
  out += ']';
  if (!prompt_ids.empty()) {
    out += R"(,"prompt_token_ids":)";
    out += prompt_ids;
  }
  if (!usage_.empty()) {
    out += R"(,"usage":)";
    out += usage_;
  }
  out += "}\n\n";
}

void ChatChunks::role(std::string& out, int64_t choice, std::string_view prompt_ids) const {
  open(out, choice);
  out += R"("role":"assistant","content":"")";
  close(out, {}, prompt_ids);
}

void ChatChunks::reasoning(std::string& out,
                           int64_t choice,
                           std::string_view text,
                           const ChoiceExtras& extras) const {
  open(out, choice);
  append_reasoning(out, text, field_);
  close(out, extras);
}

void ChatChunks::content(std::string& out,
                         int64_t choice,
                         std::string_view text,
                         const ChoiceExtras& extras) const {
  open(out, choice);
  out += R"("content":)";
  append_json_string(out, text);
  close(out, extras);
}

void ChatChunks::call(std::string& out,
                      int64_t choice,
                      int64_t index,
                      const NamedCall& call,
                      const ChoiceExtras& extras) const {
  open(out, choice);
  out += R"("tool_calls":[{"index":)";
  append_json_number(out, index);
  out += ',';
  append_call(out, call);
  out += "}]";
  close(out, extras);
}

void ChatChunks::finish(std::string& out,
                        int64_t choice,
                        const ChoiceEnd& end,
                        const ChoiceExtras& extras) const {
  open(out, choice);
  out += '}';
  append_logprobs(out, extras.logprobs, !extras.logprobs.empty());
  append_extras(out, extras);
  append_finish(out, end.finish_reason, end.stop_reason, end.finish_detail);
  out += '}';
  end_event(out);
}

void ChatChunks::usage_only(std::string& out, std::string_view usage) const {
  out += prefix_;
  out += R"(],"usage":)";
  out += usage;
  out += "}\n\n";
}

}  // namespace qwen3::server
