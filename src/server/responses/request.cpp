#include "server/responses/request.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/text.h"
#include "base/utf8.h"
#include "server/api/fields.h"
#include "server/api/single_answer.h"
#include "server/responses/items.h"

namespace qwen3::server {
namespace {

constexpr char kSealVersion = 1;
constexpr size_t kMaxIdBytes = 256;
constexpr int64_t kMostOutputTokens = int64_t{1} << 30;

// Repeated in the response object, and without effect otherwise.
constexpr std::array<const char*, 4> kEchoed = {
    "user", "prompt_cache_key", "safety_identifier", "prompt_cache_retention"};

void refuse_what_is_elsewhere(Fields& fields) {
  if (fields.boolean("background").value_or(false)) {
    refuse_unsupported("background", "answers are made while the client waits");
  }
  for (const char* name : {"conversation", "prompt"}) {
    if (fields.used(name)) refuse_unsupported(name, "is kept by OpenAI's service; send the items");
  }
  const auto n = fields.integer("n", 1, INT32_MAX);
  if (n && *n > 1) refuse_unsupported("n", "a response is one answer; use /v1/chat/completions");
  const Json* management = fields.value("context_management");
  if (management == nullptr || !management->is_array()) return;
  for (const Json& one : *management) {
    if (one.is_object() && text_at(one, "type") == "compaction") {
      refuse_unsupported("context_management", "compaction is not done here");
    }
  }
}

// Absent for efforts that set no limit.
std::optional<int64_t> budget_of(std::string_view effort) {
  if (effort == "minimal" || effort == "low") return 1024;
  if (effort == "medium") return 8192;
  return std::nullopt;
}

// Those of `given` that `echo` has; it may have any number of others.
void echo_members(Json& echo, const Json& given) {
  for (const auto& [name, value] : echo.items()) {
    const auto found = given.find(name);
    if (found != given.end()) value = *found;
  }
}

class RequestReader {
 public:
  RequestReader(const Json& body, const ResponseContext& context)
      : fields_(body), context_(context), turns_(context.abilities.late_system) {}

  ResponsesRequest read() {
    refuse_what_is_elsewhere(fields_);
    fields_.value("model");  // the handler's
    out_.stream = fields_.boolean("stream").value_or(false);
    out_.store = fields_.boolean("store").value_or(true) && context_.conversation != nullptr;
    take_chat_fields(out_.chat,
                     fields_,
                     {"stop", "include_stop_str_in_output", "thinking_budget", "reasoning_budget"});
    read_conversation();
    read_tools();
    read_reasoning_options();
    read_text_options();
    read_lengths();
    read_include();
    echo_rest();
    out_.chat["messages"] = turns_.take();
    out_.unread = fields_.unread();
    return std::move(out_);
  }

 private:
  void read_conversation() {
    if (const auto text = fields_.text("instructions", SIZE_MAX); text && !text->empty()) {
      turns_.system(*text);
    }
    ItemReader reader(context_, turns_, out_);
    const auto previous = fields_.text("previous_response_id", kMaxIdBytes);
    out_.echo["previous_response_id"] = previous ? Json(*previous) : Json(nullptr);
    if (previous) reader.read(conversation_of(*previous), "previous_response_id");
    const Json* input = fields_.value("input");
    if (input == nullptr && !previous) refuse("input", "is missing");
    if (input != nullptr) reader.read(*input, "input");
    // Clients ask whether anybody is there by an empty input.
    if (turns_.empty()) turns_.user("");
  }

  Json conversation_of(const std::string& id) {
    std::optional<Json> items;
    if (context_.conversation) items = context_.conversation(id);
    if (items) return std::move(*items);
    ApiError error(400,
                   "previous_response_not_found",
                   context_.conversation
                       ? fmt::format("previous_response_id: no response \"{}\" is kept here; send "
                                     "the whole conversation as input",
                                     quote_for_message(id, 60))
                       : "previous_response_id: this server keeps no responses (--responses); send "
                         "the whole conversation as input");
    error.param = "previous_response_id";
    throw error;
  }

  void read_tools() {
    const Json* tools = fields_.value("tools");
    if (tools != nullptr) out_.tools.add(*tools, "tools", out_.skipped);
    out_.echo["tools"] = tools != nullptr ? *tools : Json::array();
    const Json* choice = fields_.value("tool_choice");
    out_.echo["tool_choice"] = choice != nullptr ? *choice : Json("auto");
    const bool parallel = fields_.boolean("parallel_tool_calls").value_or(true);
    out_.echo["parallel_tool_calls"] = parallel;
    out_.chat["parallel_tool_calls"] = parallel;
    Json chosen = nullptr;
    if (choice != nullptr) chosen = response_tool_choice(*choice, out_.tools, out_.skipped);
    if (!out_.tools.chat.empty()) out_.chat["tools"] = std::move(out_.tools.chat);
    if (!chosen.is_null()) out_.chat["tool_choice"] = std::move(chosen);
  }

  void read_reasoning_options() {
    const Json* options = fields_.object("reasoning");
    Json echo = {{"effort", nullptr}, {"summary", nullptr}};
    if (options != nullptr) {
      echo_members(echo, *options);
      Fields inner(*options, "reasoning");
      if (const auto effort = inner.text("effort", 64)) read_effort(*effort);
      const auto summary = inner.text("summary", 64);
      out_.summary = summary && *summary != "none";
    }
    out_.echo["reasoning"] = std::move(echo);
  }

  void read_effort(const std::string& effort) {
    out_.chat["reasoning_effort"] = effort;
    const auto budget = budget_of(effort);
    const bool given = out_.chat.contains("thinking_token_budget") ||
                       out_.chat.contains("thinking_budget") ||
                       out_.chat.contains("reasoning_budget");
    if (budget && !given && context_.abilities.closes_thoughts) {
      out_.chat["thinking_token_budget"] = *budget;
    }
  }

  void read_text_options() {
    const Json* options = fields_.object("text");
    Json echo = {{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
    if (options != nullptr) {
      echo_members(echo, *options);
      Fields inner(*options, "text");
      if (const Json* format = inner.object("format")) read_format(*format);
    }
    out_.echo["text"] = std::move(echo);
  }

  // The members of a json_schema lie one level deeper in a chat request.
  void read_format(const Json& format) {
    Fields fields(format, "text.format");
    const std::string type = fields.text("type", 64).value_or("text");
    if (type == "text") return;
    if (type != "json_object" && type != "json_schema") {
      refuse("text.format.type",
             fmt::format("expected \"text\", \"json_object\" or \"json_schema\", got \"{}\"",
                         quote_for_message(type)));
    }
    Json wanted = {{"type", type}};
    if (type == "json_schema") {
      Json inner = Json::object();
      for (const char* name : {"name", "description", "schema", "strict"}) {
        if (const Json* value = fields.value(name)) inner[name] = *value;
      }
      if (!inner.contains("schema")) refuse("text.format.schema", "is missing");
      wanted["json_schema"] = std::move(inner);
    }
    out_.chat["response_format"] = std::move(wanted);
  }

  void read_lengths() {
    const auto most = fields_.integer("max_output_tokens", 1, kMostOutputTokens);
    if (most) out_.chat["max_completion_tokens"] = *most;
    out_.echo["max_output_tokens"] = most ? Json(*most) : Json(nullptr);
    const std::string truncation = fields_.text("truncation", 64).value_or("disabled");
    if (truncation != "auto" && truncation != "disabled") {
      refuse("truncation",
             fmt::format("expected \"auto\" or \"disabled\", got \"{}\"",
                         quote_for_message(truncation)));
    }
    out_.echo["truncation"] = "disabled";  // prompts are never cut
  }

  void read_include() {
    bool logprobs = false;
    if (const Json* include = fields_.array("include", 64)) {
      for (const Json& one : *include) {
        const std::string name = one.is_string() ? one.get<std::string>() : std::string();
        if (name == "reasoning.encrypted_content") {
          out_.encrypted = true;
        } else if (name == "message.output_text.logprobs") {
          logprobs = true;
        } else {
          out_.skipped.add("include", name);
        }
      }
    }
    const Json* top = fields_.value("top_logprobs");
    if (logprobs) out_.chat["logprobs"] = true;
    if (logprobs && top != nullptr) out_.chat["top_logprobs"] = *top;
    out_.echo["top_logprobs"] = top != nullptr ? *top : Json(0);
  }

  void echo_rest() {
    const Json* instructions = fields_.value("instructions");
    out_.echo["instructions"] = instructions != nullptr ? *instructions : Json(nullptr);
    const Json* metadata = fields_.object("metadata");
    out_.echo["metadata"] = metadata != nullptr ? *metadata : Json::object();
    for (const char* name : kEchoed) {
      if (const Json* value = fields_.value(name)) out_.echo[name] = *value;
    }
    for (const char* name : {"service_tier", "stream_options", "context_management"}) {
      fields_.value(name);
    }
    out_.echo["service_tier"] = "default";
    out_.echo["background"] = false;
    out_.echo["store"] = out_.store;
  }

  Fields fields_;
  const ResponseContext& context_;
  Turns turns_;
  ResponsesRequest out_;
};

}  // namespace

ResponsesRequest read_responses_request(const Json& body, const ResponseContext& context) {
  return RequestReader(body, context).read();
}

std::string seal_thought(const std::string& text) {
  std::vector<uint8_t> bytes = {kSealVersion};
  bytes.insert(bytes.end(), text.begin(), text.end());
  return base64(bytes);
}

std::optional<std::string> open_thought(const std::string& sealed) {
  const std::optional<std::string> bytes = from_base64(sealed);
  if (!bytes || bytes->empty() || bytes->front() != kSealVersion) return std::nullopt;
  std::string text = bytes->substr(1);
  if (!utf8_valid(text)) return std::nullopt;
  return text;
}

}  // namespace qwen3::server
