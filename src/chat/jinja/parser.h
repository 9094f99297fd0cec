#pragma once

#include <memory>
#include <string_view>

#include "chat/jinja/syntax.h"

namespace qwen3::jinja {

// See ChatTemplate::parse for the errors.
std::shared_ptr<const Program> parse_template(std::string_view source, std::string_view where);

}  // namespace qwen3::jinja
