#include "eval/run/choices.h"

#include <algorithm>

#include "base/error.h"
#include "eval/python/python_text.h"
#include "eval/tasks/multiple_choice.h"
#include "eval/tasks/task.h"

namespace qwen3::eval {
namespace {

// Code points, as Python's len() counts.
size_t n_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// How far the text goes without the white space at its end, as Python's rstrip() sees it.
size_t end_of_words(std::string_view text) {
  const std::string_view words = py_strip(text);
  return words.empty() ? 0 : static_cast<size_t>(words.data() - text.data()) + words.size();
}

void check_answer(const DatasetRow& row, const PyList& choices, std::string_view where) {
  const PyValue& answer = answer_of(row.value);
  if (answer.is_null()) return;  // kept secret, or not there
  QWEN3_CHECK(true_choice(answer, &choices, static_cast<int>(choices.size())),
              ErrorKind::corrupt_file,
              "{}: answer: expected a letter from A to {}, a number from 0 to {}, or the text of "
              "one of the choices; got {}",
              where,
              static_cast<char>('A' + choices.size() - 1),
              choices.size() - 1,
              preview(answer));
}

}  // namespace

std::vector<std::string> read_choices(const EvalConfig& config,
                                      const DatasetRow& row,
                                      std::string_view where) {
  const PyValue* value = row.value.find("choices");
  const PyList* list = value == nullptr ? nullptr : value->list();
  QWEN3_CHECK(list != nullptr && list->size() >= 2 && list->size() <= kMostChoices,
              ErrorKind::corrupt_file,
              "{}: choices: expected a list of 2 to {} texts, because choose_by is {}; got {}",
              where,
              kMostChoices,
              choose_by_name(config.choose_by),
              value == nullptr ? "none" : preview(*value));
  std::vector<std::string> choices;
  for (const PyValue& choice : *list) {
    QWEN3_CHECK(choice.string() != nullptr && !choice.string()->empty(),
                ErrorKind::corrupt_file,
                "{}: choices[{}]: expected text that is not empty; got {}",
                where,
                choices.size(),
                preview(choice));
    choices.push_back(*choice.string());
  }
  check_answer(row, *list, where);
  QWEN3_CHECK(!choice_texts(config, row.prompt, {}).context.empty(),
              ErrorKind::corrupt_file,
              "{}: prompt: expected more than white space before the choices; got {}",
              where,
              quote_for_message(row.prompt));
  return choices;
}

ChoiceTexts choice_texts(const EvalConfig& config,
                         std::string_view prompt,
                         std::span<const std::string> choices) {
  std::string before = config.choose_prompt;
  before.replace(before.find(kPromptPlace), kPromptPlace.size(), prompt);
  ChoiceTexts texts{.context = before.substr(0, end_of_words(before)), .whole = {}};
  before += config.choose_delimiter;
  for (const std::string& choice : choices) texts.whole.push_back(before + choice);
  return texts;
}

std::optional<size_t> choose(ChooseBy by,
                             std::span<const std::string> choices,
                             std::span<const double> loglikelihoods) {
  std::vector<double> lengths;
  if (by == ChooseBy::loglikelihood_per_character || by == ChooseBy::loglikelihood_per_byte) {
    for (const std::string& choice : choices) {
      const bool bytes = by == ChooseBy::loglikelihood_per_byte;
      lengths.push_back(static_cast<double>(bytes ? choice.size() : n_characters(choice)));
    }
  }
  return choose_by_loglikelihood(loglikelihoods, lengths);
}

}  // namespace qwen3::eval
