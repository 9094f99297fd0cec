#include "server/messages/routes.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "server/api/handlers.h"
#include "server/api/single_answer.h"
#include "server/messages/errors.h"
#include "server/messages/request.h"
#include "server/messages/writer.h"

namespace qwen3::server {
namespace {

// Clients of this API name a model of Anthropic's, often two of them, whatever they were told.
const ServedModel& model_of(const Service& service, Fields& fields, const char* endpoint) {
  const std::string name = read_model_name(fields);
  const ServedModel& model =
      name.starts_with("claude") ? service.model() : service.model_named(name);
  require_task(model, Task::generate, endpoint);
  return model;
}

// Chat fields that are called otherwise here, as errors name them.
constexpr std::pair<std::string_view, std::string_view> kChatNames[] = {
    {"response_format.json_schema", "output_config.format"},
    {"response_format", "output_config.format"},
    {"stop", "stop_sequences"}};

HttpResponse messages_refusal(const ApiError& error, const HttpRequest& http) {
  return messages_error(renamed(error, kChatNames), http.id);
}

void note_skipped_of(const MessagesRequest& request, Exchange& exchange) {
  Skipped skipped = request.skipped;
  for (const std::string& name : request.unread) skipped.add("field", name);
  skipped.note(exchange);
}

// In the words on which clients shorten their conversation.
void check_room(size_t n_prompt, const ServedModel& model) {
  const int64_t most = model.max_model_len - 1;  // one more is generated
  if (static_cast<int64_t>(n_prompt) <= most) return;
  ApiError error(400,
                 "context_length_exceeded",
                 fmt::format("prompt is too long: {} tokens > {} maximum", n_prompt, most));
  error.param = "messages";
  throw error;
}

void create_message(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = model_of(service, fields, "/v1/messages");
  const MessagesRequest request = read_messages_request(body, model.abilities, MaxTokens::required);
  note_skipped_of(request, *exchange);
  ServiceOptions options = service.options();
  options.clamp_max_tokens = true;  // clients ask for all that a large model could give
  const PreparedChat chat = prepare_chat(request.chat, model, options, *exchange);
  check_room(chat.prompt.ids.size(), model);
  MessageSetup setup{
      .id = service.unique_id("msg_"),
      .model = model.name,
      .request_id = http.id,
      .prompt_tokens = std::ssize(chat.prompt.ids),
      .stream = request.stream,
      .omit_thinking = request.omit_thinking,
      .new_id = [&service](std::string_view prefix) { return service.unique_id(prefix); }};
  const std::string id = setup.id;
  SingleAnswer::start(
      std::make_shared<SingleAnswer>(
          service, model, http, exchange, chat, std::make_unique<MessageWriter>(std::move(setup))),
      chat,
      http,
      options,
      id);
}

void count_message_tokens(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = model_of(service, fields, "/v1/messages/count_tokens");
  const MessagesRequest request = read_messages_request(body, model.abilities, MaxTokens::absent);
  note_skipped_of(request, *exchange);
  const PreparedChat chat = prepare_chat(request.chat, model, service.options(), *exchange);
  exchange->send({.headers = {{"request-id", http.id}},
                  .body = fmt::format(R"({{"input_tokens":{}}})", chat.prompt.ids.size())});
}

}  // namespace

std::vector<Route> make_messages_routes(Service& service) {
  using MessagesEndpoint = void (*)(Service&, const HttpRequest&, const ExchangePtr&);
  std::vector<Route> routes;
  const auto add = [&](const char* path, MessagesEndpoint endpoint) {
    routes.push_back(
        {.method = "POST",
         .path = path,
         .handler = guarded(
             [&service, endpoint](const HttpRequest& http, const ExchangePtr& exchange) {
               endpoint(service, http, exchange);
             },
             messages_refusal),
         .body_limit = [&service] { return prompt_limit(service); },
         .refusal_form = as_messages_error});
  };
  add("/v1/messages", create_message);
  add("/v1/messages/count_tokens", count_message_tokens);
  return routes;
}

}  // namespace qwen3::server
