// JSON for untrusted text: bounded depth and size, duplicate keys refused, key order kept.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace qwen3 {

// Keeps the order of keys (tool schemas are rendered in the order they were given). Looking up a
// key is linear: iterate over large objects instead.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  int max_depth = 64;
  int64_t max_values = 2'000'000;  // objects, arrays and scalars together
};

// Parses one JSON text. `where` begins every error message (a file name, "request body").
// Throws Error{corrupt_file} on syntax errors, ill-formed UTF-8, duplicate keys, numbers that do
// not fit a double, or a breach of `limits`. Time is O(n log n) whatever the keys are.
Json parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});

// Compact JSON on one line; ill-formed UTF-8 inside strings is replaced, never thrown.
std::string dump_json(const Json& value);

// Receives a text event by event, for readers that must not build a tree of hostile size. Override
// the events of nlohmann::json_sax and throw Error to stop.
class JsonEvents : public nlohmann::json_sax<Json> {
 public:
  bool binary(binary_t&) override { return false; }  // never occurs in text
  bool parse_error(std::size_t position,
                   const std::string& last_token,
                   const nlohmann::detail::exception& e) final;

 private:
  friend void parse_json_events(std::string_view, std::string_view, JsonEvents&);
  std::size_t position_ = 0;
  std::string problem_;
};

// As parse_json, but depth, size and duplicate keys are the receiver's business.
void parse_json_events(std::string_view text, std::string_view where, JsonEvents& events);

// `text` made fit for one line of a message: cut after max_bytes, ill-formed UTF-8 replaced,
// control characters escaped.
std::string quote_for_message(std::string_view text, size_t max_bytes = 100);

}  // namespace qwen3
