#include "eval/run/failure_log.h"

#include <system_error>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/json.h"
#include "base/output_file.h"
#include "eval/python/python_json.h"
#include "eval/run/run_files.h"
#include "eval/run/sample_key.h"

namespace qwen3::eval {
namespace {

// The member of a line, as text; "" when the line is none of ours.
std::string text_member(std::string_view line, const char* key) {
  try {
    const Json value = parse_json(line, "failure");
    if (value.is_object() && value.contains(key) && value[key].is_string()) {
      return value[key].get<std::string>();
    }
  } catch (const Error&) {  // a torn line: the journal cuts it
  }
  return {};
}

}  // namespace

FailureLog::FailureLog(const std::filesystem::path& output) : path_(failures_path(output)) {
  if (file_exists(path_)) open();
}

void FailureLog::open() {
  const auto visit = [this](std::string_view line, int64_t) {
    const std::string key = text_member(line, "id");
    if (!is_key(key)) return false;
    lines_[key] = std::string(line);
    return true;
  };
  journal_ = std::make_unique<Journal>(open_append_file(path_), BadLines::refuse, visit);
}

void FailureLog::add(const std::string& key,
                     const std::string& task_id,
                     int64_t sample,
                     const Failure& failure,
                     int attempts) {
  if (journal_ == nullptr) open();
  PyDict line;
  line.set("id", key);
  line.set("task_id", task_id);
  line.set("sample", sample);
  line.set("kind", std::string(failure_name(failure.kind)));
  line.set("status", int64_t{failure.status});
  line.set("message", failure.message);
  line.set("attempts", int64_t{attempts});
  const std::string text = py_dumps(PyValue(std::move(line)));
  journal_->append(text);
  journal_->commit();
  lines_[key] = text;
}

void FailureLog::forget(const std::string& key) { lines_.erase(key); }

void FailureLog::finish() {
  if (journal_ == nullptr) return;
  if (lines_.empty()) {
    std::error_code error;
    std::filesystem::remove(path_, error);  // what stays is read and dropped by the next run
    return;
  }
  OutputFile file(path_);
  for (const auto& [key, line] : lines_) file.write(line + "\n");
  file.sync();
  file.commit();
  journal_.reset();
}

std::map<std::string, int64_t> FailureLog::counts() const {
  std::map<std::string, int64_t> counts;
  for (const auto& [key, line] : lines_) ++counts[text_member(line, "kind")];
  return counts;
}

}  // namespace qwen3::eval
