// How people and models mark the answer inside a text: \boxed{…}, "#### 42", "The answer is …".
// Shared by the tasks whose answers are short. Linear time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/tasks/task.h"

namespace qwen3::eval {

// The inside of the last \boxed{…} (or \fbox{…}) whose braces balance.
std::optional<std::string_view> last_boxed(std::string_view text);

// What follows the last "answer is" (or "option is", "choice is"), "answer:" or "answer =" (any case, stars and white space
// between allowed), or the last "答案是", "答案为", "答案：", "【答案】", "答案选" or "选项是", to
// the end of its line.
std::optional<std::string_view> last_stated_answer(std::string_view text);

// What follows the last "####", to the end of its line.
std::optional<std::string_view> last_marked_answer(std::string_view text);

// The last line that holds more than white space.
std::optional<std::string_view> last_line(std::string_view text);

void replace_all(std::string& text, std::string_view what, std::string_view by);

// The acceptable answers of a row: its "answer", or each element when that is a list. Numbers and
// booleans as Python's JSON writes them.
std::vector<std::string> accepted_answers(const PyValue& row);

}  // namespace qwen3::eval
