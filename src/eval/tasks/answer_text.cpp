#include "eval/tasks/answer_text.h"

#include <algorithm>
#include <span>

#include "base/text.h"
#include "eval/python/python_text.h"

namespace qwen3::eval {
namespace {

std::string_view to_line_end(std::string_view text, size_t from) {
  const std::string_view rest = text.substr(from);
  return py_strip(rest.substr(0, rest.find('\n')));
}

// After the white space and the emphasis at text[pos...].
size_t skip_decoration(std::string_view text, size_t pos) {
  const size_t next = text.find_first_not_of(" \t*_", pos);
  return std::min(next, text.size());
}

}  // namespace

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  if (text.find(what) == std::string::npos) return;
  std::string out;
  size_t copied = 0;
  for (size_t at = 0; (at = text.find(what, copied)) != std::string::npos;) {
    out.append(text, copied, at - copied).append(by);
    copied = at + what.size();
  }
  text = out.append(text, copied);
}

// One pass with the open braces on a stack: a box inside a box does not make it quadratic.
std::optional<std::string_view> last_boxed(std::string_view text) {
  struct Open {
    size_t inside;
    bool box;
  };
  std::vector<Open> open;
  std::optional<std::string_view> last;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == '{' || text[at + 1] == '}')) {
      ++at;  // \{ is a brace that is shown
    } else if (text[at] == '{') {
      const std::string_view before = text.substr(0, at);
      open.push_back({at + 1, before.ends_with("\\boxed") || before.ends_with("\\fbox")});
    } else if (text[at] == '}' && !open.empty()) {
      const Open opened = open.back();
      open.pop_back();
      if (opened.box) last = text.substr(opened.inside, at - opened.inside);
    }
  }
  return last;
}

namespace {

struct Statement {
  std::string_view word;
  std::span<const std::string_view> verbs;  // the longer of two that begin alike first
};
constexpr std::string_view kVerbs[] = {"is ", "is:", ":", "="};
constexpr std::string_view kChineseVerbs[] = {"应该是",
                                              "应当是",
                                              "应为",
                                              "应是",
                                              "应选",
                                              "就是",
                                              "是",
                                              "为",
                                              "选",
                                              "】",
                                              "]",
                                              ":",
                                              "：",
                                              "="};
constexpr Statement kStatements[] = {{"answer", kVerbs},
                                     {"option", kVerbs},
                                     {"choice", kVerbs},
                                     {"答案", kChineseVerbs},
                                     {"选项", kChineseVerbs}};

// Where the answer of the last statement of this kind begins.
std::optional<size_t> last_statement(std::string_view lower, const Statement& statement) {
  std::optional<size_t> last;
  for (size_t pos = 0; (pos = lower.find(statement.word, pos)) != std::string::npos;) {
    pos = skip_decoration(lower, pos + statement.word.size());
    const auto verb_at = [&](size_t at) {
      for (const std::string_view verb : statement.verbs) {
        if (lower.substr(at).starts_with(verb))
          return verb.ends_with(' ') ? verb.size() - 1 : verb.size();
      }
      return size_t{0};
    };
    const size_t verb = verb_at(pos);
    if (verb == 0) continue;
    size_t start = skip_decoration(lower, pos + verb);
    for (const std::string_view colon : {":", "："}) {
      if (lower.substr(start).starts_with(colon))
        start = skip_decoration(lower, start + colon.size());
    }
    if (start < lower.size() && lower[start] != '\n' && lower[start] != '\r') last = start;
  }
  return last;
}

}  // namespace

std::optional<std::string_view> last_stated_answer(std::string_view text) {
  const std::string lower = ascii_lower(text);
  std::optional<size_t> last;
  for (const Statement& statement : kStatements) {
    last = std::max(last, last_statement(lower, statement));
  }
  if (!last) return std::nullopt;
  return to_line_end(text, *last);
}

std::optional<std::string_view> last_marked_answer(std::string_view text) {
  const size_t mark = text.rfind("####");
  if (mark == std::string_view::npos) return std::nullopt;
  return to_line_end(text, mark + 4);
}

std::optional<std::string_view> last_line(std::string_view text) {
  text = py_strip(text);
  if (text.empty()) return std::nullopt;
  const size_t newline = text.rfind('\n');
  return py_strip(newline == std::string_view::npos ? text : text.substr(newline + 1));
}

std::vector<std::string> accepted_answers(const PyValue& row) {
  const auto text_of = [](const PyValue& value) {
    return value.string() != nullptr ? *value.string() : py_dumps(value);
  };
  const PyValue& answer = answer_of(row);
  std::vector<std::string> accepted;
  if (const PyList* list = answer.list()) {
    for (const PyValue& value : *list) accepted.push_back(text_of(value));
  } else if (!answer.is_null()) {
    accepted.push_back(text_of(answer));
  }
  return accepted;
}

}  // namespace qwen3::eval
