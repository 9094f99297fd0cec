// Numbers and lists on the command line, read strictly: the whole word must be the number, finite
// and in range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class Validator;
}

namespace qwen3::cli {

// The number that `word` spells in full; empty otherwise (also for nan and inf).
std::optional<double> parse_number(std::string_view word);
std::optional<int64_t> parse_integer(std::string_view word);
std::optional<uint64_t> parse_unsigned(std::string_view word);

// Validators for CLI11 options.
CLI::Validator number_in(double low, double high);
CLI::Validator integer_in(int64_t low, int64_t high);
CLI::Validator any_unsigned();

// "1,2,3" (white space around numbers allowed), or "@FILE" with the same in a file, for lists that
// are too long for a command line. Each number lies in [low, high].
// Throws UsageError naming `option` and the offending word.
std::vector<int32_t> parse_id_list(std::string_view text, std::string_view option, int32_t low = 0);
// "0,1024" as int64.
std::vector<int64_t> parse_size_list(std::string_view text,
                                     std::string_view option,
                                     int64_t low,
                                     int64_t high);

}  // namespace qwen3::cli
