#include "cli/text/json_lines.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "cli/console.h"
#include "cli/input.h"

namespace qwen3::cli {

ExitCode answer_json_lines(LineErrors errors,
                           const std::function<Json(const Json& line)>& handler) {
  int64_t n_failed = 0;
  std::string text;
  LineInput input;
  for (int64_t number = 1; input.read(text) == LineInput::Status::line; ++number) {
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    Json answer;
    try {
      const std::string where = fmt::format("line {}", number);
      const Json line = parse_json(text, where);
      QWEN3_CHECK(line.is_object(),
                  ErrorKind::invalid_argument,
                  "{}: expected a JSON object; got {}",
                  where,
                  line.type_name());
      answer = handler(line);
    } catch (const Error& error) {
      answer = {{"error", error.what()}};
      ++n_failed;
    }
    print_json(answer);
  }
  if (n_failed == 0 || errors != LineErrors::are_failures) return kDone;
  print_error(fmt::format("standard input: {} line(s) could not be answered; their answers say why",
                          n_failed));
  return kFailed;
}

const Json& required(const Json& line, std::string_view key) {
  const auto found = line.find(std::string(key));
  QWEN3_CHECK(found != line.end(),
              ErrorKind::invalid_argument,
              "\"{}\": missing; expected an object with this key",
              key);
  return *found;
}

}  // namespace qwen3::cli
