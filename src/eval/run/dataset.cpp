#include "eval/run/dataset.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "eval/run/line_scanner.h"

namespace qwen3::eval {
namespace {

constexpr int64_t kMaxRowBytes = int64_t{32} << 20;
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
  KeyCounts equal_rows;
  LineScanner lines(file_, kMaxRowBytes);
  LineScanner::Line line;
  while (lines.next(line)) {
    const std::string_view text = without_carriage_return(line.text);
    if (text.empty() && line.end == file_.size()) break;  // an empty last line
    add(text, line.begin, equal_rows);
  }
  QWEN3_CHECK(!lines_.empty(),
              ErrorKind::corrupt_file,
              "{}: expected one JSON object per line; got an empty file",
              file_.name());
  sha256_ = file_.sha256();
  file_.check_unchanged();
}

void Dataset::add(std::string_view text, int64_t offset, KeyCounts& equal_rows) {
  const int64_t number = size() + 1;
  QWEN3_CHECK(number <= kMaxRows,
              ErrorKind::corrupt_file,
              "{}: line {}: expected at most {} rows",
              file_.name(),
              number,
              kMaxRows);
  const std::string hash = sha256_hex(parse(text, number).json);
  lines_.push_back({.offset = offset,
                    .bytes = static_cast<uint32_t>(text.size()),
                    .n_equal_before = equal_rows[short_key(hash)]++,
                    .hash = bytes_of_key(hash)});
}

DatasetRow Dataset::row(int64_t index) const {
  const Line& line = lines_.at(static_cast<size_t>(index));
  std::string text(line.bytes, '\0');
  file_.read(line.offset, std::as_writable_bytes(std::span(text)));
  DatasetRow row = parse(text, index + 1);
  QWEN3_CHECK(bytes_of_key(sha256_hex(row.json)) == line.hash,
              ErrorKind::corrupt_file,
              "{}: line {}: changed since the run began; expected the row that was there then; "
              "restore the file, or start over with another output_file",
              file_.name(),
              index + 1);
  return row;
}

std::string Dataset::fingerprint(int64_t index) const {
  const Line& line = lines_.at(static_cast<size_t>(index));
  return fmt::format("{}:{}", key_of_bytes(line.hash), line.n_equal_before);
}

DatasetRow Dataset::parse(std::string_view text, int64_t number) const {
  const std::string where = fmt::format("{}: line {}", file_.name(), number);
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
