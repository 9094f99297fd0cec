#include "eval/tasks/answer_text.h"

#include <algorithm>

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

std::optional<std::string_view> last_stated_answer(std::string_view text) {
  static constexpr std::string_view kWord = "answer";
  const std::string lower = ascii_lower(text);
  std::optional<size_t> last;
  for (size_t pos = 0; (pos = lower.find(kWord, pos)) != std::string::npos;) {
    pos = skip_decoration(lower, pos + kWord.size());
    const std::string_view rest = std::string_view(lower).substr(pos);
    const size_t verb = rest.starts_with("is ") || rest.starts_with("is:") ? 2
                        : rest.starts_with(":") || rest.starts_with("=")   ? 1
                                                                           : 0;
    if (verb == 0) continue;
    size_t start = skip_decoration(lower, pos + verb);
    if (lower.compare(start, 1, ":") == 0) start = skip_decoration(lower, start + 1);
    if (start < text.size() && text[start] != '\n' && text[start] != '\r') last = start;
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
