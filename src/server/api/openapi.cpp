#include "server/api/openapi.h"

#include <algorithm>
#include <utility>

#include "server/api/described_fields.h"
#include "server/api/handlers.h"

namespace qwen3::server {
namespace {

struct Operation {
  std::string_view method;
  std::string_view path;  // OpenAPI's: "/v1/models/{id}"
  std::string_view what;
  DescribedFields fields = {};
  std::string_view answer = "application/json";
  bool open = false;  // needs no key
};

DescribedFields operator+(DescribedFields a, DescribedFields b) {
  for (DescribedField& field : b) a.push_back(std::move(field));
  return a;
}

std::vector<Operation> text_operations(const ApiLimits& limits) {
  return {{"post",
           "/v1/chat/completions",
           "Answer a conversation; a stream ends with data: [DONE].",
           generation_field_descriptions(limits) + chat_field_descriptions(limits)},
          {"post",
           "/v1/chat/completions/control",
           "End the thought of an answer under way that said reasoning_control: true. "
           "{success, message}",
           control_field_descriptions()},
          {"post",
           "/v1/completions",
           "Continue a text.",
           generation_field_descriptions(limits) + completion_field_descriptions(limits)}};
}

std::vector<Operation> other_operations(const ApiLimits& limits) {
  constexpr const char* kRank = "Documents by how well they fit a query. Rerankers only.";
  constexpr const char* kScore = "Scores of pairs of texts. Rerankers only.";
  return {
      {"post",
       "/v1/decisions",
       "Closed questions about a text, answered by probabilities (OpenAI's shape).",
       decision_field_descriptions()},
      {"post", "/v1/systemone", "The same in TypeSafe's shape.", systemone_field_descriptions()},
      {"post", "/v1/embeddings", "Vectors. Embedding models only.", embedding_field_descriptions()},
      {"post", "/v1/rerank", kRank, rerank_field_descriptions()},
      {"post", "/v2/rerank", kRank, rerank_field_descriptions()},
      {"post", "/rerank", kRank, rerank_field_descriptions()},
      {"post", "/v1/score", kScore, score_field_descriptions()},
      {"post", "/score", kScore, score_field_descriptions()},
      {"post",
       "/tokenize",
       "Token ids of a text or of a conversation's prompt.",
       tokenize_field_descriptions() + prompt_field_descriptions(limits)},
      {"post", "/detokenize", "The text of token ids.", detokenize_field_descriptions()},
      {"post",
       "/apply-template",
       "The prompt that a conversation makes.",
       DescribedFields{{"model", "string", "As everywhere."}} + prompt_field_descriptions(limits)}};
}

std::vector<Operation> reading_operations() {
  constexpr const char* kTraces = "Traces of requests that said trace: true (--traces).";
  return {{"get", "/v1/models", "The models, and in meta what they can do."},
          {"get", "/v1/models/{id}", "One of them."},
          {"get", "/v1/traces", kTraces},
          {"get", "/v1/traces/{id}", "One of them, by the id of its answer."},
          {.method = "get",
           .path = "/v1/traces/{id}/report",
           .what = "The same as a page; lang=zh: in Chinese.",
           .answer = "text/html"},
          {"post",
           "/v1/traces/{id}/ticket",
           "The url of that page for a browser, which sends no key; it opens once, within 60 s."},
          {.method = "get",
           .path = "/v1/trace-report",
           .what = "The page that the ticket=… of such a url opens.",
           .answer = "text/html",
           .open = true},
          {"get", "/version", "The server's version."},
          {.method = "get", .path = "/health", .what = "200 when ready, else 503.", .open = true},
          {.method = "get",
           .path = "/metrics",
           .what = "Prometheus (--metrics).",
           .answer = "text/plain"},
          {"get", "/openapi.json", "This document."}};
}

// Served by rooms of their own (server/responses, server/messages).
std::vector<Operation> agent_operations() {
  constexpr const char* kKept = "A kept response (--responses N)";
  return {{"post", "/v1/responses", "OpenAI's Responses.", responses_field_descriptions()},
          {"post",
           "/v1/responses/input_tokens",
           "How many tokens the input of a response has.",
           responses_field_descriptions()},
          {"get", "/v1/responses/{id}", kKept},
          {"delete", "/v1/responses/{id}", kKept},
          {"post", "/v1/messages", "Anthropic's Messages.", messages_field_descriptions()},
          {"post",
           "/v1/messages/count_tokens",
           "How many tokens the prompt of a message has.",
           messages_field_descriptions()}};
}

std::vector<Operation> all_operations(const ApiLimits& limits) {
  std::vector<Operation> all = text_operations(limits);
  for (Operation& one : agent_operations()) all.push_back(std::move(one));
  for (Operation& one : other_operations(limits)) all.push_back(std::move(one));
  for (Operation& one : reading_operations()) all.push_back(std::move(one));
  return all;
}

Json types_of(std::string_view types) {
  const size_t bar = types.find('|');
  if (bar == types.npos) return types;
  return {types.substr(0, bar), types.substr(bar + 1)};
}

Json schema_of(const DescribedFields& fields) {
  Json properties = Json::object(), required = Json::array();
  for (const DescribedField& field : fields) {
    Json& schema = properties[field.name] = Json::object();
    if (!field.types.empty()) schema["type"] = types_of(field.types);
    schema["description"] = field.what;
    if (field.low <= field.high) {
      schema["minimum"] = field.low;
      schema["maximum"] = field.high;
    }
    const bool listed = field.need == DescribedField::Need::required &&
                        std::find(required.begin(), required.end(), field.name) == required.end();
    if (listed) required.push_back(field.name);
  }
  Json out{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

Json responses_of(const Operation& operation) {
  const Json error{{"$ref", "#/components/schemas/Error"}};
  const Json failed{{"description", "What was wrong, and where."},
                    {"content", {{"application/json", {{"schema", error}}}}}};
  return {{"200",
           {{"description", operation.what},
            {"content", {{std::string(operation.answer), Json::object()}}}}},
          {"default", failed}};
}

Json operation_of(const Operation& operation) {
  Json out{{"summary", operation.what}};
  if (operation.path.find("/{id}") != operation.path.npos) {
    out["parameters"] = Json::array(
        {{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  }
  if (!operation.fields.empty()) {
    out["requestBody"] = {
        {"required", true},
        {"content", {{"application/json", {{"schema", schema_of(operation.fields)}}}}}};
  }
  out["responses"] = responses_of(operation);
  if (operation.open) out["security"] = Json::array();
  return out;
}

Json error_schema() {
  const Json text{{"type", "string"}}, perhaps{{"type", {"string", "null"}}};
  return {{"type", "object"},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"properties",
               {{"message", text}, {"type", text}, {"param", perhaps}, {"code", perhaps}}}}}}}};
}

}  // namespace

Json openapi_document(const ServiceOptions& options) {
  Json paths = Json::object();
  for (const Operation& operation : all_operations(options.limits)) {
    paths[std::string(operation.path)][std::string(operation.method)] = operation_of(operation);
  }
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "qwen3.cpp"}, {"version", options.version}}},
          {"security", Json::array({{{"key", Json::array()}}, Json::object()})},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"schemas", {{"Error", error_schema()}}}}}};
}

void openapi(Service& service, const HttpRequest&, const ExchangePtr& exchange) {
  exchange->send({.body = dump_json(openapi_document(service.options()))});
}

}  // namespace qwen3::server
