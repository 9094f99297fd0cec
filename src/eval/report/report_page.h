// The page of src/eval/report/. Defined in a file that cmake/embed_page.cmake writes.
#pragma once

#include "base/html_page.h"

namespace qwen3::eval {

PageParts report_page();

}  // namespace qwen3::eval
