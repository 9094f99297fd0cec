// JSON values as CPython's json module knows them: what json.loads accepts, what == and bool() say
// about the result, and what json.dumps(ensure_ascii=False) writes. Evaluation files of other tools
// are read and written in Python, and a score that must agree to the last digit needs every quirk:
//
//   NaN, Infinity, -Infinity   accepted; inside containers NaN == NaN (json has one NaN object, and
//                              containers compare by identity first), on its own NaN != NaN
//   1 == 1.0 == true           numbers compare by value, exactly, integers of any size
//   {"a": 1, "a": 2}           the last value wins, at the place of the first
//   "\ud800"                   a surrogate without its half is kept
//   4,301 digits               refused (CPython's limit on int()), as is nesting too deep
//
// Strings are UTF-8 in which surrogates may stand as three bytes each (so "\ud83d" followed by
// "\ude00" is not U+1F600, as in Python). Values are plain data: no threads, no sharing.
// The model is CPython 3.11. Later versions accept deeper nesting and word some errors differently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace qwen3::eval {

class PyValue;
struct PyMember;
using PyList = std::vector<PyValue>;

// Keys in the order of first insertion; O(log n) lookup when there are many.
class PyDict {
 public:
  PyDict();
  ~PyDict();
  PyDict(const PyDict&);
  PyDict(PyDict&&) noexcept;
  PyDict& operator=(const PyDict&);
  PyDict& operator=(PyDict&&) noexcept;

  size_t size() const;
  const std::vector<PyMember>& members() const { return members_; }
  std::vector<PyMember>& members() { return members_; }  // change values, not keys
  const PyValue* find(std::string_view key) const;       // nullptr: no such key
  PyValue* find(std::string_view key);
  void set(std::string key, PyValue value);  // an existing key keeps its place

 private:
  size_t index_of(std::string_view key) const;

  std::vector<PyMember> members_;
  std::map<std::string, size_t, std::less<>> index_;  // filled once there are many members
};

// An integer beyond int64, as its digits: an optional '-', no leading zeros.
struct PyBigInteger {
  std::string digits;
};

class PyValue {
 public:
  enum class Type { null, boolean, integer, big_integer, floating, string, list, dict };

  PyValue() = default;
  PyValue(std::nullptr_t) {}
  PyValue(bool value) : data_(value) {}
  PyValue(int value) : data_(int64_t{value}) {}
  PyValue(int64_t value) : data_(value) {}
  PyValue(double value) : data_(value) {}
  PyValue(const char* value) : data_(std::string(value)) {}
  PyValue(std::string_view value) : data_(std::string(value)) {}
  PyValue(std::string value) : data_(std::move(value)) {}
  PyValue(PyBigInteger value) : data_(std::move(value)) {}
  PyValue(PyList value) : data_(std::move(value)) {}
  PyValue(PyDict value) : data_(std::move(value)) {}

  Type type() const { return static_cast<Type>(data_.index()); }
  const char* type_name() const;  // as Python says: NoneType, bool, int, float, str, list, dict
  bool is_null() const { return type() == Type::null; }

  // nullptr when the value is of another type.
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&data_); }
  const PyBigInteger* big_integer() const { return std::get_if<PyBigInteger>(&data_); }
  const double* floating() const { return std::get_if<double>(&data_); }
  const std::string* string() const { return std::get_if<std::string>(&data_); }
  const PyList* list() const { return std::get_if<PyList>(&data_); }
  PyList* list() { return std::get_if<PyList>(&data_); }
  const PyDict* dict() const { return std::get_if<PyDict>(&data_); }
  PyDict* dict() { return std::get_if<PyDict>(&data_); }

  // Member `key` of a dict; nullptr when there is none or this is not a dict.
  const PyValue* find(std::string_view key) const;

 private:
  std::variant<std::nullptr_t, bool, int64_t, PyBigInteger, double, std::string, PyList, PyDict>
      data_;
};

struct PyMember {
  std::string key;
  PyValue value;
};

// Why a text was refused. Python raises JSONDecodeError for `syntax` only; the other two are
// exceptions that programs which expect JSONDecodeError do not catch.
struct PyJsonProblem {
  enum class Kind { none, syntax, too_deep, too_many_digits };
  Kind kind = Kind::none;
  std::string what;     // "Expecting value"
  size_t position = 0;  // in code points from 0, as Python counts

  size_t line = 0, column = 0;  // from 1
  std::string message() const;  // "Expecting value: line 1 column 2 (char 1)"
};

// Containers inside containers that json.loads accepts a few calls below the top of a program:
// measured with the official scorer, CPython 3.11 and its recursion limit of 1000.
inline constexpr int kPyMaxDepth = 992;

// json.loads(text). Nothing when it raises; the reason goes to *problem unless that is null. Time
// is O(n log n) whatever the text, and memory grows with the text; recursion is never used.
// REQUIRES: text is UTF-8 (surrogates allowed).
std::optional<PyValue> py_loads(std::string_view text,
                                PyJsonProblem* problem = nullptr,
                                int max_depth = kPyMaxDepth);
// The same for text that must be right: throws Error{corrupt_file}, its message begun by `where`.
PyValue py_load(std::string_view text, std::string_view where);

// json.dumps(value, ensure_ascii=False): separators ", " and ": ", floats by repr.
std::string py_dumps(const PyValue& value);

bool py_equal(const PyValue& a, const PyValue& b);  // a == b, for objects made separately
// Equal texts exactly for values that are == inside a container: what dict keys and counting need.
std::string py_equality_key(const PyValue& value);
bool py_truthy(const PyValue& value);  // bool(value)
int py_depth(const PyValue& value);    // containers inside containers; a scalar is 0

PyValue py_from_json(const Json& value);

}  // namespace qwen3::eval
