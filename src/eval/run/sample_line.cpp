#include "eval/run/sample_line.h"

#include <fmt/format.h>
#include <zlib.h>

#include <charconv>

#include "base/error.h"
#include "eval/python/python_json.h"
#include "eval/run/sample_key.h"

namespace qwen3::eval {
namespace {

// Quotes inside JSON strings are escaped, so this text occurs between members only.
constexpr std::string_view kMember = ", \"qwen3\": {\"id\": \"";
constexpr std::string_view kSample = "\", \"sample\": ";
constexpr std::string_view kFinish = ", \"finish_reason\": \"";
constexpr std::string_view kPromptTokens = "\", \"prompt_tokens\": ";
constexpr std::string_view kCompletionTokens = ", \"completion_tokens\": ";
constexpr std::string_view kCrc = ", \"crc32\": \"";
constexpr size_t kCrcDigits = 8;
constexpr std::string_view kEnd = "\"}}";
constexpr size_t kTailBytes = kCrc.size() + kCrcDigits + kEnd.size();

// Of a line that ends after `head` and two braces.
uint32_t crc_of(std::string_view head) {
  const auto add = [](uLong before, std::string_view bytes) {
    return crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  return static_cast<uint32_t>(add(add(0, head), "}}"));
}

std::string count_text(int64_t count) { return count < 0 ? "null" : std::to_string(count); }

// Takes pieces off the front of a text; once something does not fit, all that follows fails too.
class Cutter {
 public:
  explicit Cutter(std::string_view text) : text_(text) {}

  void expect(std::string_view piece) {
    ok_ = ok_ && text_.starts_with(piece);
    if (ok_) text_.remove_prefix(piece.size());
  }

  std::string_view take(size_t n) {
    ok_ = ok_ && text_.size() >= n;
    if (!ok_) return {};
    const std::string_view piece = text_.substr(0, n);
    text_.remove_prefix(n);
    return piece;
  }

  // A JSON string's inside, up to its closing quote, which stays.
  void skip_string() {
    size_t i = 0;
    while (i < text_.size() && text_[i] != '"') i += text_[i] == '\\' ? 2 : 1;
    take(i);
  }

  // A number, or null as -1.
  int64_t count() {
    if (ok_ && text_.starts_with("null")) {
      text_.remove_prefix(4);
      return -1;
    }
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    ok_ = ok_ && error == std::errc() && value >= 0;
    if (ok_) text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }

  bool ok() const { return ok_; }

 private:
  std::string_view text_;
  bool ok_ = true;
};

}  // namespace

std::string sample_line(std::string_view row_json,
                        std::string_view key,
                        int64_t sample,
                        const Answer& answer) {
  QWEN3_CHECK(row_json.size() > 2 && row_json.ends_with('}') && is_key(key),
              ErrorKind::internal,
              "sample_line: expected an object with members, and a key");
  std::string line(row_json.substr(0, row_json.size() - 1));
  line += ", \"gen\": [" + py_dumps(answer.text) + "]";
  line += kMember;
  line += key;
  line += kSample;
  line += std::to_string(sample);
  line += ", \"finish_reason\": " + py_dumps(answer.finish_reason);
  line += ", \"prompt_tokens\": " + count_text(answer.prompt_tokens);
  line += kCompletionTokens;
  line += count_text(answer.completion_tokens);
  if (answer.reasoning) line += ", \"reasoning_content\": " + py_dumps(*answer.reasoning);
  if (answer.null_content) line += ", \"null_content\": true";
  if (!answer.loglikelihoods.empty()) {
    const PyList values(answer.loglikelihoods.begin(), answer.loglikelihoods.end());
    line += ", \"loglikelihoods\": " + py_dumps(values);
  }
  const uint32_t crc = crc_of(line);
  line += kCrc;
  line += fmt::format("{:08x}", crc);
  line += kEnd;
  return line;
}

std::optional<SampleFacts> read_sample_line(std::string_view line) {
  if (line.size() < kTailBytes || !line.ends_with(kEnd)) return std::nullopt;
  const std::string_view head = line.substr(0, line.size() - kTailBytes);
  const std::string_view tail = line.substr(head.size());
  if (!tail.starts_with(kCrc)) return std::nullopt;
  const std::string_view written = tail.substr(kCrc.size(), kCrcDigits);
  if (written != fmt::format("{:08x}", crc_of(head))) return std::nullopt;

  const size_t member = head.rfind(kMember);
  if (member == head.npos) return std::nullopt;
  Cutter cutter(head.substr(member));
  SampleFacts facts;
  cutter.expect(kMember);
  facts.key = cutter.take(64);
  cutter.expect(kSample);
  facts.sample = cutter.count();
  cutter.expect(kFinish);
  cutter.skip_string();
  cutter.expect(kPromptTokens);
  facts.prompt_tokens = cutter.count();
  cutter.expect(kCompletionTokens);
  facts.completion_tokens = cutter.count();
  if (!cutter.ok() || !is_key(facts.key) || facts.sample < 0) return std::nullopt;
  return facts;
}

bool has_sample_member(std::string_view line) { return line.rfind(kMember) != line.npos; }

}  // namespace qwen3::eval
