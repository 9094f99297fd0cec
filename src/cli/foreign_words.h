// What people who know other programs type first, and what there is here instead. Words that mean exactly the same
// here are aliases of their options; these do not.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qwen3::cli {

// "; …": the remedy for an unknown option or command; else did_you_mean() of the known ones.
std::string remedy_for_option(std::string_view word, std::span<const std::string> known);
std::string remedy_for_command(std::string_view word, std::span<const std::string> known);

// Throws UsageError for options of one dash and several letters, before the parser takes "-ngl" for "-n gl".
void refuse_foreign_options(std::span<const std::string> words);

}  // namespace qwen3::cli
