// GET /v1/models, /health, /version, /metrics.
#include <fmt/format.h>

#include "base/utc_time.h"
#include "chat/text.h"
#include "qwen3/sampling.h"
#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/routed_experts.h"
#include "server/api/template_variables.h"

namespace qwen3::server {
namespace {

const char* task_name(Task task) {
  switch (task) {
    case Task::embed:
      return "embed";
    case Task::rerank:
      return "rerank";
    case Task::automatic:
    case Task::generate:
      break;
  }
  return "generate";
}

// What a request that says nothing is sampled with.
void append_defaults(std::string& out, const ServedModel& model, const std::string& preset) {
  SamplingParams defaults = with_defaults(model.defaults, DoSample::yes);
  const Preset* chosen =
      choose_preset(model.presets, preset, thinking_switch(model.template_defaults));
  if (chosen != nullptr) chosen->apply(defaults);
  out += R"(,"sampling_defaults":{)";
  for (const SamplingField& field : sampling_fields()) {
    if (field.name == "max_tokens") continue;
    if (out.back() != '{') out += ',';
    fmt::format_to(std::back_inserter(out), R"("{}":{})", field.name, field.get(defaults));
  }
  out += '}';
}

// For pages and clients that offer only what is there.
void append_features(std::string& out, const ServedModel& model, const std::string& preset) {
  if (model.task != Task::generate) return;
  fmt::format_to(std::back_inserter(out),
                 R"(,"routed_experts":{},"reasoning_control":{},"progress":true,"presets":{},)"
                 R"("preset":"{}")",
                 expert_shape(model.shape).n_layers > 0,
                 model.think_close >= 0,
                 presets_json(model.presets),
                 preset);
  append_defaults(out, model, preset);
}

bool has_thinking_switch(const ServedModel& model) {
  if (!model.text.has_chat_template()) return false;
  const ChatTemplate& source = chat_config_of(model.text).template_for(false);
  return source.reads("enable_thinking") || source.reads("thinking");
}

// For pages: what a request may ask of this server and its template.
void append_switches(std::string& out, const Service& service, const ServedModel& model) {
  fmt::format_to(std::back_inserter(out),
                 R"(,"thinking_switch":{},"traces":{},"metrics":{})",
                 has_thinking_switch(model),
                 service.options().traces.count > 0,
                 service.options().metrics);
}

void append_model(std::string& out,
                  const Service& service,
                  const ServedModel& model,
                  const std::string& name) {
  out += R"({"id":)";
  append_json_string(out, name);
  fmt::format_to(std::back_inserter(out),
                 R"(,"object":"model","created":{},"owned_by":"qwen3.cpp","root":)",
                 service.started());
  append_json_string(out, service.model_name());
  fmt::format_to(std::back_inserter(out),
                 R"(,"parent":null,"max_model_len":{},"task":"{}","meta":{{"n_vocab":{},)"
                 R"("n_ctx_train":{},"n_embd":{},"n_params":{},"size":{})",
                 model.max_model_len,
                 task_name(model.task),
                 model.info.vocab_size,
                 model.info.max_position_embeddings,
                 model.shape.hidden_size,
                 model.info.n_parameters,
                 model.info.weight_bytes);
  append_features(out, model, service.options().preset);
  append_switches(out, service, model);
  out += "}}";
}

// Anthropic's clients say by a header that they are, and expect a list of their own form.
bool asks_as_anthropic(const HttpRequest& http) {
  return !http.header("anthropic-version").empty();
}

void append_anthropic_model(std::string& out, const Service& service, const std::string& name) {
  out += R"({"type":"model","id":)";
  append_json_string(out, name);
  out += R"(,"display_name":)";
  append_json_string(out, name);
  out +=
      R"(,"created_at":")" +
      utc_text(std::chrono::system_clock::from_time_t(service.started()), UtcPrecision::seconds) +
      R"("})";
}

std::string anthropic_models(const Service& service) {
  const std::vector<std::string>& names = service.options().model_names;
  std::string out = R"({"data":[)";
  for (const std::string& name : names) {
    if (out.back() != '[') out += ',';
    append_anthropic_model(out, service, name);
  }
  out += R"(],"has_more":false,"first_id":)";
  append_json_string(out, names.front());
  out += R"(,"last_id":)";
  append_json_string(out, names.back());
  return out + "}";
}

}  // namespace

void list_models(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const ServedModel& model = service.model();
  if (asks_as_anthropic(http)) return exchange->send({.body = anthropic_models(service)});
  std::string out = R"({"object":"list","data":[)";
  for (const std::string& name : service.options().model_names) {
    if (out.back() != '[') out += ',';
    append_model(out, service, model, name);
  }
  exchange->send({.body = out + "]}"});
}

void one_model(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const ServedModel& model = service.model_named(http.tail);
  std::string out;
  if (asks_as_anthropic(http)) {
    append_anthropic_model(out, service, http.tail);
  } else {
    append_model(out, service, model, http.tail);
  }
  exchange->send({.body = std::move(out)});
}

// Open: says nothing about the model.
void health(Service& service, const HttpRequest&, const ExchangePtr& exchange) {
  service.model();
  if (service.end_announced()) throw ApiError(503, "draining", "the server is shutting down");
  exchange->send({.body = R"({"status":"ok"})"});
}

void version(Service& service, const HttpRequest&, const ExchangePtr& exchange) {
  std::string out = R"({"version":)";
  append_json_string(out, service.options().version);
  exchange->send({.body = out + "}"});
}

void metrics(Service& service, const HttpRequest&, const ExchangePtr& exchange) {
  EngineStats stats;
  const ServedModel* model = service.loaded();
  if (model != nullptr) stats = model->generator->stats();
  exchange->send({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                  .body = service.metrics().text(model == nullptr ? nullptr : &stats,
                                                 service.front_counters(),
                                                 service.model_name(),
                                                 service.options())});
}

}  // namespace qwen3::server
