// The answer is a JSON value: the whole text, or the last block fenced as json. Types count (true
// is not 1, "1" is not 1; 1 and 1.0 are the same number), the order of keys does not. With paths
// (JSON pointers, RFC 6901) only those parts are compared, and each must be there. With a
// tolerance t, numbers a (predicted) and b may differ by t * max(1, |b|).
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "eval/tasks/arc_grid.h"

namespace qwen3::eval {
namespace {

bool is_number(const PyValue& value) {
  return value.integer() != nullptr || value.big_integer() != nullptr ||
         value.floating() != nullptr;
}

double as_double(const PyValue& value) {
  if (const double* number = value.floating()) return *number;
  if (const int64_t* number = value.integer()) return static_cast<double>(*number);
  double result = 0;
  const std::string& digits = value.big_integer()->digits;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), result);
  if (read.ec == std::errc()) return result;
  return digits.front() == '-' ? -HUGE_VAL : HUGE_VAL;
}

std::string escape_pointer(std::string_view key) {
  std::string out;
  for (const char c : key)
    out += c == '~' ? std::string("~0") : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// Finds where a value differs from the truth. Recursion is bounded by the reader's depth; the path
// is put together only when there is a difference to report.
class Comparison {
 public:
  Comparison(double tolerance, std::string_view root) : tolerance_(tolerance), root_(root) {}

  // True when equal; otherwise problem() says where and how.
  bool same(const PyValue& got, const PyValue& truth) {
    if (is_number(got) && is_number(truth)) return numbers_same(got, truth) || differs(got, truth);
    if (got.type() != truth.type()) return differs(got, truth);
    if (truth.list() != nullptr) return lists_same(*got.list(), *truth.list());
    if (truth.dict() != nullptr) return dicts_same(*got.dict(), *truth.dict());
    return py_equal(got, truth) || differs(got, truth);
  }
  const std::string& problem() const { return problem_; }

 private:
  using Step = std::variant<size_t, std::string_view>;

  bool numbers_same(const PyValue& got, const PyValue& truth) const {
    if (py_equal(got, truth)) return true;
    const double a = as_double(got), b = as_double(truth);
    if (std::isnan(a) && std::isnan(b)) return true;
    return tolerance_ > 0 && std::isfinite(a) && std::isfinite(b) &&
           std::abs(a - b) <= tolerance_ * std::max(1.0, std::abs(b));
  }

  bool refuse(std::string_view what) {
    std::string path = root_;
    for (const Step& step : path_) {
      path += '/';
      const size_t* index = std::get_if<size_t>(&step);
      path += index != nullptr ? std::to_string(*index)
                               : escape_pointer(std::get<std::string_view>(step));
    }
    problem_ = fmt::format("{}: {}", path.empty() ? "/" : quote_for_message(path), what);
    return false;
  }

  bool differs(const PyValue& got, const PyValue& truth) {
    return refuse(fmt::format("expected {}; got {}", preview(truth), preview(got)));
  }

  bool lists_same(const PyList& got, const PyList& truth) {
    for (size_t i = 0; i < std::min(got.size(), truth.size()); ++i) {
      path_.emplace_back(i);
      if (!same(got[i], truth[i])) return false;
      path_.pop_back();
    }
    return got.size() == truth.size() ||
           refuse(fmt::format("expected {} elements; got {}", truth.size(), got.size()));
  }

  bool dicts_same(const PyDict& got, const PyDict& truth) {
    for (const PyMember& member : truth.members()) {
      path_.emplace_back(std::string_view(member.key));
      const PyValue* value = got.find(member.key);
      if (value == nullptr) return refuse("missing");
      if (!same(*value, member.value)) return false;
      path_.pop_back();
    }
    for (const PyMember& member : got.members()) {
      if (truth.find(member.key) != nullptr) continue;
      path_.emplace_back(std::string_view(member.key));
      return refuse("not expected");
    }
    return true;
  }

  double tolerance_;
  std::string root_;
  std::vector<Step> path_;
  std::string problem_;
};

// The value a JSON pointer leads to; nullptr when it leads nowhere.
const PyValue* follow(const PyValue& value, std::string_view pointer) {
  const PyValue* at = &value;
  while (at != nullptr && !pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const size_t end = std::min(pointer.find('/'), pointer.size());
    std::string key;
    for (size_t i = 0; i < end; ++i) {
      const bool escaped = pointer[i] == '~' && i + 1 < end;
      key += !escaped ? pointer[i] : pointer[++i] == '1' ? '/' : '~';
    }
    pointer.remove_prefix(end);
    if (const PyList* list = at->list()) {
      size_t index = 0;
      const auto read = std::from_chars(key.data(), key.data() + key.size(), index);
      const bool whole = read.ec == std::errc() && read.ptr == key.data() + key.size();
      at = whole && index < list->size() ? &(*list)[index] : nullptr;
    } else {
      at = at->find(key);
    }
  }
  return at;
}

class JsonMatch : public Task {
 public:
  explicit JsonMatch(const TaskOptions& options)
      : paths_(options.paths), tolerance_(options.tolerance) {
    for (const std::string& path : paths_) {
      QWEN3_CHECK(path.empty() || path.front() == '/',
                  ErrorKind::invalid_argument,
                  "json_match: path: expected a JSON pointer like /items/0/name; got {}",
                  quote_for_message(path));
    }
    QWEN3_CHECK(std::isfinite(tolerance_) && tolerance_ >= 0,
                ErrorKind::invalid_argument,
                "json_match: tolerance: expected a finite number from 0; got {}",
                tolerance_);
  }

  Verdict score(const PyValue& row, std::string_view text) const override {
    const GridAnswer answer = read_grid_answer(text);
    if (!answer.value) return no_grid(answer);
    const PyValue truth = truth_of(row);
    Verdict verdict{.acc = 0, .outcome = Outcome::wrong, .reason = {}, .prediction = answer.value};
    Comparison whole(tolerance_, "");
    if (paths_.empty() && !whole.same(*answer.value, truth)) verdict.reason = whole.problem();
    for (const std::string& path : paths_) {
      const PyValue* got = follow(*answer.value, path);
      const PyValue* expected = follow(truth, path);
      if (got == nullptr || expected == nullptr) {
        verdict.reason = fmt::format(
            "{}: missing in {}", path, got == nullptr ? "the text" : "the row's answer");
        break;
      }
      Comparison comparison(tolerance_, path);
      if (!comparison.same(*got, *expected)) {
        verdict.reason = comparison.problem();
        break;
      }
    }
    if (!verdict.reason.empty()) return verdict;
    verdict.acc = 1;
    verdict.outcome = Outcome::correct;
    verdict.reason = "equal";
    return verdict;
  }

 private:
  // A string that is JSON stands for its value.
  static PyValue truth_of(const PyValue& row) {
    const PyValue& answer = answer_of(row);
    if (answer.string() == nullptr) return answer;
    return py_loads(*answer.string()).value_or(answer);
  }

  std::vector<std::string> paths_;
  double tolerance_;
};

}  // namespace

std::unique_ptr<Task> make_json_match(const TaskOptions& options) {
  return std::make_unique<JsonMatch>(options);
}

}  // namespace qwen3::eval
