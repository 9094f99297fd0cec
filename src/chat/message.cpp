#include "chat/message.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"

namespace qwen3 {
namespace {

// Names the field that is wrong: messages[3].tool_calls[0].function.name.
class Reader {
 public:
  Reader(size_t index, const MessageOptions& options)
      : where_(fmt::format("messages[{}]", index)), options_(options) {}

  Message read(const Json& json) {
    check(json.is_object(), "", "an object", json);
    Message message;
    message.raw = json;
    message.role = required_text(json, "role");
    check(!message.role.empty(), ".role", "a role", json["role"]);
    message.name = optional_text(json, "name").value_or("");
    message.tool_call_id = optional_text(json, "tool_call_id").value_or("");
    message.reasoning_content = optional_text(json, "reasoning_content");
    if (!message.reasoning_content) {
      message.reasoning_content = optional_text(json, "reasoning");
      if (message.reasoning_content) message.raw["reasoning_content"] = *message.reasoning_content;
    }
    read_tool_calls(json, message);
    read_content(json, message);
    return message;
  }

 private:
  void check(bool ok, std::string_view field, std::string_view expected, const Json& got) const {
    QWEN3_CHECK(ok,
                ErrorKind::invalid_argument,
                "{}{}: expected {}, got {}",
                where_,
                field,
                expected,
                got.is_structured() ? got.type_name() : dump_json(got).substr(0, 64));
  }

  std::string required_text(const Json& json, const char* key) const {
    const auto at = json.find(key);
    QWEN3_CHECK(at != json.end(), ErrorKind::invalid_argument, "{}.{}: is missing", where_, key);
    check(at->is_string(), fmt::format(".{}", key), "a string", *at);
    return at->get<std::string>();
  }

  std::optional<std::string> optional_text(const Json& json, const char* key) const {
    const auto at = json.find(key);
    if (at == json.end() || at->is_null()) return std::nullopt;
    check(at->is_string(), fmt::format(".{}", key), "a string or null", *at);
    return at->get<std::string>();
  }

  void read_content(const Json& json, Message& message) const {
    const auto content = json.find("content");
    if (content == json.end() || content->is_null()) {
      QWEN3_CHECK(message.role == "assistant",
                  ErrorKind::invalid_argument,
                  "{}.content: is missing; only an assistant message may have none",
                  where_);
      if (options_.null_content_as_empty) message.raw["content"] = "";
      return;
    }
    if (content->is_string()) {
      message.content = content->get<std::string>();
      return;
    }
    check(content->is_array(), ".content", "a string, a list of text parts or null", *content);
    std::string text;
    for (size_t i = 0; i < content->size(); ++i) {
      if (i > 0) text += '\n';
      text += part_text((*content)[i], i);
    }
    if (options_.join_text_parts) message.raw["content"] = text;
    message.content = std::move(text);
  }

  std::string part_text(const Json& part, size_t i) const {
    const std::string field = fmt::format(".content[{}]", i);
    check(part.is_object(), field, "an object", part);
    const auto type = part.find("type");
    QWEN3_CHECK(type != part.end() && *type == "text",
                ErrorKind::invalid_argument,
                "{}{}.type: only \"text\" parts are supported; this model reads text only",
                where_,
                field);
    const auto text = part.find("text");
    QWEN3_CHECK(text != part.end() && text->is_string(),
                ErrorKind::invalid_argument,
                "{}{}.text: expected a string",
                where_,
                field);
    return text->get<std::string>();
  }

  void read_tool_calls(const Json& json, Message& message) const {
    const auto calls = json.find("tool_calls");
    if (calls == json.end() || calls->is_null()) return;
    check(calls->is_array(), ".tool_calls", "a list", *calls);
    for (size_t i = 0; i < calls->size(); ++i) {
      Json& call = message.raw["tool_calls"][i];
      const std::string field = fmt::format(".tool_calls[{}]", i);
      check(call.is_object(), field, "an object", call);
      Json& function = call.contains("function") ? call["function"] : call;
      check(function.is_object(), field + ".function", "an object", function);
      const auto name = function.find("name");
      QWEN3_CHECK(name != function.end() && name->is_string(),
                  ErrorKind::invalid_argument,
                  "{}{}.function.name: expected a string",
                  where_,
                  field);
      fit_arguments(function, field);
    }
    message.tool_calls = message.raw["tool_calls"];
  }

  void fit_arguments(Json& function, const std::string& field) const {
    if (options_.parse_tool_arguments && !function.contains("arguments")) {
      function["arguments"] = Json::object();
    }
    const auto arguments = function.find("arguments");
    if (arguments == function.end()) return;
    if (!options_.parse_tool_arguments || arguments->is_object()) return;
    if (!arguments->is_string() && !arguments->is_null()) *arguments = dump_json(*arguments);
    const std::string text = arguments->is_null() ? "" : arguments->get<std::string>();
    if (text.empty()) {
      *arguments = Json::object();
      return;
    }
    try {
      Json parsed = parse_json(text, where_ + field + ".function.arguments");
      if (parsed.is_object()) *arguments = std::move(parsed);
    } catch (const Error&) {
      // What the model once wrote need not be JSON; it is history, and is shown as it was.
      return;
    }
  }

  std::string where_;
  const MessageOptions& options_;
};

constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";

// Puts the tag after the text of the last message; returns that text.
std::string tag_last_message(Json& messages) {
  QWEN3_CHECK(!messages.empty(),
              ErrorKind::invalid_argument,
              "continue_final_message: there is no message to continue");
  Json& content = messages.back()["content"];
  Json* text = &content;
  if (content.is_array()) {
    text = nullptr;
    for (Json& part : content) {
      if (part.is_object() && part.contains("text")) text = &part["text"];
    }
  }
  QWEN3_CHECK(text != nullptr && text->is_string(),
              ErrorKind::invalid_argument,
              "continue_final_message: the last message has no text to continue");
  auto before = text->get<std::string>();
  *text = before + std::string(kContinueTag);
  return before;
}

std::string_view strip_space(std::string_view text, bool left, bool right) {
  while (right && !text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    size_t next = at;
    if (!python_is_space(utf8_decode(text, next))) break;
    text.remove_suffix(text.size() - at);
  }
  while (left && !text.empty()) {
    size_t next = 0;
    if (!python_is_space(utf8_decode(text, next))) break;
    text.remove_prefix(next);
  }
  return text;
}

void truncate(std::vector<Segment>& segments, size_t size) {
  size_t total = 0;
  for (auto at = segments.begin(); at != segments.end(); ++at) {
    if (total + at->text.size() >= size) {
      at->text.resize(size - total);
      segments.erase(at->text.empty() ? at : at + 1, segments.end());
      return;
    }
    total += at->text.size();
  }
}

// Ends the prompt where the tag stands. A template that trims messages has eaten the tag's space;
// then the white space in front of the tag goes as well, as it would have without the tag.
void cut_at_tag(std::vector<Segment>& segments, const std::string& last_text) {
  const std::string text = join_segments(segments);
  const std::string_view tag = kContinueTag.substr(0, kContinueTag.size() - 1);
  const size_t at = text.rfind(tag);
  const bool kept = at != text.npos && text.find(strip_space(last_text, true, true)) != text.npos;
  QWEN3_CHECK(kept,
              ErrorKind::invalid_argument,
              "continue_final_message: the chat template drops the last message, so it cannot be "
              "continued");
  const bool spaced = text.compare(at, kContinueTag.size(), kContinueTag) == 0;
  truncate(segments,
           spaced ? at : strip_space(std::string_view(text).substr(0, at), false, true).size());
}

}  // namespace

std::vector<Message> parse_messages(const Json& messages, const MessageOptions& options) {
  QWEN3_CHECK(messages.is_array(), ErrorKind::invalid_argument, "messages: expected a list");
  QWEN3_CHECK(!messages.empty(),
              ErrorKind::invalid_argument,
              "messages: is empty; at least one message is needed");
  std::vector<Message> parsed;
  for (size_t i = 0; i < messages.size(); ++i)
    parsed.push_back(Reader(i, options).read(messages[i]));
  return parsed;
}

bool drop_broken_arguments(std::vector<Message>& messages) {
  bool any = false;
  for (Message& message : messages) {
    if (message.tool_calls.empty()) continue;
    for (Json& call : message.raw["tool_calls"]) {
      Json& function = call.contains("function") ? call["function"] : call;
      const auto arguments = function.find("arguments");
      if (arguments == function.end() || !arguments->is_string()) continue;
      *arguments = Json::object();
      any = true;
    }
  }
  return any;
}

std::vector<Segment> render_chat(const ChatTemplate& chat,
                                 const std::vector<Message>& messages,
                                 const Json& tools,
                                 const PromptOptions& options) {
  QWEN3_CHECK(!(options.continue_final_message && options.add_generation_prompt),
              ErrorKind::invalid_argument,
              "continue_final_message and add_generation_prompt exclude each other");
  QWEN3_CHECK(tools.is_null() || tools.is_array(),
              ErrorKind::invalid_argument,
              "tools: expected a list or null");
  Json context = Json::object();
  const auto& tokens = options.special_tokens;
  for (const auto& [name, token] : {std::pair{"bos_token", &tokens.bos_token},
                                    {"eos_token", &tokens.eos_token},
                                    {"pad_token", &tokens.pad_token},
                                    {"unk_token", &tokens.unk_token}}) {
    if (*token) context[name] = **token;
  }
  for (const auto& [name, value] : options.extra.items()) context[name] = value;
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(message.raw);
  const std::string last = options.continue_final_message ? tag_last_message(list) : "";
  context["messages"] = std::move(list);
  context["tools"] = tools;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = options.add_generation_prompt;
  if (options.enable_thinking) context["enable_thinking"] = *options.enable_thinking;
  auto segments = chat.render_segments(context, options.limits);
  if (options.continue_final_message) cut_at_tag(segments, last);
  return segments;
}

}  // namespace qwen3
