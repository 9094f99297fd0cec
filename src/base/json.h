// JSON for untrusted text: bounded depth and size, duplicate keys refused, key order kept.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// nlohmann-json 3.11 takes a tree apart by way of a std::vector, in a destructor that is noexcept:
// where memory has run out, and a destructor on the way of std::bad_alloc is just where it has,
// that ends the process. So the member that does it is specialised for our Json, before anything
// can use it: the containers destroy what they hold, level by level. No tree is deeper than its
// JsonLimits, and copying, comparing and writing one recurse as well.
//
// A container may be missing: the library sets the type of a value before it allocates the content.
// Whoever includes nlohmann/json.hpp must do so through this header (script/check-includes).
static_assert(NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR == 11,
              "another nlohmann-json: see whether its values are destroyed without allocating");

template <>
inline void nlohmann::ordered_json::json_value::destroy(nlohmann::ordered_json::value_t type) {
  switch (type) {
    case nlohmann::ordered_json::value_t::object:
      delete object;
      break;
    case nlohmann::ordered_json::value_t::array:
      delete array;
      break;
    case nlohmann::ordered_json::value_t::string:
      delete string;
      break;
    case nlohmann::ordered_json::value_t::binary:
      delete binary;
      break;
    default:  // the others own nothing
      break;
  }
}

namespace qwen3 {

// Keeps the order of keys (tool schemas are rendered in the order they were given). Looking up a
// key is linear: iterate over large objects instead. Destroying one never allocates (below).
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

// Builds the value by events, so that the limits hold while reading and not after. The stack of
// open containers is its own: input never drives recursion. What parse_json uses; a reader that
// takes some parts of a text elsewhere overrides events and passes the others on.
class JsonBuilder : public JsonEvents {
 public:
  // `where` must outlive the builder.
  explicit JsonBuilder(std::string_view where, JsonLimits limits = {})
      : where_(where), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool key(string_t& name) override;
  bool end_object() override;  // where duplicate keys are refused
  bool end_array() override;

 protected:
  struct Frame {
    Json* container;  // stays put: nothing is added to its parent while it is open
    std::string key;  // in an object: of the entry being read
  };
  // The containers that are open, outermost first.
  const std::vector<Frame>& open_containers() const { return stack_; }
  std::string_view where() const { return where_; }

 private:
  Json* place(Json value);
  bool add(Json value);
  bool open(Json container);

  std::string_view where_;
  JsonLimits limits_;
  Json root_;
  std::vector<Frame> stack_;
  int64_t n_values_ = 0;
};

// `text` made fit for one line of a message: cut after max_bytes, ill-formed UTF-8 replaced,
// control characters escaped.
std::string quote_for_message(std::string_view text, size_t max_bytes = 100);

}  // namespace qwen3
