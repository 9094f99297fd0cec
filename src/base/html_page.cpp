#include "base/html_page.h"

#include <array>
#include <span>
#include <utility>

namespace qwen3 {
namespace {

// JSON that may stand inside <script>: neither "</script>" nor "<!--" can occur.
std::string script_safe(std::string_view json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    switch (c) {
      case '<':
        safe += "\\u003c";
        break;
      case '>':
        safe += "\\u003e";
        break;
      case '&':
        safe += "\\u0026";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

// `page` with each mark replaced; what is put in is not looked at again.
std::string fill(std::string_view page,
                 std::span<const std::pair<std::string_view, std::string_view>> values) {
  std::string filled;
  while (!page.empty()) {
    size_t at = page.npos;
    const std::pair<std::string_view, std::string_view>* first = nullptr;
    for (const auto& value : values) {
      const size_t found = page.find(value.first);
      if (found < at) {
        at = found;
        first = &value;
      }
    }
    filled.append(page.substr(0, at));
    if (first == nullptr) break;
    filled.append(first->second);
    page.remove_prefix(at + first->first.size());
  }
  return filled;
}

}  // namespace

std::string html_page(const PageParts& page, const Json& data) {
  const PageParts frame = page_frame();
  const std::string json = script_safe(dump_json(data));
  const std::array<std::pair<std::string_view, std::string_view>, 6> values{
      {{"/*POLICY*/", kPagePolicy},
       {"/*COMMON-STYLE*/", frame.css},
       {"/*STYLE*/", page.css},
       {"/*DATA*/", json},
       {"/*COMMON-SCRIPT*/", frame.js},
       {"/*SCRIPT*/", page.js}}};
  return fill(frame.html, values);
}

}  // namespace qwen3
