#include "server/api/fields.h"

#include <fmt/format.h>

#include <cmath>

namespace qwen3::server {

std::string describe(const Json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  if (value.is_string()) {
    return fmt::format("\"{}\"", quote_for_message(value.get_ref<const std::string&>(), 60));
  }
  return dump_json(value);
}

std::string Place::text() const { return fmt::format("{}[{}]", list, index); }

int64_t read_integer(const Json& value, std::string_view path, int64_t low, int64_t high) {
  const auto complain = [&] {
    refuse(path,
           fmt::format("expected an integer from {} to {}, got {}", low, high, describe(value)));
  };
  int64_t whole = 0;
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) complain();
    whole = static_cast<int64_t>(number);
  } else if (value.is_number_integer()) {
    whole = value.get<int64_t>();
  } else if (value.is_number_float()) {
    const auto number = value.get<double>();
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (!(std::abs(number) <= kExact) || number != std::floor(number)) complain();
    whole = static_cast<int64_t>(number);
  } else {
    complain();
  }
  if (whole < low || whole > high) complain();
  return whole;
}

double read_number(const Json& value, std::string_view path, double low, double high) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    refuse(path,
           fmt::format("expected a number from {} to {}, got {}", low, high, describe(value)));
  }
  return number;
}

int32_t read_token_id(const Json& value, std::string_view path, int64_t n_tokens) {
  return static_cast<int32_t>(read_integer(value, path, 0, n_tokens - 1));
}

std::vector<int32_t> read_token_ids(const Json& list, std::string_view path, int64_t n_tokens) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& value : list) {
    // The path is made only when it is needed: there may be many ids.
    if (value.is_number_unsigned() && value.get<uint64_t>() < static_cast<uint64_t>(n_tokens)) {
      ids.push_back(value.get<int32_t>());
    } else {
      ids.push_back(read_token_id(value, fmt::format("{}[{}]", path, ids.size()), n_tokens));
    }
  }
  return ids;
}

Fields::Fields(const Json& object, std::string path) : path_(std::move(path)) {
  if (!object.is_object()) {
    const std::string where = path_.empty() ? "request body" : path_;
    ApiError error(400,
                   "invalid_value",
                   fmt::format("{}: expected an object, got {}", where, describe(object)));
    error.param = path_;
    throw error;
  }
  entries_.reserve(object.size());
  for (const auto& [name, value] : object.items()) entries_.emplace(name, Entry{&value});
}

std::string Fields::path(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

thread_local std::set<std::string>* Fields::asked = nullptr;

const Json* Fields::value(std::string_view name) {
  if (asked != nullptr) asked->insert(path(name));
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  found->second.read = true;
  return found->second.value->is_null() ? nullptr : found->second.value;
}

bool Fields::used(std::string_view name) {
  const Json* found = value(name);
  if (found == nullptr) return false;
  if (found->is_boolean()) return found->get<bool>();
  if (found->is_number()) return found->get<double>() != 0;
  if (found->is_string()) return !found->get_ref<const std::string&>().empty();
  return !found->empty();
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) {
    refuse(path(name), fmt::format("expected true or false, got {}", describe(*found)));
  }
  return found->get<bool>();
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t low, int64_t high) {
  const Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  return read_integer(*found, path(name), low, high);
}

std::optional<double> Fields::number(std::string_view name, double low, double high) {
  const Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  return read_number(*found, path(name), low, high);
}

std::optional<std::string> Fields::text(std::string_view name, size_t max_bytes) {
  const Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) {
    refuse(path(name), fmt::format("expected a string, got {}", describe(*found)));
  }
  const auto& text = found->get_ref<const std::string&>();
  if (text.size() > max_bytes) {
    refuse(path(name), fmt::format("expected at most {} bytes, got {}", max_bytes, text.size()));
  }
  return text;
}

const Json* Fields::array(std::string_view name, size_t max_size) {
  const Json* found = value(name);
  if (found == nullptr) return nullptr;
  if (!found->is_array()) {
    refuse(path(name), fmt::format("expected a list, got {}", describe(*found)));
  }
  if (found->size() > max_size) {
    refuse(path(name), fmt::format("expected at most {} entries, got {}", max_size, found->size()));
  }
  return found;
}

const Json* Fields::object(std::string_view name) {
  const Json* found = value(name);
  if (found != nullptr && !found->is_object()) {
    refuse(path(name), fmt::format("expected an object, got {}", describe(*found)));
  }
  return found;
}

std::string_view Fields::one_of(std::initializer_list<std::string_view> names) {
  std::string_view first;
  for (const std::string_view name : names) {
    const Json* found = value(name);
    if (found == nullptr) continue;
    if (first.empty()) {
      first = name;
    } else if (*found != *value(first)) {
      refuse(path(name), fmt::format("differs from {}, which means the same", first));
    }
  }
  return first;
}

std::vector<std::string> Fields::unread() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (!entry.read) names.push_back(path(name));
  }
  return names;
}

}  // namespace qwen3::server
