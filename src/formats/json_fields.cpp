#include "formats/json_fields.h"

#include <limits>

#include "base/error.h"

namespace qwen3 {
namespace {

// Small enough for a message, whatever it is.
std::string describe(const Json& value) {
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  if (value.is_object()) return fmt::format("an object of {}", value.size());
  return quote_for_message(dump_json(value), 60);
}

std::string int_expectation(JsonFields::IntRange range) {
  return fmt::format("a whole number in [{}, {}]", range.low, range.high);
}

}  // namespace

JsonFields::JsonFields(const Json& object,
                       std::string_view where,
                       std::string_view prefix,
                       FieldLog* log)
    : object_(object), where_(where), prefix_(prefix), log_(log) {
  QWEN3_CHECK(object.is_object(),
              ErrorKind::corrupt_file,
              "{}: expected a JSON object, got {}",
              where,
              describe(object));
}

void JsonFields::note(std::string_view key) const {
  if (log_ != nullptr) log_->insert(prefix_ + std::string(key));
}

bool JsonFields::has(std::string_view key) const {
  note(key);
  return object_.find(key) != object_.end();
}

const Json* JsonFields::find(std::string_view key) const {
  note(key);
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

const Json* JsonFields::value(std::string_view key, Null null, std::string_view expected) const {
  const Json* found = find(key);
  if (found == nullptr && null == Null::refused && has(key)) refuse(key, expected);
  return found;
}

std::string JsonFields::got(std::string_view key) const {
  const auto it = object_.find(key);
  return it == object_.end() ? "nothing" : describe(*it);
}

void JsonFields::refuse(std::string_view key, std::string_view expected) const {
  fail(ErrorKind::corrupt_file,
       "{}: {}{}: expected {}, got {}",
       where_,
       prefix_,
       key,
       expected,
       got(key));
}

void JsonFields::unsupported(std::string_view key, std::string_view supported) const {
  fail(ErrorKind::unsupported,
       "{}: {}{}: {} is not supported; supported: {}",
       where_,
       prefix_,
       key,
       got(key),
       supported);
}

int64_t JsonFields::as_int(const Json& value, std::string_view key, IntRange range) const {
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}
                        : value.is_number_integer();
  if (!fits) refuse(key, int_expectation(range));
  const auto number = value.get<int64_t>();
  if (number < range.low || number > range.high) refuse(key, int_expectation(range));
  return number;
}

double JsonFields::as_real(const Json& value, std::string_view key, RealRange range) const {
  const bool excluded = range.low_bound == Low::excluded;
  const auto expected = [&] {
    return fmt::format("a number in {}{}, {}]", excluded ? '(' : '[', range.low, range.high);
  };
  if (!value.is_number()) refuse(key, expected());
  const auto number = value.get<double>();
  const bool low_enough = excluded ? number > range.low : number >= range.low;
  if (!low_enough || !(number <= range.high)) refuse(key, expected());
  return number;
}

int64_t JsonFields::required_int(std::string_view key, IntRange range) const {
  const auto value = optional_int(key, range, Null::refused);
  if (!value) refuse(key, int_expectation(range));
  return *value;
}

double JsonFields::required_real(std::string_view key, RealRange range) const {
  const auto value = optional_real(key, range, Null::refused);
  if (!value) refuse(key, "a number");
  return *value;
}

std::string JsonFields::required_string(std::string_view key) const {
  const auto value = optional_string(key, Null::refused);
  if (!value) refuse(key, "a string");
  return *value;
}

std::optional<int64_t> JsonFields::optional_int(std::string_view key,
                                                IntRange range,
                                                Null null) const {
  const Json* found = value(key, null, int_expectation(range));
  if (found == nullptr) return std::nullopt;
  return as_int(*found, key, range);
}

std::optional<double> JsonFields::optional_real(std::string_view key,
                                                RealRange range,
                                                Null null) const {
  const Json* found = value(key, null, "a number");
  if (found == nullptr) return std::nullopt;
  return as_real(*found, key, range);
}

std::optional<bool> JsonFields::optional_bool(std::string_view key, Null null) const {
  const Json* found = value(key, null, "true or false");
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) refuse(key, "true or false");
  return found->get<bool>();
}

std::optional<std::string> JsonFields::optional_string(std::string_view key, Null null) const {
  const Json* found = value(key, null, "a string");
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) refuse(key, "a string");
  return found->get<std::string>();
}

std::vector<int64_t> JsonFields::int_list(std::string_view key, IntRange range) const {
  std::vector<int64_t> list;
  const Json* found = find(key);
  if (found == nullptr) return list;
  const std::string expected = "a list, each " + int_expectation(range);
  if (!found->is_array()) refuse(key, expected);
  for (const Json& item : *found) {
    if (!item.is_number_integer()) refuse(key, expected);
    list.push_back(as_int(item, key, range));
  }
  return list;
}

std::vector<std::string> JsonFields::string_list(std::string_view key) const {
  std::vector<std::string> list;
  const Json* found = find(key);
  if (found == nullptr) return list;
  if (!found->is_array()) refuse(key, "a list of strings");
  for (const Json& item : *found) {
    if (!item.is_string()) refuse(key, "a list of strings");
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::vector<int32_t> JsonFields::int_or_list(std::string_view key, IntRange range) const {
  std::vector<int32_t> list;
  const Json* found = find(key);
  if (found == nullptr) return list;
  if (!found->is_array()) return {static_cast<int32_t>(as_int(*found, key, range))};
  for (const int64_t item : int_list(key, range)) list.push_back(static_cast<int32_t>(item));
  return list;
}

std::string_view JsonFields::spelling(std::string_view first, std::string_view second) const {
  const Json* a = find(first);
  const Json* b = find(second);
  if (a != nullptr && b != nullptr && *a != *b) {
    fail(ErrorKind::corrupt_file,
         "{}: {}{} is {} but {}{} is {}; they mean the same, keep one",
         where_,
         prefix_,
         first,
         describe(*a),
         prefix_,
         second,
         describe(*b));
  }
  return has(second) && a == nullptr && (b != nullptr || !has(first)) ? second : first;
}

}  // namespace qwen3
