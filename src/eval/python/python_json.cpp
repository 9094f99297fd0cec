#include "eval/python/python_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace qwen3::eval {
namespace {

// Below this, a scan beats the index and most rows stay without one.
constexpr size_t kIndexedFrom = 16;

// REQUIRES: number is a whole number.
std::string whole_digits(double number) {
  char digits[std::numeric_limits<double>::max_exponent10 + 3];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed, 0);
  return std::string(digits, end.ptr);
}

bool big_equals(const PyBigInteger& big, double number) {
  return std::isfinite(number) && number == std::trunc(number) &&
         big.digits == whole_digits(number);
}

bool integer_equals(int64_t integer, double number) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  return number >= -kTwoTo63 && number < kTwoTo63 && number == std::trunc(number) &&
         static_cast<int64_t>(number) == integer;
}

// Bool is a kind of int in Python.
std::optional<int64_t> small_integer(const PyValue& value) {
  if (const bool* b = value.boolean()) return *b ? 1 : 0;
  if (const int64_t* i = value.integer()) return *i;
  return std::nullopt;
}

// Nothing when one of them is not a number.
std::optional<bool> numbers_equal(const PyValue& a, const PyValue& b) {
  const auto small_a = small_integer(a), small_b = small_integer(b);
  if (small_a && small_b) return *small_a == *small_b;
  if (a.floating() && b.floating()) return *a.floating() == *b.floating();
  if (small_a && b.floating()) return integer_equals(*small_a, *b.floating());
  if (a.floating() && small_b) return integer_equals(*small_b, *a.floating());
  if (a.big_integer() && b.floating()) return big_equals(*a.big_integer(), *b.floating());
  if (a.floating() && b.big_integer()) return big_equals(*b.big_integer(), *a.floating());
  if (a.big_integer() && b.big_integer()) return a.big_integer()->digits == b.big_integer()->digits;
  return std::nullopt;
}

// Containers ask "is it the same object?" before ==, and json makes one NaN object for all.
bool element_equal(const PyValue& a, const PyValue& b) {
  const bool both_nan =
      a.floating() && b.floating() && std::isnan(*a.floating()) && std::isnan(*b.floating());
  return both_nan || py_equal(a, b);
}

bool dicts_equal(const PyDict& a, const PyDict& b) {
  return a.size() == b.size() &&
         std::all_of(a.members().begin(), a.members().end(), [&](const PyMember& member) {
           const PyValue* other = b.find(member.key);
           return other != nullptr && element_equal(member.value, *other);
         });
}

bool lists_equal(const PyList& a, const PyList& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), element_equal);
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  size_t copied = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, copied, at - copied);
    copied = at + 1;
    append_python_json(out, text[at]);
  }
  out.append(text, copied).append(1, '"');
}

void append_float(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "Infinity" : "-Infinity";
  } else {
    out += python_float_repr(value);
  }
}

void append_value(std::string& out, const PyValue& value) {
  switch (value.type()) {
    case PyValue::Type::null:
      out += "null";
      break;
    case PyValue::Type::boolean:
      out += *value.boolean() ? "true" : "false";
      break;
    case PyValue::Type::integer:
      out += std::to_string(*value.integer());
      break;
    case PyValue::Type::big_integer:
      out += value.big_integer()->digits;
      break;
    case PyValue::Type::floating:
      append_float(out, *value.floating());
      break;
    case PyValue::Type::string:
      append_string(out, *value.string());
      break;
    case PyValue::Type::list: {
      const char* separator = "[";
      for (const PyValue& item : *value.list()) {
        out += separator;
        append_value(out, item);
        separator = ", ";
      }
      out += value.list()->empty() ? "[]" : "]";
      break;
    }
    case PyValue::Type::dict: {
      const char* separator = "{";
      for (const PyMember& member : value.dict()->members()) {
        out += separator;
        append_string(out, member.key);
        out += ": ";
        append_value(out, member.value);
        separator = ", ";
      }
      out += value.dict()->size() == 0 ? "{}" : "}";
      break;
    }
  }
}

}  // namespace

PyDict::PyDict() = default;
PyDict::~PyDict() = default;
PyDict::PyDict(const PyDict&) = default;
PyDict::PyDict(PyDict&&) noexcept = default;
PyDict& PyDict::operator=(const PyDict&) = default;
PyDict& PyDict::operator=(PyDict&&) noexcept = default;

size_t PyDict::size() const { return members_.size(); }

size_t PyDict::index_of(std::string_view key) const {
  if (members_.size() >= kIndexedFrom) {
    const auto found = index_.find(key);
    return found == index_.end() ? members_.size() : found->second;
  }
  const auto found = std::find_if(
      members_.begin(), members_.end(), [&](const PyMember& member) { return member.key == key; });
  return static_cast<size_t>(found - members_.begin());
}

const PyValue* PyDict::find(std::string_view key) const {
  const size_t index = index_of(key);
  return index == members_.size() ? nullptr : &members_[index].value;
}

PyValue* PyDict::find(std::string_view key) {
  return const_cast<PyValue*>(std::as_const(*this).find(key));
}

void PyDict::set(std::string key, PyValue value) {
  if (PyValue* existing = find(key)) {
    *existing = std::move(value);
    return;
  }
  members_.push_back({std::move(key), std::move(value)});
  if (members_.size() < kIndexedFrom) return;
  for (size_t i = index_.size(); i < members_.size(); ++i) index_.emplace(members_[i].key, i);
}

const char* PyValue::type_name() const {
  static constexpr const char* kNames[] = {
      "NoneType", "bool", "int", "int", "float", "str", "list", "dict"};
  return kNames[data_.index()];
}

const PyValue* PyValue::find(std::string_view key) const {
  return dict() == nullptr ? nullptr : dict()->find(key);
}

std::string py_dumps(const PyValue& value) {
  std::string out;
  append_value(out, value);
  return out;
}

bool py_equal(const PyValue& a, const PyValue& b) {
  if (const auto equal = numbers_equal(a, b)) return *equal;
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case PyValue::Type::null:
      return true;
    case PyValue::Type::string:
      return *a.string() == *b.string();
    case PyValue::Type::list:
      return lists_equal(*a.list(), *b.list());
    case PyValue::Type::dict:
      return dicts_equal(*a.dict(), *b.dict());
    default:
      return false;  // numbers are done with
  }
}

bool py_truthy(const PyValue& value) {
  switch (value.type()) {
    case PyValue::Type::null:
      return false;
    case PyValue::Type::boolean:
      return *value.boolean();
    case PyValue::Type::integer:
      return *value.integer() != 0;
    case PyValue::Type::big_integer:
      return true;
    case PyValue::Type::floating:
      return *value.floating() != 0;  // NaN is true
    case PyValue::Type::string:
      return !value.string()->empty();
    case PyValue::Type::list:
      return !value.list()->empty();
    case PyValue::Type::dict:
      return value.dict()->size() != 0;
  }
  return false;
}

int py_depth(const PyValue& value) {
  int depth = 0;
  if (const PyList* list = value.list()) {
    for (const PyValue& item : *list) depth = std::max(depth, py_depth(item));
    return depth + 1;
  }
  if (const PyDict* dict = value.dict()) {
    for (const PyMember& member : dict->members()) depth = std::max(depth, py_depth(member.value));
    return depth + 1;
  }
  return 0;
}

std::string py_equality_key(const PyValue& value) {
  if (const auto integer = small_integer(value)) return std::to_string(*integer);
  if (const double* number = value.floating()) {
    const bool whole = std::isfinite(*number) && *number == std::trunc(*number);
    return !whole ? python_float_repr(*number) : *number == 0 ? "0" : whole_digits(*number);
  }
  std::string key;
  if (const PyList* list = value.list()) {
    for (const PyValue& item : *list)
      key.append(key.empty() ? "[" : ",").append(py_equality_key(item));
    return key.empty() ? "[]" : key + "]";
  }
  if (const PyDict* dict = value.dict()) {
    std::vector<const PyMember*> members;
    for (const PyMember& member : dict->members()) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const PyMember* a, const PyMember* b) {
      return a->key < b->key;
    });
    for (const PyMember* member : members) {
      key.append(key.empty() ? "{" : ",");
      append_string(key, member->key);
      key.append(":").append(py_equality_key(member->value));
    }
    return key.empty() ? "{}" : key + "}";
  }
  return py_dumps(value);
}

PyValue py_from_json(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return PyBigInteger{std::to_string(number)};
    }
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    PyList list;
    for (const Json& item : value) list.push_back(py_from_json(item));
    return list;
  }
  if (value.is_object()) {
    PyDict dict;
    for (const auto& [key, item] : value.items()) dict.set(key, py_from_json(item));
    return dict;
  }
  return nullptr;
}

}  // namespace qwen3::eval
