// Messages in the OpenAI shape, and the prompt they make with a chat template.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/template.h"

namespace qwen3 {

struct Message {
  std::string role;
  std::optional<std::string> content;            // text parts joined by newlines; nothing for null
  std::optional<std::string> reasoning_content;  // also read from "reasoning"
  Json tool_calls = Json::array();
  std::string name;
  std::string tool_call_id;
  // What templates see: the keys as given and in their order, with MessageOptions applied.
  Json raw;
};

// How messages are fitted to templates that expect plain text. The defaults do what vLLM does; with
// everything off a template gets the objects exactly as the client sent them, as in transformers.
struct MessageOptions {
  bool join_text_parts = true;        // a list of text parts becomes one string
  bool null_content_as_empty = true;  // null or absent content becomes ""
  // Arguments given as a JSON string become the object they spell; absent ones become {}. What is
  // no object becomes, or stays, text.
  bool parse_tool_arguments = true;
};

// Checks and reads a `messages` array. Throws Error{invalid_argument} that begins with the place:
// "messages[2].content: expected ...".
std::vector<Message> parse_messages(const Json& messages, const MessageOptions& options = {});

// Calls of the history whose arguments are no JSON object, and so stayed text, get none ({}): for
// templates that walk the arguments. False when there are none.
bool drop_broken_arguments(std::vector<Message>& messages);

// Special tokens that templates may print. Absent ones are not defined in the template.
struct TemplateTokens {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> unk_token;
};

struct PromptOptions {
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // end the prompt inside the last message
  std::optional<bool> enable_thinking;  // absent: not defined in the template
  Json extra = Json::object();          // further template variables
  TemplateTokens special_tokens;
  TemplateLimits limits;
};

// Renders the prompt of a conversation. `tools` is an array or null. Throws Error{invalid_argument}
// for contradicting options, a template that drops the message to continue, and render errors.
std::vector<Segment> render_chat(const ChatTemplate& chat,
                                 const std::vector<Message>& messages,
                                 const Json& tools,
                                 const PromptOptions& options = {});

}  // namespace qwen3
