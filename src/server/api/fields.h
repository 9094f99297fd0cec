// Fields: one JSON object of a request, read by name with type and bounds. Every complaint is an
// ApiError whose param is the field's path. null counts as absent, as clients mean it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "server/api/api_error.h"

namespace qwen3::server {

class Fields {
 public:
  // Keeps references into `object`. `path` stands before the names: "stream_options".
  explicit Fields(const Json& object, std::string path = {});

  // The value if it is there and not null.
  const Json* value(std::string_view name);
  bool has(std::string_view name) { return value(name) != nullptr; }
  // There, and not false, 0, "", [] or {}: what clients send who do not use a field.
  bool used(std::string_view name);

  std::optional<bool> boolean(std::string_view name);
  // Whole numbers; 3.0 is one, "3" and true are not.
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high);
  std::optional<double> number(std::string_view name, double low, double high);
  std::optional<std::string> text(std::string_view name, size_t max_bytes);
  const Json* array(std::string_view name, size_t max_size);
  const Json* object(std::string_view name);

  // The first of several names for one thing that is there; complains when two of them differ.
  std::string_view one_of(std::initializer_list<std::string_view> names);

  std::string path(std::string_view name) const;
  // The paths that are asked for on this thread, there or not: for the test that holds the
  // description of the API against what is read. Null: nobody wants to know.
  static thread_local std::set<std::string>* asked;

  // Names of the object that nobody asked for; for the log.
  std::vector<std::string> unread() const;

 private:
  struct Entry {
    const Json* value;
    bool read = false;
  };
  std::string path_;
  std::unordered_map<std::string_view, Entry> entries_;
};

// An entry of a list, as errors name it: "input[3]". The text is made when it is asked for, because a
// hostile list has a million entries and nothing to say about any.
struct Place {
  const std::string& list;  // outlives this
  size_t index;

  std::string text() const;
};

// As Fields::integer and number, for values elsewhere. `path` names the value.
int64_t read_integer(const Json& value, std::string_view path, int64_t low, int64_t high);
double read_number(const Json& value, std::string_view path, double low, double high);
// A token id: 0 to n_tokens - 1.
int32_t read_token_id(const Json& value, std::string_view path, int64_t n_tokens);
// A list of token ids.
std::vector<int32_t> read_token_ids(const Json& list, std::string_view path, int64_t n_tokens);

// What stands there instead, for messages: "\"high\"", "a list".
std::string describe(const Json& value);

}  // namespace qwen3::server
