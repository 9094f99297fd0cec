// The fields that requests may have, described once for /openapi.json. A test holds the table against
// what the handlers read: a field that is read and not described fails it, and so does one that is
// described and not read. Numbers of sampling come from sampling_fields().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/api/options.h"

namespace qwen3::server {

struct DescribedField {
  enum class Need { optional, required };

  std::string name;
  std::string_view types;  // JSON Schema's, joined by '|': "string|array"; "": any
  std::string what;
  Need need = Need::optional;
  double low = 0, high = -1;  // bounds of a number where low <= high
};

using DescribedFields = std::vector<DescribedField>;

// Of POST /v1/chat/completions, /v1/completions: what both have, then what one has.
DescribedFields generation_field_descriptions(const ApiLimits& limits);
DescribedFields chat_field_descriptions(const ApiLimits& limits);
DescribedFields prompt_field_descriptions(const ApiLimits& limits);  // that make a chat's prompt
DescribedFields completion_field_descriptions(const ApiLimits& limits);
// Of the others. Of Responses and Messages, whose rooms read them, what most requests have.
DescribedFields responses_field_descriptions();
DescribedFields messages_field_descriptions();
DescribedFields control_field_descriptions();
DescribedFields decision_field_descriptions();
DescribedFields systemone_field_descriptions();
DescribedFields embedding_field_descriptions();
DescribedFields rerank_field_descriptions();
DescribedFields score_field_descriptions();
DescribedFields tokenize_field_descriptions();
DescribedFields detokenize_field_descriptions();

}  // namespace qwen3::server
