#include "server/api/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "chat/steering.h"
#include "chat/text.h"
#include "server/api/template_variables.h"
#include "server/api/tool_choice.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxNameBytes = 128;

// Templates know these roles only; "function" is the old name of "tool".
constexpr std::array<std::string_view, 5> kRoles = {
    "system", "developer", "user", "assistant", "tool"};

void fit_roles(std::vector<Message>& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    Message& message = messages[i];
    if (std::ranges::find(kRoles, message.role) == kRoles.end()) {
      refuse(fmt::format("messages[{}].role", i),
             fmt::format("expected {}, got \"{}\"",
                         fmt::join(kRoles, ", "),
                         quote_for_message(message.role, 60)));
    }
    if (message.role == "developer") message.raw["role"] = message.role = "system";
  }
}

std::string tool_name(const Json& tool, const std::string& path) {
  Fields fields(tool, path);
  const auto type = fields.text("type", 64);
  if (type && *type != "function") {
    refuse(fields.path("type"), "only tools of type \"function\" are supported");
  }
  const Json* function = fields.object("function");
  if (function == nullptr) refuse(fields.path("function"), "is missing");
  Fields inner(*function, fields.path("function"));
  const auto name = inner.text("name", kMaxNameBytes);
  if (!name || !is_tool_name(*name)) {
    refuse(inner.path("name"),
           fmt::format("expected 1 to {} letters, digits, or any of _-.:/@", kMaxNameBytes));
  }
  inner.text("description", 1 << 20);
  inner.object("parameters");
  inner.boolean("strict");
  return *name;
}

Json read_tools(Fields& fields, const ApiLimits& limits) {
  if (fields.used("functions") || fields.used("function_call")) {
    refuse_unsupported(fields.used("functions") ? "functions" : "function_call",
                       "this old form is not supported; use tools and tool_choice");
  }
  const Json* tools = fields.array("tools", static_cast<size_t>(limits.max_tools));
  if (tools == nullptr || tools->empty()) return nullptr;
  size_t n_bytes = 0;
  for (size_t i = 0; i < tools->size(); ++i) {
    tool_name((*tools)[i], fmt::format("tools[{}]", i));
    n_bytes += dump_json((*tools)[i]).size();
  }
  if (n_bytes > static_cast<size_t>(limits.max_tool_bytes)) {
    refuse(
        "tools",
        fmt::format("expected at most {} bytes in total, got {}", limits.max_tool_bytes, n_bytes));
  }
  return *tools;
}

// {"type":"function","function":{"name":"f"}}
std::string named_choice(const Json& choice, const std::vector<std::string>& names) {
  Fields fields(choice, "tool_choice");
  const Json* function = fields.object("function");
  if (function == nullptr) refuse("tool_choice.function", "is missing");
  Fields inner(*function, "tool_choice.function");
  const auto name = inner.text("name", kMaxNameBytes);
  if (!name || std::ranges::find(names, *name) == names.end()) {
    refuse("tool_choice.function.name",
           fmt::format("expected a name from tools, got \"{}\"",
                       quote_for_message(name.value_or(""), 60)));
  }
  return *name;
}

void read_tool_choice(Fields& fields, ChatRequest& out) {
  using Choice = ChatRequest::ToolChoice;
  out.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
  const bool any = out.chat.tools.is_array();
  out.tool_choice = any ? Choice::automatic : Choice::none;
  const Json* choice = fields.value("tool_choice");
  if (choice == nullptr) return;
  if (*choice == "auto") return;
  if (*choice == "none") {
    out.tool_choice = Choice::none;
    out.chat.tools = nullptr;  // a model that sees no tools calls none
    return;
  }
  if (!any) refuse("tool_choice", "only allowed together with tools");
  if (choice->is_object()) {
    out.forced_tool = named_choice(*choice, declared_functions(out.chat.tools));
  } else if (*choice != "required") {
    refuse("tool_choice",
           fmt::format("expected \"auto\", \"none\", \"required\" or a function, got {}",
                       describe(*choice)));
  }
  out.tool_choice = Choice::required;
}

void read_template_fields(Fields& fields, ChatPromptFields& chat) {
  PromptOptions& prompt = chat.prompt;
  if (fields.used("chat_template")) {
    refuse_unsupported("chat_template", "templates of clients are not run");
  }
  prompt.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  const auto add = fields.boolean("add_generation_prompt");
  if (prompt.continue_final_message && add.value_or(false)) {
    refuse("add_generation_prompt", "not together with continue_final_message");
  }
  prompt.add_generation_prompt = add.value_or(true) && !prompt.continue_final_message;
  prompt.enable_thinking = fields.boolean("enable_thinking");
  chat.effort = fields.text("reasoning_effort", 64).value_or("");
  const Json* kwargs = fields.object("chat_template_kwargs");
  if (kwargs != nullptr) prompt.extra = read_template_variables(*kwargs);
}

// Templates call one switch by two names; a request may use either. It is passed under the name
// that the template reads, chat_template_kwargs before the fields.
void fit_switch(const ChatTemplate& source, const ChatPromptFields& chat, PromptOptions& prompt) {
  Json& extra = prompt.extra;
  for (const auto& [given, read] : {std::pair{kSwitch, kOtherSwitch}, {kOtherSwitch, kSwitch}}) {
    const auto at = extra.find(std::string(given));
    if (at == extra.end() || source.reads(given) || !source.reads(read)) continue;
    const Json value = *at;
    extra.erase(std::string(given));
    if (!extra.contains(std::string(read))) extra[std::string(read)] = value;
  }
  const bool asked = prompt.enable_thinking.has_value();
  if (!asked && chat.effort == "none") prompt.enable_thinking = false;
  if (!chat.effort.empty() && source.reads("reasoning_effort") &&
      !extra.contains("reasoning_effort")) {
    extra["reasoning_effort"] = chat.effort;
  }
  if (!prompt.enable_thinking) return;
  const std::string_view name = source.reads(kSwitch) ? kSwitch : kOtherSwitch;
  if (!source.reads(name)) {
    if (asked) refuse_variable(source, std::string(kSwitch), kSwitch);
  } else if (!extra.contains(std::string(name))) {
    extra[std::string(name)] = *prompt.enable_thinking;
  }
  prompt.enable_thinking.reset();
}

// A variable that a template does not read would change nothing, silently. The budget is also the
// steering's.
void fit_variables(const ChatTemplate& source, PromptOptions& prompt) {
  std::vector<std::string> unread;
  for (const auto& [name, value] : prompt.extra.items()) {
    if (!source.reads(name)) unread.push_back(name);
  }
  for (const std::string& name : unread) {
    if (name != "thinking_budget") {
      refuse_variable(source, "chat_template_kwargs." + quote_for_message(name, 60), name);
    }
    prompt.extra.erase(name);
  }
}

// Whether to think, as the request says it, in the order of fit_switch(); empty when it says nothing.
std::optional<bool> asked_thinking(const ChatPromptFields& chat) {
  if (const auto said = thinking_switch(chat.prompt.extra)) return said;
  if (chat.prompt.enable_thinking) return chat.prompt.enable_thinking;
  return chat.effort == "none" ? std::optional(false) : std::nullopt;
}

// A preset that is named asks for its mode, beneath what the request says of thinking itself; the server's preset
// beneath the server's variables too.
void follow_preset(const AskedPreset& asked, const ServedModel& model, ChatPromptFields& chat) {
  if (asked.preset == nullptr || !asked.by_name || asked_thinking(chat)) return;
  if (!asked.of_request && thinking_switch(model.template_defaults)) return;
  chat.prompt.enable_thinking = asked.preset->enable_thinking;
}

// The server's own variables lie below the request's.
void add_defaults(const ChatTemplate& source, const Json& defaults, PromptOptions& prompt) {
  for (const auto& [name, value] : defaults.items()) {
    if (source.reads(name) && !prompt.extra.contains(name)) prompt.extra[name] = value;
  }
}

void read_logprobs(Fields& fields, SamplingParams& sampling, const ApiLimits& limits) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, limits.max_logprobs);
  if (top && *top > 0 && !wanted) refuse("top_logprobs", "only allowed when logprobs is true");
  if (wanted) sampling.n_logprobs = static_cast<int>(top.value_or(0));
}

void read_max_tokens(Fields& fields, GenerationFields& out) {
  constexpr int64_t kMost = int64_t{1} << 30;
  std::string_view name;
  // The new name goes first; clients that send both mean it.
  for (const std::string_view one : {"max_completion_tokens", "max_tokens", "n_predict"}) {
    if (fields.has(one) && name.empty()) name = one;
  }
  if (name.empty()) return;
  const int64_t tokens = *fields.integer(name, -1, kMost);
  if (tokens == 0) refuse(fields.path(name), "expected at least 1, or -1 for no limit");
  out.fill_context = tokens < 0;
  if (!out.fill_context) out.max_tokens = tokens;
}

// Errors of a render begin with the template's file, which is not a client's business. Called while
// `error` is handled; passes on those in which the template or the library speaks to the client.
[[noreturn]] void refuse_render(const ChatTemplate& chat, const Error& error) {
  const std::string file = chat.where() + ": ";
  const std::string_view message = error.what();
  if (!message.starts_with(file)) throw;
  refuse("messages",
         fmt::format("this model's chat template cannot render them: {}",
                     message.substr(file.size())));
}

// Of the last message, the text that the prompt ends with.
std::string continued_text(const ChatPromptFields& chat) {
  return chat.messages.empty() ? std::string() : chat.messages.back().content.value_or("");
}

SteeringPlan plan_answer(std::vector<std::string>& relaxed,
                         const ChatRequest& request,
                         PromptState state,
                         const ServedModel& model,
                         std::string_view body) {
  using Choice = ChatRequest::ToolChoice;
  SteeringPlan plan = plan_steering(model, state, request.thinking_budget);
  if (request.tool_choice == Choice::none) {
    hold_to_format(plan, model, request.common.format, body);
  } else {
    const bool named = !request.forced_tool.empty();
    relaxed = hold_to_tools(
        plan,
        model,
        {.tools = request.chat.tools,
         .required = request.tool_choice == Choice::required,
         .names = named ? std::vector{request.forced_tool} : declared_functions(request.chat.tools),
         .single = named || !request.parallel_tool_calls,
         .endless = request.common.sampling.ignore_eos ||
                    !request.common.sampling.allowed_token_ids.empty(),
         .body = body},
        request.common.format);
  }
  if (request.chat.prompt.continue_final_message) {
    begin_answer(plan, model, continued_text(request.chat));
  }
  return plan;
}

// Whether all of the answer has a grammar (Steering).
bool is_held(const ChatRequest& request) {
  return static_cast<bool>(request.common.format) ||
         request.tool_choice == ChatRequest::ToolChoice::required;
}

}  // namespace

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:"
             "/@") == name.npos;
}

ChatPromptFields read_chat_prompt(Fields& fields, const ApiLimits& limits) {
  ChatPromptFields chat;
  const Json* messages = fields.array("messages", static_cast<size_t>(limits.max_messages));
  if (messages == nullptr) refuse("messages", "is missing");
  chat.messages = parse_messages(*messages);
  fit_roles(chat.messages);
  chat.tools = read_tools(fields, limits);
  read_template_fields(fields, chat);
  return chat;
}

EncodedChat encode_chat_prompt(const ServedModel& model, const ChatPromptFields& chat) {
  if (!model.text.has_chat_template()) {
    throw ApiError(400, "no_chat_template", "this model has no chat template; use /v1/completions");
  }
  const bool with_tools = chat.tools.is_array() && !chat.tools.empty();
  const ChatTemplate& source = chat_config_of(model.text).template_for(with_tools);
  PromptOptions options = chat.prompt;
  fit_switch(source, chat, options);
  fit_variables(source, options);
  add_defaults(source, model.template_defaults, options);
  try {
    return encode_chat(model.text, chat.messages, chat.tools, std::move(options));
  } catch (const Error& error) {
    refuse_render(source, error);
  }
}

ChatRequest read_chat_request(Fields& fields,
                              const ServedModel& model,
                              const ServiceOptions& options) {
  ChatRequest out;
  out.chat = read_chat_prompt(fields, options.limits);
  const std::optional<bool> asked = asked_thinking(out.chat);
  out.common = read_generation_fields(
      fields, model, options, asked ? asked : thinking_switch(model.template_defaults));
  follow_preset(out.common.preset, model, out.chat);
  read_tool_choice(fields, out);
  read_logprobs(fields, out.common.sampling, options.limits);
  read_max_tokens(fields, out.common);
  if (out.common.close_on_length) {
    out.common.closed =
        std::make_shared<std::vector<std::atomic<bool>>>(static_cast<size_t>(out.common.n));
  }
  out.thinking_budget = read_thinking_budget(fields);
  out.include_reasoning = fields.boolean("include_reasoning").value_or(true);
  if (fields.boolean("reasoning_control").value_or(false)) {
    out.end_thought = std::make_shared<std::atomic<bool>>(false);
  }
  for (const char* name :
       {"modalities", "audio", "prediction", "web_search_options", "documents"}) {
    fields.value(name);
  }
  return out;
}

AnswerPlan answer_plan(const ChatRequest& request,
                       PromptState state,
                       const ServedModel& model,
                       const ServiceOptions& options) {
  const bool tags = options.reasoning_field == ReasoningField::none;
  AnswerPlan plan{.text = {.state = state,
                           .trim_newlines = !tags,
                           .max_newlines = is_held(request) ? 2 : -1,
                           .skip_special_tokens = request.common.skip_special_tokens,
                           .stop = request.common.stop,
                           .include_stop = request.common.include_stop,
                           .min_tokens = request.common.sampling.min_tokens},
                  .drop_reasoning = !request.include_reasoning,
                  .tags_in_content = tags};
  if (request.tool_choice != ChatRequest::ToolChoice::none) {
    plan.tools = model.tool_format;
    plan.tool_schemas = std::make_shared<const Json>(request.chat.tools);
    plan.must_call = request.tool_choice == ChatRequest::ToolChoice::required;
    plan.first_call_only = !request.parallel_tool_calls || !request.forced_tool.empty();
  }
  plan.stop_token_ids = request.common.sampling.stop_token_ids;
  plan.loop_guard = options.loop_guard;
  if (!request.common.loop_guard) plan.loop_guard.min_tokens = 0;
  return plan;
}

std::vector<Request> chat_requests(std::vector<std::string>& relaxed,
                                   const ChatRequest& request,
                                   const EncodedChat& prompt,
                                   const HttpRequest& http,
                                   const ServedModel& model,
                                   const ServiceOptions& options) {
  const auto n_prompt = static_cast<int64_t>(prompt.ids.size());
  Request first = make_request(request.common, prompt.ids, http, options);
  first.sampling.max_tokens =
      fit_max_tokens(request.common.max_tokens,
                     request.common.fill_context ? 0 : options.default_max_tokens,
                     n_prompt,
                     model,
                     options,
                     "messages");
  if (first.sampling.min_tokens > first.sampling.max_tokens) {
    refuse("min_tokens",
           fmt::format("expected at most max_tokens {}, got {}",
                       first.sampling.max_tokens,
                       first.sampling.min_tokens));
  }
  // After the context, for compiling may take a while.
  SteeringPlan steering = plan_answer(relaxed, request, prompt.state, model, http.body);
  if (request.end_thought) plan_control(steering, model, request.end_thought);
  check_steering(steering, request.common.sampling);
  std::vector<Request> requests;
  for (int64_t i = 0; i < request.common.n; ++i) {
    Request one = first;
    if (one.sampling.seed) *one.sampling.seed += static_cast<uint64_t>(i);
    if (i > 0) one.n_prompt_logprobs = -1;
    if (request.common.close_on_length) {
      plan_closing(steering,
                   model,
                   first.sampling.max_tokens,
                   closed_flag(request.common, static_cast<size_t>(i)));
    }
    if (!steering.empty()) one.constraint = make_steering(steering);
    requests.push_back(std::move(one));
  }
  return requests;
}

}  // namespace qwen3::server
