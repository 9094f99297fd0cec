// URIs as JSON Schema uses them: `$id` and `$ref` resolved against a base (RFC 3986, section 5.2) and the
// fragments that are JSON pointers (RFC 6901). Nothing is ever fetched.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

// Reference resolved against base; both may have a fragment, the result has the reference's. "" is a base too:
// of a document without a name.
std::string resolve_uri(std::string_view base, std::string_view reference);

struct UriParts {
  std::string_view document;  // all before `#`
  std::string_view fragment;
};
UriParts split_fragment(std::string_view uri);

// Percent escapes undone; none if one is broken.
std::optional<std::string> percent_decode(std::string_view text);

// "/a/b~1c" as {"a", "b/c"}; none where it is no JSON pointer.
std::optional<std::vector<std::string>> pointer_steps(std::string_view pointer);

// One step of a JSON pointer, `~` and `/` escaped, with the `/` before it.
std::string pointer_step(std::string_view key);

}  // namespace qwen3
