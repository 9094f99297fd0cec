// POST /v1/decisions: OpenAI's Decisions API over decision.h. Text only.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/api/decision.h"
#include "server/api/fields.h"
#include "server/api/generation_fields.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxItems = 2048;

// A text, or a list of parts: texts and JSON.
std::string text_of_parts(const Json& value, const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) {
    refuse(path, fmt::format("expected a text or a list of parts, got {}", describe(value)));
  }
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    Fields part(value[i], fmt::format("{}[{}]", path, i));
    const std::string type = part.text("type", 64).value_or("");
    if (!out.empty()) out += '\n';
    if (type == "input_text" || type == "output_text") {
      out += part.text("text", SIZE_MAX).value_or("");
    } else if (type == "refusal") {
      out += part.text("refusal", SIZE_MAX).value_or("");
    } else if (type == "input_json") {
      const Json* data = part.value("data");
      if (data == nullptr) refuse(part.path("data"), "is missing");
      out += dump_json(*data);
    } else {
      refuse(part.path("type"),
             fmt::format("expected input_text, output_text, refusal or input_json, got \"{}\"",
                         quote_for_message(type, 60)));
    }
  }
  return out;
}

// One item of a conversation, as a line that says who or what it is.
std::string text_of_item(const Json& value, const std::string& path) {
  Fields item(value, path);
  const auto member = [&](const char* name) {
    const Json* found = item.value(name);
    if (found == nullptr) refuse(item.path(name), "is missing");
    return text_of_parts(*found, item.path(name));
  };
  const std::string type = item.text("type", 64).value_or("message");
  if (type == "message") return member("role") + ": " + member("content");
  if (type == "function_call") return "call " + member("name") + ": " + member("arguments");
  if (type == "custom_tool_call") return "call " + member("name") + ": " + member("input");
  if (type == "function_call_output" || type == "custom_tool_call_output") {
    return "result: " + member("output");
  }
  refuse(item.path("type"),
         fmt::format("expected a message, a call or its output, got \"{}\"",
                     quote_for_message(type, 60)));
}

std::string read_input(Fields& fields) {
  const Json* input = fields.value("input");
  if (input == nullptr) refuse("input", "is missing");
  if (input->is_string()) return input->get<std::string>();
  std::string out;
  const Json& items = *fields.array("input", kMaxItems);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += '\n';
    out += text_of_item(items[i], fmt::format("input[{}]", i));
  }
  return out;
}

struct NamedQuestion {
  DecisionQuestion question;
  Json name = nullptr;
  std::vector<Json> values = {};  // of choices: texts, true, false
};

const Json& listed(Fields& fields, const char* name, size_t most) {
  const Json* list = fields.array(name, most);
  if (list == nullptr || list->empty())
    refuse(fields.path(name), "expected at least one, got none");
  return *list;
}

void read_choices(Fields& fields, NamedQuestion& out) {
  for (const Json& one : listed(fields, "choices", kMaxOptions)) {
    Fields choice(one, fmt::format("{}[{}]", fields.path("choices"), out.values.size()));
    const Json* value = choice.value("value");
    if (value == nullptr || !(value->is_string() || value->is_boolean())) {
      refuse(choice.path("value"), "expected a text, true or false");
    }
    if (std::ranges::find(out.values, *value) != out.values.end()) {
      refuse(choice.path("value"), "stands twice");
    }
    out.values.push_back(*value);
    out.question.options.push_back(
        {text_of_value(*value), choice.text("description", SIZE_MAX).value_or("")});
  }
}

void read_levels(Fields& fields, NamedQuestion& out) {
  for (const Json& one : listed(fields, "levels", kMaxLevels)) {
    Fields level(one, fmt::format("{}[{}]", fields.path("levels"), out.question.options.size()));
    const auto label = level.text("label", SIZE_MAX);
    if (!label) refuse(level.path("label"), "is missing");
    out.question.options.push_back({*label, level.text("description", SIZE_MAX).value_or("")});
  }
}

NamedQuestion read_question(const Json& value, const std::string& path) {
  using Kind = DecisionQuestion::Kind;
  Fields fields(value, path);
  NamedQuestion out{.question = {.path = path}};
  if (const auto name = fields.text("name", 256)) out.name = *name;
  const Json* instructions = fields.value("instructions");
  if (instructions == nullptr) refuse(fields.path("instructions"), "is missing");
  out.question.instructions = text_of_parts(*instructions, fields.path("instructions"));
  const std::string type = fields.text("type", 64).value_or("");
  if (type == "predicate") {
    out.question.options.resize(2);
  } else if (type == "choice") {
    out.question.kind = Kind::choice;
    read_choices(fields, out);
  } else if (type == "score") {
    out.question.kind = Kind::score;
    read_levels(fields, out);
  } else {
    refuse(fields.path("type"),
           fmt::format("expected predicate, choice or score, got \"{}\"",
                       quote_for_message(type, 60)));
  }
  return out;
}

Json answer_json(const NamedQuestion& asked, const DecisionAnswer& answer) {
  using Kind = DecisionQuestion::Kind;
  Json out{{"name", asked.name}};
  Json probabilities = Json::array();
  for (size_t i = 0; i < answer.probabilities.size(); ++i) {
    Json one{{"probability", answer.probabilities[i]}};
    if (asked.question.kind == Kind::choice) one["value"] = asked.values[i];
    if (asked.question.kind == Kind::score) {
      one["value"] = i;
      one["label"] = asked.question.options[i].text;
    }
    probabilities.push_back(std::move(one));
  }
  if (asked.question.kind == Kind::predicate) {
    out["type"] = "predicate";
    out["probability"] = answer.probabilities[0];
  } else {
    const bool choice = asked.question.kind == Kind::choice;
    out["type"] = choice ? "choice" : "score";
    if (choice) {
      out["choice"] = asked.values[answer.best()];
    } else {
      out["score"] = answer.expected_level();
    }
    out["confidence"] = answer.confidence();
    out["probabilities"] = std::move(probabilities);
  }
  out["x_label_mass"] = answer.label_mass;
  return out;
}

std::string answers_json(const std::string& model,
                         const std::vector<NamedQuestion>& asked,
                         const std::vector<DecisionAnswer>& answers,
                         const TokenUsage& usage) {
  Json list = Json::array();
  for (size_t i = 0; i < answers.size(); ++i) list.push_back(answer_json(asked[i], answers[i]));
  return dump_json({{"model", model},
                    {"answers", std::move(list)},
                    {"usage",
                     {{"input_tokens", usage.prompt_tokens},
                      {"input_tokens_details",
                       {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
                      {"output_tokens", 0},
                      {"output_tokens_details", {{"reasoning_tokens", 0}}},
                      {"total_tokens", usage.prompt_tokens}}}});
}

}  // namespace

void decisions(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::generate, "/v1/decisions");
  const std::string about = read_input(fields);
  std::vector<NamedQuestion> asked;
  for (const Json& one : listed(fields, "questions", kMaxQuestions)) {
    asked.push_back(read_question(one, fmt::format("questions[{}]", asked.size())));
  }
  for (const char* name : {"prompt_cache_key", "prompt_cache_options", "safety_identifier"}) {
    fields.value(name);
  }
  note_unread(fields, *exchange);
  std::vector<DecisionQuestion> questions;
  for (const NamedQuestion& one : asked) questions.push_back(one.question);
  answer_decisions(service,
                   http,
                   exchange,
                   about,
                   questions,
                   [name = service.model_name(), asked = std::move(asked)](
                       const std::vector<DecisionAnswer>& answers, const TokenUsage& usage) {
                     return answers_json(name, asked, answers, usage);
                   });
}

}  // namespace qwen3::server
