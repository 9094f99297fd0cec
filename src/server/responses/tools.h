// The tools of a Responses request as those of a chat request, and the way back from a call's name.
//
//   function   {"type":"function","name":"f",…}                     f
//   namespace  {"type":"namespace","name":"n","tools":[f, …]}       n__f, answered as f of n
//   custom     {"type":"custom","name":"patch","format":{…}}        patch, with one text parameter
//
// The text of a custom tool is its `input`; a grammar that it asks for is shown to the model, and
// not enforced. Tools that a service of OpenAI would run (web_search, mcp …) are skipped.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/json.h"
#include "server/api/skipped.h"

namespace qwen3::server {

struct CalledTool {
  bool custom = false;
  std::string name = {};
  std::string name_space = {};  // "": none
};

struct ResponseTools {
  Json chat = Json::array();                               // for the chat request
  std::map<std::string, CalledTool, std::less<>> by_name;  // by the name that the model sees

  // Adds a list of tools. `path` names it in errors.
  void add(const Json& tools, const std::string& path, Skipped& skipped);

  // What the model calls this tool; "" when it is not among them.
  std::string model_name(const CalledTool& tool) const;
};

// How the model sees a tool of a namespace.
std::string joined_tool_name(const std::string& name_space, const std::string& name);

// Arguments of a custom tool's call, and back. Arguments that are not of that form are the input.
std::string custom_arguments(const std::string& input);
std::string custom_input(const std::string& arguments);

// The chat request's tool_choice; null: leave it out. May take tools away: those that are not
// allowed. Throws ApiError{400}.
Json response_tool_choice(const Json& choice, ResponseTools& tools, Skipped& skipped);

}  // namespace qwen3::server
