// The formats of JSON Schema that are enforced, as sets of texts. All others are annotations.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "grammar/text_dfa.h"

namespace qwen3 {

using TextSetPtr = std::shared_ptr<const TextDfa>;

struct SchemaFormat {
  TextSetPtr texts;
  int64_t max_length = -1;  // code points; -1: no limit
};

// date-time, date, time, duration, email, hostname, ipv4, ipv6, uri, uri-reference, iri, iri-reference, regex,
// uuid; none for the rest.
// int32 and int64 are formats of numbers and none of texts.
std::optional<SchemaFormat> find_format(std::string_view name);

}  // namespace qwen3
