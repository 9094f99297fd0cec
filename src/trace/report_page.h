// The parts of the report's page as they stand in src/trace/report/. Defined in a file that
// room.cmake writes at build time.
#pragma once

#include <string_view>

namespace qwen3 {

std::string_view report_page();
std::string_view report_style();
std::string_view report_script();

}  // namespace qwen3
