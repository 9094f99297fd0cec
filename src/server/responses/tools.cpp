#include "server/responses/tools.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/error.h"
#include "server/api/chat_request.h"
#include "server/api/fields.h"

namespace qwen3::server {
namespace {

constexpr size_t kMostTools = 4096;  // of any kind; those of the chat request are fewer
constexpr size_t kMaxToolText = size_t{1} << 20;
constexpr const char* kCustomInput = "input";

std::string read_tool_name(Fields& fields) {
  const auto name = fields.text("name", kMaxToolText);
  if (!name || !is_tool_name(*name)) {
    refuse(fields.path("name"), "expected 1 to 128 letters, digits, or any of _-.:/@");
  }
  return *name;
}

// The grammar of a custom tool is all that the model learns of the form of its input.
std::string custom_description(Fields& fields) {
  std::string text = fields.text("description", kMaxToolText).value_or("");
  const Json* format = fields.object("format");
  if (format == nullptr || text_at(*format, "type") != "grammar") return text;
  const std::string syntax = text_at(*format, "syntax");
  return fmt::format("{}{}The input follows this {} grammar:\n{}",
                     text,
                     text.empty() ? "" : "\n\n",
                     syntax.empty() ? "formal" : syntax,
                     text_at(*format, "definition"));
}

Json function_tool(Fields& fields, const std::string& name) {
  Json function = {{"name", name}};
  if (const auto text = fields.text("description", kMaxToolText)) function["description"] = *text;
  if (const Json* parameters = fields.object("parameters")) function["parameters"] = *parameters;
  if (const auto strict = fields.boolean("strict")) function["strict"] = *strict;
  return {{"type", "function"}, {"function", std::move(function)}};
}

Json custom_tool(Fields& fields, const std::string& name) {
  const Json input = {{"type", "string"}, {"description", "the whole input of the tool, as text"}};
  return {{"type", "function"},
          {"function",
           {{"name", name},
            {"description", custom_description(fields)},
            {"parameters",
             {{"type", "object"},
              {"properties", {{kCustomInput, input}}},
              {"required", {kCustomInput}},
              {"additionalProperties", false}}}}}};
}

class ToolReader {
 public:
  ToolReader(ResponseTools& tools, Skipped& skipped) : tools_(tools), skipped_(skipped) {}

  void read(const Json& list, const std::string& path, const std::string& name_space) {
    if (!list.is_array()) refuse(path, fmt::format("expected a list, got {}", describe(list)));
    if (list.size() > kMostTools) {
      refuse(path, fmt::format("expected at most {} tools, got {}", kMostTools, list.size()));
    }
    for (size_t i = 0; i < list.size(); ++i) {
      read_one(list[i], fmt::format("{}[{}]", path, i), name_space);
    }
  }

 private:
  void read_one(const Json& tool, const std::string& path, const std::string& name_space) {
    Fields fields(tool, path);
    const std::string type = fields.text("type", kMaxToolText).value_or("function");
    if (type == "namespace" && name_space.empty()) {
      const std::string name = read_tool_name(fields);
      const Json* inner = fields.value("tools");
      if (inner != nullptr) read(*inner, fields.path("tools"), name);
    } else if (type == "function" || type == "custom") {
      add(fields, {type == "custom", read_tool_name(fields), name_space});
    } else {
      skipped_.add("tool", type);
    }
  }

  // The first of a name counts; a client that gives one twice would have no way to tell them apart.
  void add(Fields& fields, CalledTool tool) {
    const std::string name = joined_tool_name(tool.name_space, tool.name);
    if (!is_tool_name(name)) refuse(fields.path("name"), "is too long with its namespace");
    Json made = tool.custom ? custom_tool(fields, name) : function_tool(fields, name);
    if (!tools_.by_name.emplace(name, std::move(tool)).second) {
      return skipped_.add("repeated_tool", name);
    }
    tools_.chat.push_back(std::move(made));
  }

  ResponseTools& tools_;
  Skipped& skipped_;
};

CalledTool tool_of_choice(const Json& choice) {
  return {.custom = text_at(choice, "type") == "custom",
          .name = text_at(choice, "name"),
          .name_space = text_at(choice, "namespace")};
}

std::string chosen_name(const Json& choice, const std::string& path, const ResponseTools& tools) {
  const CalledTool tool = tool_of_choice(choice);
  const std::string name = tools.model_name(tool);
  if (name.empty()) {
    refuse(path + ".name",
           fmt::format("expected a name from tools, got \"{}\"", quote_for_message(tool.name, 60)));
  }
  return name;
}

// Tools of others than function and custom are not among ours, so they are not allowed either.
Json allowed_tools(const Json& choice, ResponseTools& tools, Skipped& skipped) {
  Fields fields(choice, "tool_choice");
  const Json* list = fields.array("tools", kMostTools);
  if (list == nullptr) refuse("tool_choice.tools", "is missing");
  std::set<std::string, std::less<>> names;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("tool_choice.tools[{}]", i);
    Fields one((*list)[i], path);
    const std::string type = one.text("type", kMaxToolText).value_or("function");
    if (type == "function" || type == "custom") {
      names.insert(chosen_name((*list)[i], path, tools));
    } else {
      skipped.add("allowed_tool", type);
    }
  }
  Json kept = Json::array();
  for (Json& tool : tools.chat) {
    if (names.contains(tool["function"]["name"].get<std::string>())) {
      kept.push_back(std::move(tool));
    }
  }
  tools.chat = std::move(kept);
  const std::string mode = fields.text("mode", 64).value_or("auto");
  if (mode != "auto" && mode != "required") {
    refuse("tool_choice.mode",
           fmt::format("expected \"auto\" or \"required\", got \"{}\"", quote_for_message(mode)));
  }
  return mode;
}

}  // namespace

void ResponseTools::add(const Json& tools, const std::string& path, Skipped& skipped) {
  ToolReader(*this, skipped).read(tools, path, {});
}

std::string ResponseTools::model_name(const CalledTool& tool) const {
  const std::string name = joined_tool_name(tool.name_space, tool.name);
  const auto found = by_name.find(name);
  return found == by_name.end() || found->second.custom != tool.custom ? std::string() : name;
}

std::string joined_tool_name(const std::string& name_space, const std::string& name) {
  return name_space.empty() ? name : name_space + "__" + name;
}

std::string custom_arguments(const std::string& input) {
  Json arguments = Json::object();
  arguments[kCustomInput] = input;
  return dump_json(arguments);
}

std::string custom_input(const std::string& arguments) {
  try {
    const Json parsed = parse_json(arguments, "arguments");
    const auto found = parsed.is_object() ? parsed.find(kCustomInput) : parsed.end();
    if (found != parsed.end() && found->is_string()) return found->get<std::string>();
  } catch (const Error&) {
    return arguments;
  }
  return arguments;
}

Json response_tool_choice(const Json& choice, ResponseTools& tools, Skipped& skipped) {
  const std::string type = choice.is_object() ? text_at(choice, "type") : std::string();
  if (type == "function" || type == "custom") {
    return {{"type", "function"},
            {"function", {{"name", chosen_name(choice, "tool_choice", tools)}}}};
  }
  if (choice.is_object() && type != "allowed_tools") {
    skipped.add("tool_choice", type);
    return nullptr;
  }
  const Json mode = choice.is_object() ? allowed_tools(choice, tools, skipped) : choice;
  if (mode != "auto" && mode != "none" && mode != "required") {
    refuse(
        "tool_choice",
        fmt::format("expected \"auto\", \"none\", \"required\" or a tool, got {}", describe(mode)));
  }
  if (!tools.chat.empty()) return mode;
  if (mode == "required") refuse("tool_choice", "only allowed together with tools");
  return nullptr;
}

}  // namespace qwen3::server
