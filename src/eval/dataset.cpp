#include "eval/dataset.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "eval/sample_key.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMaxRowBytes = size_t{32} << 20;
constexpr int64_t kMaxRows = int64_t{1} << 30;

std::string_view without_carriage_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string text_of(const PyValue& value) {
  const std::string* text = value.string();
  return text != nullptr ? *text : py_dumps(value);
}

}  // namespace

Dataset::Dataset(const std::filesystem::path& path, Mode mode) : file_(path), mode_(mode) {
  const std::string_view text = file_.text();
  sha256_ = sha256_hex(file_.bytes());
  KeyCounts equal_rows;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const int64_t number = size() + 1;
    const std::string_view raw = without_carriage_return(text.substr(begin, end - begin));
    const size_t offset = std::exchange(begin, end + 1);
    if (raw.empty() && begin >= text.size()) break;  // an empty last line
    QWEN3_CHECK(raw.size() <= kMaxRowBytes && number <= kMaxRows,
                ErrorKind::corrupt_file,
                "{}: line {}: expected at most {} rows of at most {} bytes",
                file_.name(),
                number,
                kMaxRows,
                kMaxRowBytes);
    Line line{offset, static_cast<uint32_t>(raw.size()), 0, {}};
    const std::string json = parse(line, number).json;
    const std::string hash = sha256_hex(json);
    line.n_equal_before = equal_rows[short_key(hash)]++;
    line.hash = bytes_of_key(hash);
    lines_.push_back(line);
  }
  QWEN3_CHECK(!lines_.empty(),
              ErrorKind::corrupt_file,
              "{}: expected one JSON object a line; got an empty file",
              file_.name());
}

DatasetRow Dataset::row(int64_t index) const {
  return parse(lines_.at(static_cast<size_t>(index)), index + 1);
}

std::string Dataset::fingerprint(int64_t index) const {
  const Line& line = lines_.at(static_cast<size_t>(index));
  return fmt::format("{}:{}", key_of_bytes(line.hash), line.n_equal_before);
}

DatasetRow Dataset::parse(const Line& line, int64_t number) const {
  const std::string where = fmt::format("{}: line {}", file_.name(), number);
  const std::string_view text = file_.text().substr(line.offset, line.bytes);
  QWEN3_CHECK(utf8_valid(text),
              ErrorKind::corrupt_file,
              "{}: not valid UTF-8 at byte {} of the line; convert the file to UTF-8",
              where,
              utf8_first_invalid(text));
  DatasetRow row;
  row.value = py_load(text, where);
  const PyValue* prompt = row.value.find("prompt");
  QWEN3_CHECK(prompt != nullptr && prompt->string() != nullptr,
              ErrorKind::corrupt_file,
              "{}: expected an object with the text \"prompt\"; got {}",
              where,
              prompt == nullptr ? "none" : prompt->type_name());
  for (const char* ours : {"gen", "qwen3"}) {
    QWEN3_CHECK(mode_ == Mode::strict || row.value.find(ours) == nullptr,
                ErrorKind::corrupt_file,
                "{}: the row already has the member \"{}\"; is this an output file? Give the "
                "dataset as input_file",
                where,
                ours);
  }
  row.prompt = *prompt->string();
  if (const PyValue* task = row.value.find("task_id")) row.task_id = text_of(*task);
  row.json = py_dumps(row.value);
  QWEN3_CHECK(
      utf8_valid(row.json),
      ErrorKind::corrupt_file,
      "{}: half a surrogate pair (\\ud800 to \\udfff) cannot be written as UTF-8; remove it",
      where);
  return row;
}

}  // namespace qwen3::eval
