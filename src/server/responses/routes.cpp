#include "server/responses/routes.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/single_answer.h"
#include "server/http/request_cost.h"
#include "server/responses/input_items.h"
#include "server/responses/request.h"
#include "server/responses/store.h"
#include "server/responses/writer.h"

namespace qwen3::server {
namespace {

using StorePtr = std::shared_ptr<ResponseStore>;

// Chat fields that are called otherwise here, as errors name them.
constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
    {"response_format.json_schema", "text.format"},
    {"response_format", "text.format"},
    {"max_completion_tokens", "max_output_tokens"},
    {"messages", "input"}};

HttpResponse responses_error(const ApiError& error, const HttpRequest&) {
  return error_response(renamed(error, kRenamed));
}

// Reads what is kept again. Counts its text and its tree, with all that was read before.
class KeptReader {
 public:
  explicit KeptReader(Exchange& exchange) : exchange_(exchange) {}

  Json parse(const std::string& text) {
    constexpr int64_t kPerKeptByte = 2, kPerKeptValue = 100;
    n_bytes_ +=
        kPerKeptByte * static_cast<int64_t>(text.size()) + kPerKeptValue * count_json_values(text);
    hold(exchange_, n_bytes_);
    return parse_json(text, "kept response");
  }

 private:
  Exchange& exchange_;
  int64_t n_bytes_ = 0;
};

ResponseContext context_of(Service& service,
                           const ServedModel& model,
                           const StorePtr& store,
                           const HttpRequest& http,
                           Exchange& exchange) {
  ResponseContext context{
      .abilities = model.abilities,
      .new_id = [&service](std::string_view prefix) { return service.unique_id(prefix); }};
  if (service.options().responses.count <= 0) return context;
  const Client& client = http.client;
  const auto reader = std::make_shared<KeptReader>(exchange);
  context.conversation = [store, &client, reader](const std::string& id) -> std::optional<Json> {
    const ResponseStore::Found found = store->find(id, client);
    if (found == nullptr) return std::nullopt;
    return reader->parse(found->conversation());
  };
  context.item = [store, &client, reader](const std::string& id) -> std::optional<Json> {
    const std::optional<std::string> found = store->find_item(id, client);
    if (!found) return std::nullopt;
    return reader->parse(*found);
  };
  return context;
}

void note_skipped(const ResponsesRequest& request, Exchange& exchange) {
  Skipped skipped = request.skipped;
  for (const std::string& name : request.unread) skipped.add("field", name);
  skipped.note(exchange);
}

// The members of the response object that are the same from its beginning to its end.
std::string echo_of(const Json& echo, const ServedModel& model, const SamplingParams* sampling) {
  std::string out = R"(,"model":)";
  append_json_string(out, model.name);
  if (sampling != nullptr) {
    out += R"(,"temperature":)";
    append_json_float(out, static_cast<float>(sampling->temperature));
    out += R"(,"top_p":)";
    append_json_float(out, static_cast<float>(sampling->top_p));
  }
  for (const auto& [name, value] : echo.items()) {
    out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_value(out, value);
  }
  return out;
}

ResponseSetup setup_of(Service& service,
                       const StorePtr& store,
                       const HttpRequest& http,
                       ResponsesRequest request) {
  ResponseSetup setup{
      .id = service.unique_id("resp_"),
      .tools = std::move(request.tools.by_name),
      .stream = request.stream,
      .summary = request.summary,
      .encrypted = request.encrypted,
      .new_id = [&service](std::string_view prefix) { return service.unique_id(prefix); }};
  if (!request.store) return setup;
  std::string items = dump_json(request.items);
  setup.items_bytes = std::ssize(items);
  setup.keep = [store, id = setup.id, client = http.client.name, items = std::move(items)](
                   const std::string& response, std::vector<OutputItem> output) {
    store->keep({.id = id,
                 .client = client,
                 .response = response,
                 .items = items,
                 .output = std::move(output)});
  };
  return setup;
}

// Clients that stream shorten the conversation on this event, and give up on an answer of 400.
void send_failed_stream(ResponseSetup setup, const ApiError& error, Exchange& exchange) {
  exchange.note("error", error.code);
  ResponseWriter writer(std::move(setup));
  std::string events;
  writer.begin(events);
  writer.fail(events, error);
  exchange.start_stream(writer.stream_form());
  exchange.write(events);
  exchange.end();
}

void create_response(Service& service,
                     const StorePtr& store,
                     const HttpRequest& http,
                     const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::generate, "/v1/responses");
  ResponsesRequest request =
      read_responses_request(body, context_of(service, model, store, http, *exchange));
  note_skipped(request, *exchange);
  const Json chat_body = std::move(request.chat), echo = std::move(request.echo);
  ResponseSetup setup = setup_of(service, store, http, std::move(request));
  setup.echo = echo_of(echo, model, nullptr);
  try {
    const PreparedChat chat = prepare_chat(chat_body, model, service.options(), *exchange);
    ResponseSetup known = setup;
    known.echo = echo_of(echo, model, &chat.request.common.sampling);
    SingleAnswer::start(
        std::make_shared<SingleAnswer>(service,
                                       model,
                                       http,
                                       exchange,
                                       chat,
                                       std::make_unique<ResponseWriter>(std::move(known))),
        chat,
        http,
        service.options(),
        setup.id);
  } catch (const ApiError& error) {
    if (!setup.stream || error.code != "context_length_exceeded") throw;
    send_failed_stream(std::move(setup), error, *exchange);
  }
}

void count_input_tokens(Service& service,
                        const StorePtr& store,
                        const HttpRequest& http,
                        const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::generate, "/v1/responses/input_tokens");
  const ResponsesRequest request =
      read_responses_request(body, context_of(service, model, store, http, *exchange));
  note_skipped(request, *exchange);
  const PreparedChat chat = prepare_chat(request.chat, model, service.options(), *exchange);
  exchange->send({.body = fmt::format(R"({{"object":"response.input_tokens","input_tokens":{}}})",
                                      chat.prompt.ids.size())});
}

[[noreturn]] void throw_not_kept(const Service& service, const std::string& id) {
  throw ApiError(404,
                 "response_not_found",
                 service.options().responses.count <= 0
                     ? "this server keeps no responses; start it with --responses N"
                     : fmt::format("no response \"{}\" is kept here", quote_for_message(id, 60)));
}

void fetch_response(Service& service,
                    const StorePtr& store,
                    const HttpRequest& http,
                    const ExchangePtr& exchange) {
  static constexpr std::string_view kItems = "/input_items";
  const bool items = http.tail.ends_with(kItems);
  const std::string id = http.tail.substr(0, http.tail.size() - (items ? kItems.size() : 0));
  const ResponseStore::Found found = store->find(id, http.client);
  if (found == nullptr) throw_not_kept(service, id);
  if (!items) return exchange->send({.body = found->response});
  const InputItemsQuery query = read_input_items_query(http.query);
  exchange->send({.body = input_items_page(KeptReader(*exchange).parse(found->items), query)});
}

void delete_response(Service& service,
                     const StorePtr& store,
                     const HttpRequest& http,
                     const ExchangePtr& exchange) {
  if (!store->erase(http.tail, http.client)) throw_not_kept(service, http.tail);
  std::string out = R"({"id":)";
  append_json_string(out, http.tail);
  exchange->send({.body = out + R"(,"object":"response","deleted":true})"});
}

}  // namespace

std::vector<Route> make_responses_routes(Service& service) {
  const auto store = std::make_shared<ResponseStore>(service.options().responses);
  using ResponseEndpoint =
      void (*)(Service&, const StorePtr&, const HttpRequest&, const ExchangePtr&);
  std::vector<Route> routes;
  const auto add = [&](const char* method, const char* path, ResponseEndpoint endpoint) {
    routes.push_back(
        {.method = method,
         .path = path,
         .handler = guarded(
             [&service, store, endpoint](const HttpRequest& http, const ExchangePtr& exchange) {
               endpoint(service, store, http, exchange);
             },
             responses_error)});
    if (routes.back().method == "POST") {
      routes.back().body_limit = [&service] { return prompt_limit(service); };
    }
  };
  add("POST", "/v1/responses", create_response);
  add("POST", "/v1/responses/input_tokens", count_input_tokens);
  add("GET", "/v1/responses/*", fetch_response);
  add("DELETE", "/v1/responses/*", delete_response);
  return routes;
}

}  // namespace qwen3::server
