// POST /v1/systemone: TypeSafe's System One over decision.h. Any model name is taken, as its clients
// send names of their own; what is wrong with a request is said with status 422, as they expect.
#include <fmt/format.h>

#include <utility>

#include "server/api/decision.h"
#include "server/api/fields.h"
#include "server/api/generation_fields.h"

namespace qwen3::server {
namespace {

using Kind = DecisionQuestion::Kind;

std::string optional_text(const Json* value) {
  return value == nullptr ? std::string() : text_of_value(*value);
}

void read_noul(Fields& fields, DecisionQuestion& out) {
  out.options.resize(2);
  const Json* criteria = fields.object("criteria");
  if (criteria == nullptr) return;
  Fields inner(*criteria, fields.path("criteria"));
  out.options[0].description = optional_text(inner.value("true"));
  out.options[1].description = optional_text(inner.value("false"));
}

void check_count(const Json* criteria, const std::string& path, size_t most) {
  if (criteria == nullptr || criteria->empty()) refuse(path, "expected at least one, got none");
  if (criteria->size() > most) {
    refuse(path, fmt::format("expected at most {}, got {}", most, criteria->size()));
  }
}

DecisionQuestion read_systemone_question(const Json& value, const std::string& path) {
  Fields fields(value, path);
  DecisionQuestion out{.path = path};
  out.instructions = optional_text(fields.value("instructions"));
  const std::string type = fields.text("type", 64).value_or("");
  if (type == "noul") {
    read_noul(fields, out);
  } else if (type == "choice") {
    out.kind = Kind::choice;
    const Json* criteria = fields.object("criteria");
    check_count(criteria, fields.path("criteria"), kMaxOptions);
    for (const auto& [name, what] : criteria->items()) {
      out.options.push_back({name, what.is_null() ? "" : text_of_value(what)});
    }
  } else if (type == "score") {
    out.kind = Kind::score;
    const Json* criteria = fields.array("criteria", kMaxLevels);
    check_count(criteria, fields.path("criteria"), kMaxLevels);
    for (const Json& level : *criteria) out.options.push_back({text_of_value(level)});
  } else {
    refuse(fields.path("type"),
           fmt::format("expected noul, choice or score, got \"{}\"", quote_for_message(type, 60)));
  }
  return out;
}

Json systemone_answer(const DecisionQuestion& question, const DecisionAnswer& answer) {
  if (question.kind == Kind::predicate) {
    return {
        {"type", "noul"}, {"noul", answer.probabilities[0]}, {"x_label_mass", answer.label_mass}};
  }
  const bool choice = question.kind == Kind::choice;
  Json out{{"type", choice ? "choice" : "score"}};
  Json probabilities = Json::object(), legend = Json::object();
  for (size_t i = 0; i < answer.probabilities.size(); ++i) {
    const std::string name = choice ? question.options[i].text : std::to_string(i);
    probabilities[name] = answer.probabilities[i];
    legend[name] = question.options[i].text;
  }
  if (choice) {
    out["choice"] = question.options[answer.best()].text;
  } else {
    out["score"] = answer.expected_level();
    out["legend"] = std::move(legend);
  }
  out["confidence"] = answer.confidence();
  out["probabilities"] = std::move(probabilities);
  out["x_label_mass"] = answer.label_mass;
  return out;
}

void start_systemone(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  require_task(service.model(), Task::generate, "/v1/systemone");
  fields.text("model", 1024);
  if (fields.used("assets")) refuse("assets", "images are not read; text only");
  const Json* state = fields.value("state");
  if (state == nullptr) refuse("state", "is missing");
  const Json* questions = fields.object("questions");
  check_count(questions, "questions", kMaxQuestions);
  std::vector<std::string> names;
  std::vector<DecisionQuestion> asked;
  for (const auto& [name, value] : questions->items()) {
    names.push_back(name);
    asked.push_back(read_systemone_question(value, "questions." + quote_for_message(name, 60)));
  }
  note_unread(fields, *exchange);
  answer_decisions(
      service,
      http,
      exchange,
      text_of_value(*state),
      asked,
      [model = service.model_name(), names, asked](const std::vector<DecisionAnswer>& answers,
                                                   const TokenUsage& usage) {
        Json all = Json::object();
        for (size_t i = 0; i < answers.size(); ++i) {
          all[names[i]] = systemone_answer(asked[i], answers[i]);
        }
        return dump_json(
            {{"model", model},
             {"answers", std::move(all)},
             {"usage", {{"input_tokens", usage.prompt_tokens}, {"output_tokens", 0}}}});
      });
}

// {"detail":[{"loc":["body","questions","x","type"],"msg":…,"type":"value_error"}]}
HttpResponse unprocessable(const ApiError& error) {
  Json where = Json::array({"body"});
  std::string_view rest = error.param;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    where.push_back(std::string(rest.substr(0, dot)));
    rest.remove_prefix(dot == rest.npos ? rest.size() : dot + 1);
  }
  Json one{{"loc", std::move(where)}, {"msg", error.what()}, {"type", "value_error"}};
  return {.status = 422, .body = dump_json({{"detail", Json::array({std::move(one)})}})};
}

}  // namespace

void systemone(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  try {
    start_systemone(service, http, exchange);
  } catch (const ApiError& error) {
    if (error.status != 400) throw;
    exchange->note("error", error.code);
    exchange->send(unprocessable(error));
  }
}

}  // namespace qwen3::server
