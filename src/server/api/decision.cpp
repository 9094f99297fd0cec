#include "server/api/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

#include "server/api/chat_request.h"
#include "server/api/scored_prompts.h"

namespace qwen3::server {
namespace {

std::vector<std::string> label_names(const DecisionQuestion& question) {
  if (question.kind == DecisionQuestion::Kind::predicate) return {"yes", "no"};
  const char first = question.kind == DecisionQuestion::Kind::choice ? 'A' : '0';
  std::vector<std::string> names;
  for (size_t i = 0; i < question.options.size(); ++i) {
    names.emplace_back(1, static_cast<char>(first + static_cast<char>(i)));
  }
  return names;
}

std::vector<int32_t> label_ids(const DecisionQuestion& question, const DecisionLabels& labels) {
  std::vector<int32_t> ids;
  if (question.kind == DecisionQuestion::Kind::predicate) {
    ids = {labels.yes, labels.no};
  } else {
    const auto& all =
        question.kind == DecisionQuestion::Kind::choice ? labels.letters : labels.digits;
    ids.assign(all.begin(), all.begin() + std::ssize(question.options));
  }
  if (std::ranges::find(ids, -1) != ids.end()) {
    refuse(question.path,
           fmt::format("this model's tokenizer lacks single tokens for {}",
                       fmt::join(label_names(question), ", ")));
  }
  return ids;
}

std::string message_of(std::string_view about, const DecisionQuestion& question) {
  std::string out = fmt::format("{}\n\nQuestion: {}\n", about, question.instructions);
  const std::vector<std::string> names = label_names(question);
  for (size_t i = 0; i < question.options.size(); ++i) {
    const DecisionOption& option = question.options[i];
    const bool predicate = question.kind == DecisionQuestion::Kind::predicate;
    if (predicate && option.description.empty()) continue;
    out += names[i] + ": " + option.text;
    if (!option.description.empty()) out += (option.text.empty() ? "" : ": ") + option.description;
    out += '\n';
  }
  return out + fmt::format("Answer with one of {} and nothing else.", fmt::join(names, ", "));
}

std::vector<int32_t> prompt_of(const ServedModel& model,
                               std::string_view about,
                               const DecisionQuestion& question) {
  const Json messages = Json::array({{{"role", "user"}, {"content", message_of(about, question)}}});
  ChatPromptFields chat;
  chat.messages = parse_messages(messages);
  chat.effort = "none";
  EncodedChat prompt = encode_chat_prompt(model, chat);
  if (prompt.state == PromptState::inside_thinking) {  // a model that always thinks
    const std::vector<int32_t> close = model.text.encode("\n</think>\n\n");
    prompt.ids.insert(prompt.ids.end(), close.begin(), close.end());
  }
  return prompt.ids;
}

// Softmax over the labels, and their share of everything.
DecisionAnswer score_labels(std::span<const double> logprobs) {
  DecisionAnswer answer;
  const double top = *std::ranges::max_element(logprobs);
  double some = 0;
  for (const double logprob : logprobs) {
    answer.probabilities.push_back(std::exp(logprob - top));
    some += answer.probabilities.back();
  }
  for (double& probability : answer.probabilities) probability /= some;
  answer.label_mass = some * std::exp(top);
  return answer;
}

}  // namespace

size_t DecisionAnswer::best() const {
  return static_cast<size_t>(std::ranges::max_element(probabilities) - probabilities.begin());
}

double DecisionAnswer::confidence() const {
  const auto n = static_cast<double>(probabilities.size());
  if (probabilities.size() < 2) return 1;
  return std::clamp((n * probabilities[best()] - 1) / (n - 1), 0.0, 1.0);
}

double DecisionAnswer::expected_level() const {
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i)
    sum += static_cast<double>(i) * probabilities[i];
  return sum;
}

std::string text_of_value(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

void answer_decisions(Service& service,
                      const HttpRequest& http,
                      const ExchangePtr& exchange,
                      std::string_view about,
                      const std::vector<DecisionQuestion>& questions,
                      DecisionShape shape) {
  const ServedModel& model = service.model();
  ScoredPrompts<DecisionAnswer> scores(service, model, http, exchange, "questions", "text");
  for (const DecisionQuestion& question : questions) {
    scores.add(prompt_of(model, about, question),
               question.path,
               label_ids(question, *model.decision_labels),
               score_labels);
  }
  // One after the other: the first leaves the text in the prefix cache for the others.
  scores.start(std::move(shape), 1);
}

}  // namespace qwen3::server
