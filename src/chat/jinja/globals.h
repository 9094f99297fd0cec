// Global functions: range, dict, namespace, raise_exception, strftime_now.
#pragma once

#include <memory>
#include <string_view>

#include "chat/jinja/value.h"

namespace qwen3::jinja {

// Null when there is no global of that name.
std::shared_ptr<const Callable> find_global(std::string_view name);

// Names that start with an underscore may not be set on a namespace.
void check_attribute_name(const Meter& meter, std::string_view name);

}  // namespace qwen3::jinja
