// Values of the template language: Python's None, bool, int, float, str, list, tuple, dict, the
// iterators that filters return, and Jinja's Undefined, namespace, loop and callables.
//
// Values are immutable and shared. The one exception is Namespace, whose attributes a template may
// set; the interpreter keeps all of them in a list to break the cycles they can form. `depth` is
// bounded when a container is made, so that printing, comparing and destroying may recurse.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "chat/jinja/meter.h"
#include "chat/jinja/text.h"

namespace qwen3::jinja {

// 128 bits hold every integer of JSON schemas (uint64 maxima occur) and most products; beyond
// that, arithmetic fails instead of wrapping.
__extension__ typedef __int128 Int;

class Interpreter;
class Value;
struct Sequence;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;

struct Undefined {
  Text name;              // the variable or attribute that was looked up
  const char* of = "";    // the type it was looked up in; empty for variables
  const char* hint = "";  // replaces the message when not empty
};

enum class Kind : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  floating,
  string,
  sequence,
  dict,
  space,
  callable,
  loop
};

class Value {
 public:
  Value() : data_(nullptr) {}
  Value(Undefined v) : data_(std::move(v)) {}  // NOLINT(google-explicit-constructor)
  Value(const char*) = delete;                 // would become a bool
  Value(bool v) : data_(v) {}                  // NOLINT
  Value(Int v) : data_(v) {}                   // NOLINT
  Value(double v) : data_(v) {}                // NOLINT
  Value(Text v) : data_(std::move(v)) {}       // NOLINT
  Value(std::shared_ptr<const Sequence> v) : data_(std::move(v)) {}  // NOLINT
  Value(std::shared_ptr<const Dict> v) : data_(std::move(v)) {}      // NOLINT
  Value(std::shared_ptr<Namespace> v) : data_(std::move(v)) {}       // NOLINT
  Value(std::shared_ptr<const Callable> v) : data_(std::move(v)) {}  // NOLINT
  Value(std::shared_ptr<Loop> v) : data_(std::move(v)) {}            // NOLINT
  static Value integer(int64_t v) { return Value(static_cast<Int>(v)); }
  static Value trusted(std::string_view text) { return Value(Text(std::string(text), true)); }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool is_undefined() const { return is(Kind::undefined); }
  bool is_none() const { return is(Kind::none); }
  bool is_string() const { return is(Kind::string); }
  // int or bool, which Python counts as int.
  bool is_integral() const { return is(Kind::integer) || is(Kind::boolean); }
  bool is_number() const { return is_integral() || is(Kind::floating); }

  const Undefined& undefined() const { return *std::get_if<Undefined>(&data_); }
  bool boolean() const { return *std::get_if<bool>(&data_); }
  Int integral() const { return is(Kind::boolean) ? Int{boolean()} : *std::get_if<Int>(&data_); }
  double number() const {
    return is(Kind::floating) ? *std::get_if<double>(&data_) : static_cast<double>(integral());
  }
  const Text& text() const { return *std::get_if<Text>(&data_); }
  std::string_view view() const { return text().view(); }
  const std::shared_ptr<const Sequence>& sequence() const {
    return *std::get_if<std::shared_ptr<const Sequence>>(&data_);
  }
  const std::shared_ptr<const Dict>& dict() const {
    return *std::get_if<std::shared_ptr<const Dict>>(&data_);
  }
  const std::shared_ptr<Namespace>& space() const {
    return *std::get_if<std::shared_ptr<Namespace>>(&data_);
  }
  const std::shared_ptr<const Callable>& callable() const {
    return *std::get_if<std::shared_ptr<const Callable>>(&data_);
  }
  const std::shared_ptr<Loop>& loop() const { return *std::get_if<std::shared_ptr<Loop>>(&data_); }

  int depth() const;

 private:
  std::variant<Undefined,
               std::nullptr_t,
               bool,
               Int,
               double,
               Text,
               std::shared_ptr<const Sequence>,
               std::shared_ptr<const Dict>,
               std::shared_ptr<Namespace>,
               std::shared_ptr<const Callable>,
               std::shared_ptr<Loop>>
      data_;
};

enum class SequenceType : uint8_t {
  list,
  tuple,
  range,
  iterator,
  dict_keys,
  dict_values,
  dict_items
};

struct Sequence {
  SequenceType type = SequenceType::list;
  std::vector<Value> items;
  int depth = 1;
  Int range_start = 0;  // for printing a range
  Int range_stop = 0;
  Int range_step = 1;
  mutable bool consumed = false;  // an iterator yields its items once

  bool has_length() const { return type != SequenceType::iterator; }
  bool is_indexable() const { return type <= SequenceType::range; }
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // insertion order, unique keys
  std::vector<uint32_t> by_name;                 // entries with string keys, sorted by key
  int depth = 1;

  const Value* find(std::string_view key) const;
  const Value* find(const Value& key, Meter& meter) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// Arguments of a call, filter or test.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  bool empty() const { return positional.empty() && keywords.empty(); }
};

struct Callable {
  virtual ~Callable() = default;
  virtual Value call(Interpreter& in, Args& args) const = 0;
  virtual std::string_view name() const = 0;
  int depth = 1;
};

// The `loop` variable. `fetch` yields the next item while the loop runs, and is empty afterwards.
struct Loop {
  std::function<bool(Value*)> fetch;
  std::function<Value(const Value&)> recurse;  // loop(items) in a recursive loop
  std::vector<Value> ahead;                    // fetched, not yet visited; in reverse order
  Value current;
  Value previous;
  std::vector<Value> changed;
  bool was_changed = false;
  int64_t index0 = -1;
  int64_t known_length = -1;
  int nesting = 0;
  int depth = 1;

  bool peek();
  int64_t length();
};

Value make_list(std::vector<Value> items, Meter& meter, SequenceType type = SequenceType::list);
// Later entries with an equal key replace the value of earlier ones, as Python's dict does.
Value make_dict(std::vector<std::pair<Value, Value>>&& entries, Meter& meter);
Value from_json(const Json& json, Meter& meter, int depth = 0);

// Python's bool(), ==, <, str(), repr(), type(x).__name__.
bool truthy(const Value& value);
bool equal(const Value& a, const Value& b, Meter& meter);
bool less(const Value& a, const Value& b, Meter& meter);
Text to_text(const Value& value, Meter& meter);
void append_repr(TextBuilder& out, const Value& value, Meter& meter, int depth = 0);
const char* type_name(const Value& value);
std::string integer_text(Int value);
std::string undefined_message(const Undefined& undefined);

// The items that iterating over the value yields. Fails for what is not iterable.
std::shared_ptr<const Sequence> iterate(const Value& value, Meter& meter);
bool contains(const Value& container, const Value& item, Meter& meter);
bool is_iterable(const Value& value);
// May it be the key of a dict?
bool is_hashable(const Value& value);

// json.dumps(ensure_ascii=...). `indent` < 0 means one line.
struct JsonStyle {
  int indent = -1;
  std::string indent_text;  // used instead of `indent` spaces when not empty
  Text item_separator;
  Text key_separator;
  bool ensure_ascii = false;
  bool sort_keys = false;
};
Text to_json_text(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace qwen3::jinja
