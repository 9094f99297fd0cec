// Commands that answer one line of JSON for each line of JSON they read.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"
#include "cli/commands.h"

namespace qwen3::cli {

// What an answer {"error":…} means for the exit code: for some commands it is a result like any
// other (a template may refuse messages), for others the work has failed.
enum class LineErrors { are_results, are_failures };

// Reads standard input line by line, parses each as a JSON object, and prints the handler's answer;
// empty lines are skipped. A line that cannot be answered (not JSON, a field is missing, the
// handler threw Error) is answered {"error":…}, so that answers stay in step with lines.
ExitCode answer_json_lines(LineErrors errors, const std::function<Json(const Json& line)>& handler);

// Member `key` of a line. Throws Error{invalid_argument} when it is missing.
const Json& required(const Json& line, std::string_view key);

}  // namespace qwen3::cli
