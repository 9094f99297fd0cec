// Commands that answer one line of JSON for each line of JSON they read.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"
#include "cli/commands.h"

namespace qwen3::cli {

// Reads standard input line by line, parses each as a JSON object, and prints the handler's answer;
// empty lines are skipped. A line that cannot be answered (not JSON, a field is missing, the
// handler threw Error) is answered {"error":…}, so that answers stay in step with lines; the exit
// code is then kFailed.
ExitCode answer_json_lines(const std::function<Json(const Json& line)>& handler);

// Member `key` of a line. Throws Error{invalid_argument} when it is missing.
const Json& required(const Json& line, std::string_view key);

}  // namespace qwen3::cli
