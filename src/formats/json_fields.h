// Reading typed, bounded values out of a JSON object: every refusal names the file, the key, what
// was expected and what is there. null counts as absent only where a function says so.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qwen3 {

// The names of the fields that were asked for, there or not, with their prefix.
using FieldLog = std::set<std::string, std::less<>>;

class JsonFields {
 public:
  struct IntRange {
    int64_t low, high;
  };
  enum class Low { included, excluded };
  struct RealRange {
    double low, high;
    Low low_bound = Low::included;
  };

  // `object` must outlive this. `prefix` is put before keys in messages ("rope_scaling."). `log`, if not null, is told
  // what is asked for. Throws Error{corrupt_file} unless `object` is a JSON object.
  JsonFields(const Json& object,
             std::string_view where,
             std::string_view prefix = {},
             FieldLog* log = nullptr);

  // The value of `key`; nullptr if the key is absent or its value is null.
  const Json* find(std::string_view key) const;
  bool has(std::string_view key) const;  // even if null

  // Required: an absent key is an error.
  int64_t required_int(std::string_view key, IntRange range) const;
  double required_real(std::string_view key, RealRange range) const;
  std::string required_string(std::string_view key) const;

  // Absent gives nothing; null gives nothing if `null` says so and is an error otherwise.
  enum class Null { refused, absent };
  std::optional<int64_t> optional_int(std::string_view key, IntRange range, Null null) const;
  std::optional<double> optional_real(std::string_view key, RealRange range, Null null) const;
  std::optional<bool> optional_bool(std::string_view key, Null null = Null::refused) const;
  std::optional<std::string> optional_string(std::string_view key, Null null) const;
  // null and absent give an empty list.
  std::vector<int64_t> int_list(std::string_view key, IntRange range) const;
  std::vector<std::string> string_list(std::string_view key) const;
  std::vector<int32_t> int_or_list(std::string_view key, IntRange range) const;

  // The one of two spellings that is present (null counts as absent). Both present must be equal.
  // Neither gives `first`, so that messages name it.
  std::string_view spelling(std::string_view first, std::string_view second) const;

  // Throw Error naming the key.
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;  // corrupt_file
  [[noreturn]] void unsupported(std::string_view key, std::string_view supported) const;

  const std::string& where() const { return where_; }
  FieldLog* log() const { return log_; }

 private:
  void note(std::string_view key) const;  // in the log
  // The value if present; absent or (when allowed) null gives nullptr.
  const Json* value(std::string_view key, Null null, std::string_view expected) const;
  std::string got(std::string_view key) const;
  int64_t as_int(const Json& value, std::string_view key, IntRange range) const;
  double as_real(const Json& value, std::string_view key, RealRange range) const;

  const Json& object_;
  std::string where_;
  std::string prefix_;
  FieldLog* log_;
};

}  // namespace qwen3
