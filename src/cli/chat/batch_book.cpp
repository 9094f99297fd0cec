#include "cli/chat/batch_book.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "eval/run/append_file.h"

namespace qwen3::cli {
namespace {

constexpr const char* kMark = "qwen3_generate";
constexpr int kVersion = 1;
constexpr std::chrono::seconds kCommitEvery{1};

std::string shown(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() ? "absent" : quote_for_message(dump_json(*found), 80);
}

}  // namespace

std::filesystem::path book_path(const std::filesystem::path& out) {
  std::filesystem::path path = out;
  return path += ".partial";
}

bool may_have_book(const std::filesystem::path& out) {
  std::error_code error;
  const auto status = std::filesystem::status(out, error);
  return !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
}

BatchBook::BatchBook(const std::filesystem::path& out,
                     const Json& options,
                     const std::vector<BatchPrompt>& prompts)
    : path_(book_path(out)), prompts_(prompts), lines_(prompts.size()) {
  journal_.emplace(
      eval::open_append_file(path_),
      eval::BadLines::refuse,
      [&](std::string_view row, int64_t number) { return read_row(row, number, options); });
  if (!has_header_) {
    journal_->append(dump_json({{kMark, kVersion}, {"options", options}}));
    journal_->commit();
  }
  n_found_ = n_lines_;
  committed_ = std::chrono::steady_clock::now();
}

// Whether the row is whole. Rows of prompts that are gone or other ones now are left alone.
bool BatchBook::read_row(std::string_view row, int64_t number, const Json& options) {
  Json json;
  try {
    json = parse_json(row, name());
  } catch (const Error&) {
    if (number > 1) return false;
  }
  if (number == 1) {
    const bool ours = json.is_object() && json.contains(kMark) && json[kMark] == kVersion &&
                      json.contains("options") && json["options"].is_object();
    QWEN3_CHECK(ours,
                ErrorKind::corrupt_file,
                "{}: expected the unfinished answers of qwen3 generate; got another file; move it "
                "away, or name another --out",
                name());
    check_options(json["options"], options);
    has_header_ = true;
    return true;
  }
  if (!json.is_object() || !json.contains("prompt") || !json.contains("line")) return false;
  Json& line = json["line"];
  if (!line.is_object() || !line.contains("index") || !line["index"].is_number_unsigned()) {
    return false;
  }
  const auto index = line["index"].get<uint64_t>();
  if (index >= prompts_.size() || !prompts_[index].error.empty()) return true;
  if (json["prompt"] != sha256_hex(prompts_[index].text)) return true;
  if (lines_[index].is_null()) ++n_lines_;
  lines_[index] = std::move(line);
  return true;
}

void BatchBook::check_options(const Json& before, const Json& now) const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : before.items()) keys.push_back(key);
  for (const auto& [key, value] : now.items()) keys.push_back(key);
  for (const std::string& key : keys) {
    const std::string was = shown(before, key), is = shown(now, key);
    QWEN3_CHECK(was == is,
                ErrorKind::invalid_argument,
                "{}: was begun with {} {}; expected the same, got {}; go on with the options of "
                "then, or delete the file to begin anew",
                name(),
                key,
                was,
                is);
  }
}

void BatchBook::add(size_t index, const Json& line) {
  journal_->append(dump_json({{"prompt", sha256_hex(prompts_[index].text)}, {"line", line}}));
  ++n_lines_;
  const auto now = std::chrono::steady_clock::now();
  if (now - committed_ < kCommitEvery) return;
  journal_->commit();
  committed_ = now;
}

void BatchBook::remove() {
  std::error_code error;
  std::filesystem::remove(path_, error);
  QWEN3_CHECK(!error, ErrorKind::io, "{}: cannot be removed: {}", name(), error.message());
}

}  // namespace qwen3::cli
