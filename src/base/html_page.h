// Reports as one HTML file that asks for nothing else: a page's style and script, put into the
// program when it is built, go into the frame that all pages share (base/page/), with the data as
// one JSON text. base/page/page.js says what a page's script finds there, and must have.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3 {

struct PageParts {
  std::string_view html;  // of the frame alone; a page's script makes its sections
  std::string_view css, js;
  std::string_view icon = {};  // SVG; of a page that is served as files of its own
};

PageParts page_frame();  // base/page/

// The Content-Security-Policy in the head of every page, for a server to send with one as well.
inline constexpr std::string_view kPagePolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

// The whole page. Text in `data` stays data: it can neither end the script that holds it nor become
// markup. Ill-formed UTF-8 in it is replaced.
std::string html_page(const PageParts& page, const Json& data);

}  // namespace qwen3
