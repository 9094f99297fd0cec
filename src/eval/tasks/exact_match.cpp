// The text itself is the answer: white space at the ends does not count, and runs of it count as
// one space. Case, ASCII punctuation and English articles are ignored when asked. A row's answer
// may be a list of acceptable texts. When the whole text is not one of them, the text in \boxed{}
// or after "the answer is" is tried.
#include <fmt/format.h>

#include "base/text.h"
#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"

namespace qwen3::eval {
namespace {

bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

bool is_article(std::string_view word) {
  const std::string lower = ascii_lower(word);
  return lower == "a" || lower == "an" || lower == "the";
}

class ExactMatch : public Task {
 public:
  explicit ExactMatch(const TaskOptions& options) : options_(options) {}

  Verdict score(const PyValue& row, std::string_view text) const override {
    const std::vector<std::string> accepted = accepted_answers(row);
    const std::string_view whole = py_strip(text);
    if (whole.empty()) {
      return {.outcome = Outcome::no_answer, .reason = "the text is blank", .prediction = {}};
    }
    std::vector<std::string_view> candidates = {whole};
    if (const auto boxed = last_boxed(text)) candidates.push_back(*boxed);
    if (const auto stated = last_stated_answer(text)) candidates.push_back(*stated);
    for (const std::string_view candidate : candidates) {
      const std::string normal = normalise(candidate);
      for (const std::string& answer : accepted) {
        if (normal != normalise(answer)) continue;
        return {.acc = 1,
                .outcome = Outcome::correct,
                .reason = "the text is the answer",
                .prediction = normal};
      }
    }
    const std::string_view tried = candidates.back();
    return {.outcome = Outcome::wrong,
            .reason = fmt::format("another text: {}", preview(PyValue(tried))),
            .prediction = normalise(tried)};
  }

 private:
  std::string normalise(std::string_view text) const {
    std::string kept;
    for (const char c : options_.ignore_case ? ascii_lower(text) : std::string(text)) {
      if (!options_.ignore_punctuation || !is_punctuation(c)) kept += c;
    }
    std::string normal;
    std::string_view rest = py_strip(kept);
    while (!rest.empty()) {
      const std::string_view word = py_first_word(rest);
      rest = py_strip(rest.substr(word.size()));
      if (options_.ignore_articles && is_article(word)) continue;
      if (!normal.empty()) normal += ' ';
      normal += word;
    }
    return normal;
  }

  TaskOptions options_;
};

}  // namespace

std::unique_ptr<Task> make_exact_match(const TaskOptions& options) {
  return std::make_unique<ExactMatch>(options);
}

}  // namespace qwen3::eval
