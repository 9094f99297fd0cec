#include "cli/numbers.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/input.h"

namespace qwen3::cli {
namespace {

// A list of ids in a file: far more than any context holds.
constexpr size_t kMaxListBytes = 64 << 20;

template <typename Number>
std::optional<Number> parse_whole(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::vector<int64_t> parse_list(std::string_view text,
                                std::string_view option,
                                int64_t low,
                                int64_t high) {
  std::string file;
  if (text.starts_with('@')) {
    file = read_input_file(std::string(text.substr(1)), kMaxListBytes);
    text = file;
  }
  std::vector<int64_t> values;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = trim(text.substr(begin, end - begin), " \t\r\n");
    const std::optional<int64_t> value = parse_integer(word);
    if (!value || *value < low || *value > high) {
      throw UsageError(fmt::format(
          "{}: expected integers from {} to {}, separated by commas; got \"{}\" as number {}",
          option,
          low,
          high,
          word,
          values.size() + 1));
    }
    values.push_back(*value);
    begin = end + 1;
  }
  return values;
}

}  // namespace

std::optional<double> parse_number(std::string_view word) {
  const std::optional<double> value = parse_whole<double>(word);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<int64_t> parse_integer(std::string_view word) { return parse_whole<int64_t>(word); }

std::optional<uint64_t> parse_unsigned(std::string_view word) {
  return parse_whole<uint64_t>(word);
}

CLI::Validator number_in(double low, double high) {
  const auto check = [low, high](std::string& word) {
    const std::optional<double> value = parse_number(word);
    if (value && *value >= low && *value <= high) return std::string();
    return fmt::format("expected a number from {} to {}; got \"{}\"", low, high, word);
  };
  return CLI::Validator(check, "", "");
}

CLI::Validator integer_in(int64_t low, int64_t high) {
  const auto check = [low, high](std::string& word) {
    const std::optional<int64_t> value = parse_integer(word);
    if (value && *value >= low && *value <= high) return std::string();
    if (high == std::numeric_limits<int64_t>::max()) {
      return fmt::format("expected an integer of at least {}; got \"{}\"", low, word);
    }
    return fmt::format("expected an integer from {} to {}; got \"{}\"", low, high, word);
  };
  return CLI::Validator(check, "", "");
}

CLI::Validator any_unsigned() {
  const auto check = [](std::string& word) {
    if (parse_unsigned(word)) return std::string();
    return fmt::format("expected an integer from 0 to 2^64 - 1; got \"{}\"", word);
  };
  return CLI::Validator(check, "", "");
}

std::vector<int32_t> parse_id_list(std::string_view text, std::string_view option, int32_t low) {
  const std::vector<int64_t> wide =
      parse_list(text, option, low, std::numeric_limits<int32_t>::max());
  return {wide.begin(), wide.end()};
}

std::vector<int64_t> parse_size_list(std::string_view text,
                                     std::string_view option,
                                     int64_t low,
                                     int64_t high) {
  return parse_list(text, option, low, high);
}

}  // namespace qwen3::cli
