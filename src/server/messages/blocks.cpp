#include "server/messages/blocks.h"

#include <fmt/format.h>

#include "server/api/fields.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxMessages = 8192;

// A coding agent puts a line of this kind before its prompt that differs in every request, and so
// would keep the prefix cache from finding any of them again.
constexpr std::string_view kBillingLine = "x-anthropic-billing-header:";

std::string without_billing_line(const std::string& text) {
  if (!text.starts_with(kBillingLine)) return text;
  const size_t end = text.find('\n');
  const size_t rest = end == text.npos ? end : text.find_first_not_of('\n', end);
  return rest == text.npos ? std::string() : text.substr(rest);
}

std::string block_text(const Json& block, const Place& place, const char* key) {
  const auto found = block.find(key);
  if (found == block.end() || !found->is_string()) {
    refuse(place.text() + "." + key,
           found == block.end() ? "is missing"
                                : fmt::format("expected a string, got {}", describe(*found)));
  }
  return found->get<std::string>();
}

void append_block(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

[[noreturn]] void refuse_medium(const Place& place, const std::string& type) {
  refuse_unsupported(place.text(), fmt::format("\"{}\": this model reads text only", type));
}

// Plain text, or text blocks, with a title.
std::string document_text(const Json& block, const Place& place, Skipped& skipped) {
  const auto source = block.find("source");
  if (source == block.end() || !source->is_object()) {
    refuse(place.text() + ".source", "expected an object");
  }
  const std::string type = text_at(*source, "type");
  if (type != "text" && type != "content") refuse_medium(place, "document:" + type);
  std::string text = text_at(block, "title");
  const char* key = type == "text" ? "data" : "content";
  const auto content = source->find(key);
  if (content == source->end() || !content->is_array()) {
    append_block(text, block_text(*source, place, key));
    return text;
  }
  for (const Json& inner : *content) {
    const std::string kind = inner.is_object() ? text_at(inner, "type") : std::string();
    if (kind == "text") {
      append_block(text, text_at(inner, "text"));
    } else {
      skipped.add("document_block", kind);
    }
  }
  return text;
}

std::string block_as_text(const Json& block, const Place& place, Skipped& skipped) {
  if (!block.is_object()) {
    refuse(place.text(), fmt::format("expected a block, got {}", describe(block)));
  }
  const std::string type = text_at(block, "type");
  if (type == "text") return block_text(block, place, "text");
  if (type == "document") return document_text(block, place, skipped);
  if (type == "image") refuse_medium(place, type);
  skipped.add("block", type);
  return {};
}

// Text, or a list of blocks of it; null is none.
std::string text_blocks(const Json& content, const std::string& path, Skipped& skipped) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return {};
  if (!content.is_array()) {
    refuse(path, fmt::format("expected text or a list of blocks, got {}", describe(content)));
  }
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    append_block(text, block_as_text(content[i], {path, i}, skipped));
  }
  return text;
}

bool is_tool_result(const Json& block) {
  return block.is_object() && text_at(block, "type") == "tool_result";
}

class BlockReader {
 public:
  BlockReader(Turns& turns, Skipped& skipped) : turns_(turns), skipped_(skipped) {}

  void read_message(const Json& message, const std::string& path) {
    Fields fields(message, path);
    const std::string role = fields.text("role", 64).value_or("");
    const Json* content = fields.value("content");
    const std::string where = fields.path("content");
    if (content == nullptr) refuse(where, "is missing");
    if (role == "assistant") {
      read_assistant(*content, where);
    } else if (role == "user") {
      read_user(*content, where);
    } else if (role == "system") {
      turns_.system(without_billing_line(text_blocks(*content, where, skipped_)));
    } else {
      refuse(fields.path("role"),
             fmt::format("expected user, assistant or system, got \"{}\"",
                         quote_for_message(role, 60)));
    }
  }

 private:
  void read_assistant(const Json& content, const std::string& path) {
    if (!content.is_array()) return turns_.assistant(text_blocks(content, path, skipped_));
    for (size_t i = 0; i < content.size(); ++i) {
      const Json& block = content[i];
      const Place where{path, i};
      const std::string type = block.is_object() ? text_at(block, "type") : std::string();
      if (type == "thinking") {
        const std::string thought = text_at(block, "thinking");
        if (!thought.empty()) turns_.reasoning(thought);
      } else if (type == "tool_use") {
        const auto input = block.find("input");
        turns_.call(block_text(block, where, "id"),
                    block_text(block, where, "name"),
                    input == block.end() || input->is_null() ? "{}" : dump_json(*input));
      } else if (type == "text") {
        turns_.assistant(block_text(block, where, "text"));
      } else if (type == "image") {
        refuse_medium(where, type);
      } else {
        skipped_.add("block", type);  // redacted_thinking, calls of Anthropic's own tools
      }
    }
  }

  void read_user(const Json& content, const std::string& path) {
    if (!content.is_array()) return turns_.user(text_blocks(content, path, skipped_));
    size_t n_results = 0;
    for (size_t i = 0; i < content.size(); ++i) {
      if (!is_tool_result(content[i])) continue;
      read_result(content[i], {path, i});
      ++n_results;
    }
    std::string text;
    for (size_t i = 0; i < content.size(); ++i) {
      if (is_tool_result(content[i])) continue;
      append_block(text, block_as_text(content[i], {path, i}, skipped_));
    }
    if (n_results == 0 || !text.empty()) turns_.user(text);
  }

  void read_result(const Json& block, const Place& place) {
    const std::string id = block_text(block, place, "tool_use_id");
    const auto content = block.find("content");
    std::string text = content == block.end()
                           ? std::string()
                           : text_blocks(*content, place.text() + ".content", skipped_);
    const auto failed = block.find("is_error");
    if (failed != block.end() && *failed == true) text = "Error: " + text;
    turns_.tool_result(id, text);
  }

  Turns& turns_;
  Skipped& skipped_;
};

}  // namespace

void read_system(const Json& system, Turns& turns, Skipped& skipped) {
  if (!system.is_array()) {
    const std::string text = without_billing_line(text_blocks(system, "system", skipped));
    if (!text.empty()) turns.system(text);
    return;
  }
  const std::string name = "system";
  for (size_t i = 0; i < system.size(); ++i) {
    const std::string text = without_billing_line(block_as_text(system[i], {name, i}, skipped));
    if (!text.empty()) turns.system(text);
  }
}

void read_blocks(const Json& messages, Turns& turns, Skipped& skipped) {
  if (!messages.is_array()) {
    refuse("messages", fmt::format("expected a list, got {}", describe(messages)));
  }
  if (messages.empty() || messages.size() > kMaxMessages) {
    refuse("messages",
           fmt::format("expected 1 to {} messages, got {}", kMaxMessages, messages.size()));
  }
  BlockReader reader(turns, skipped);
  for (size_t i = 0; i < messages.size(); ++i) {
    reader.read_message(messages[i], fmt::format("messages[{}]", i));
  }
}

}  // namespace qwen3::server
