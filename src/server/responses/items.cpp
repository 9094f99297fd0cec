#include "server/responses/items.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "server/api/fields.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxItems = 8192;

constexpr std::array<std::string_view, 5> kTextParts = {
    "text", "input_text", "output_text", "reasoning_text", "summary_text"};

// Parts that are not text, and that the answer would have to know.
constexpr std::array<std::string_view, 6> kOtherMedia = {
    "input_image", "input_file", "input_audio", "image_url", "image", "computer_screenshot"};

bool is_among(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string item_text(const Json& item, const std::string& path, const char* key) {
  const auto found = item.find(key);
  if (found == item.end() || found->is_null()) refuse(path + "." + key, "is missing");
  if (!found->is_string()) {
    refuse(path + "." + key, fmt::format("expected a string, got {}", describe(*found)));
  }
  return found->get<std::string>();
}

}  // namespace

void ItemReader::read(const Json& input, const std::string& path) {
  if (input.is_string()) {
    const auto text = input.get<std::string>();
    if (text.empty()) return;
    turns_.user(text);
    return keep({{"type", "message"},
                 {"role", "user"},
                 {"content", Json::array({{{"type", "input_text"}, {"text", text}}})}},
                "msg_");
  }
  if (!input.is_array()) {
    refuse(path, fmt::format("expected text or a list of items, got {}", describe(input)));
  }
  if (input.size() > kMaxItems) {
    refuse(path, fmt::format("expected at most {} items, got {}", kMaxItems, input.size()));
  }
  for (size_t i = 0; i < input.size(); ++i) read_item(input[i], fmt::format("{}[{}]", path, i));
}

void ItemReader::read_item(const Json& item, const std::string& path) {
  if (!item.is_object()) refuse(path, fmt::format("expected an item, got {}", describe(item)));
  const std::string type = text_at(item, "type");
  if (type == "message" || (type.empty() && item.contains("role"))) {
    read_message(item, path);
  } else if (type == "reasoning") {
    read_reasoning(item, path);
  } else if (type == "function_call" || type == "custom_tool_call") {
    read_call(item, path, type == "custom_tool_call");
  } else if (type == "function_call_output" || type == "custom_tool_call_output") {
    read_output(item, path);
  } else if (type == "additional_tools") {
    const auto tools = item.find("tools");
    if (tools != item.end() && !tools->is_null()) {
      request_.tools.add(*tools, path + ".tools", request_.skipped);
    }
    keep(item, "tools_");
  } else if (type == "item_reference" ||
             (type.empty() && item.size() == 1 && item.contains("id"))) {
    read_reference(item, path);
  } else {
    request_.skipped.add("item", type);
  }
}

void ItemReader::read_message(const Json& item, const std::string& path) {
  const std::string role = item_text(item, path, "role");
  const auto content = item.find("content");
  if (content != item.end() && !content->is_string() && !content->is_array() &&
      !content->is_null()) {
    refuse(path + ".content", fmt::format("expected a text or parts, got {}", describe(*content)));
  }
  const std::string text =
      content == item.end() ? std::string() : text_of(*content, path + ".content");
  if (role == "assistant") {
    turns_.assistant(text);
  } else if (role == "user") {
    turns_.user(text);
  } else if (role == "system" || role == "developer") {
    turns_.system(text);
  } else {
    refuse(path + ".role",
           fmt::format("expected user, assistant, system or developer, got \"{}\"",
                       quote_for_message(role, 60)));
  }
  keep(item, "msg_");
}

// The sealed thought is the whole one; the others may be shortened.
void ItemReader::read_reasoning(const Json& item, const std::string& path) {
  std::string text = open_thought(text_at(item, "encrypted_content")).value_or("");
  for (const char* key : {"content", "summary"}) {
    const auto parts = item.find(key);
    if (text.empty() && parts != item.end()) text = text_of(*parts, path + "." + key);
  }
  if (!text.empty()) turns_.reasoning(text);
  keep(item, "rs_");
}

void ItemReader::read_call(const Json& item, const std::string& path, bool custom) {
  const std::string name =
      joined_tool_name(text_at(item, "namespace"), item_text(item, path, "name"));
  const std::string arguments =
      custom ? custom_arguments(item_text(item, path, "input")) : text_at(item, "arguments");
  turns_.call(item_text(item, path, "call_id"), name, arguments);
  keep(item, custom ? "ctc_" : "fc_");
}

void ItemReader::read_output(const Json& item, const std::string& path) {
  const std::string call_id = item_text(item, path, "call_id");
  const auto output = item.find("output");
  if (output == item.end()) refuse(path + ".output", "is missing");
  turns_.tool_result(call_id, text_of(*output, path + ".output"));
  keep(item, "fco_");
}

void ItemReader::read_reference(const Json& item, const std::string& path) {
  const std::string id = item_text(item, path, "id");
  if (!context_.item) {
    refuse_unsupported(
        path, "item_reference: this server keeps no responses (--responses); send the item");
  }
  const std::optional<Json> found = inside_reference_ ? std::nullopt : context_.item(id);
  if (!found) {
    refuse(path + ".id", fmt::format("no item \"{}\" is kept here", quote_for_message(id, 60)));
  }
  // Each once: a long item may be kept, and named thousands of times.
  if (!referenced_.insert(id).second) refuse(path + ".id", "this item is here already");
  inside_reference_ = true;
  read_item(*found, path);
  inside_reference_ = false;
}

// Text, or parts of it; null is none, and what is neither is shown as the JSON that it is.
std::string ItemReader::text_of(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return {};
  if (!content.is_array()) return dump_json(content);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    append_part(text, content[i], {path, i});
  }
  return text;
}

void ItemReader::append_part(std::string& text, const Json& part, const Place& place) {
  if (!part.is_object()) {
    refuse(place.text(), fmt::format("expected a part, got {}", describe(part)));
  }
  const std::string type = text_at(part, "type");
  if (is_among(kOtherMedia, type)) {
    refuse_unsupported(place.text(), fmt::format("\"{}\": this model reads text only", type));
  }
  const bool refusal = type == "refusal";
  if (!refusal && !is_among(kTextParts, type)) return request_.skipped.add("part", type);
  if (!text.empty()) text += '\n';
  const char* key = refusal ? "refusal" : "text";
  const auto found = part.find(key);
  if (found == part.end() || !found->is_string()) {
    refuse(place.text() + "." + key, "expected a string");
  }
  text += found->get_ref<const std::string&>();
}

void ItemReader::keep(const Json& item, std::string_view id_prefix) {
  if (!request_.store) return;
  request_.items.push_back(item);
  if (text_at(item, "id").empty()) request_.items.back()["id"] = context_.new_id(id_prefix);
}

}  // namespace qwen3::server
