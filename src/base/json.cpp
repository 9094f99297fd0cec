#include "base/json.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"

namespace qwen3 {
namespace {

// Sorting cannot be driven quadratic by chosen keys, as a hash table can.
void check_unique_keys(const Json& object, std::string_view where) {
  std::vector<std::string_view> keys;
  keys.reserve(object.size());
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  if (const auto twin = std::adjacent_find(keys.begin(), keys.end()); twin != keys.end()) {
    fail(ErrorKind::corrupt_file,
         "{}: duplicate key \"{}\"; keys must be unique",
         where,
         quote_for_message(*twin));
  }
}

// The lexer of nlohmann-json takes a NUL byte for the end of the input.
void check_no_nul(std::string_view text, std::string_view where) {
  const size_t nul = text.find('\0');
  QWEN3_CHECK(nul == text.npos,
              ErrorKind::corrupt_file,
              "{}: not valid JSON at byte {}: a NUL byte",
              where,
              nul);
}

}  // namespace

bool JsonEvents::parse_error(std::size_t position,
                             const std::string&,
                             const nlohmann::detail::exception& e) {
  std::string_view what = e.what();
  // Drop "[json.exception.parse_error.101] "; what follows may quote any amount of the input.
  if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
  // Its own names for what it was doing help nobody: "syntax error while parsing value - ".
  const size_t detail = what.find(" - "), syntax = what.find("syntax error while parsing");
  std::string shorter(what);
  if (syntax != what.npos && detail != what.npos && detail > syntax) {
    shorter = std::string(what.substr(0, syntax)) + std::string(what.substr(detail + 3));
  }
  if (shorter.starts_with("parse error at "))
    shorter.erase(0, std::string_view("parse error at ").size());
  what = shorter;
  position_ = position;
  problem_ = quote_for_message(what, 300);
  return false;
}

bool JsonBuilder::key(string_t& name) {
  stack_.back().key = std::move(name);
  return true;
}

bool JsonBuilder::end_object() {
  check_unique_keys(*stack_.back().container, where_);
  stack_.pop_back();
  return true;
}

bool JsonBuilder::end_array() {
  stack_.pop_back();
  return true;
}

Json* JsonBuilder::place(Json value) {
  if (++n_values_ > limits_.max_values) {
    fail(ErrorKind::corrupt_file, "{}: more than {} JSON values", where_, limits_.max_values);
  }
  if (stack_.empty()) {
    root_ = std::move(value);
    return &root_;
  }
  Frame& frame = stack_.back();
  if (frame.container->is_array()) {
    auto& array = frame.container->get_ref<Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }
  // ordered_map::emplace would search linearly; check_unique_keys looks once, at the end.
  auto& object = frame.container->get_ref<Json::object_t&>();
  auto& entries = static_cast<Json::object_t::Container&>(object);
  entries.emplace_back(frame.key, std::move(value));
  return &entries.back().second;
}

bool JsonBuilder::add(Json value) {
  place(std::move(value));
  return true;
}

bool JsonBuilder::open(Json container) {
  if (static_cast<int>(stack_.size()) >= limits_.max_depth) {
    fail(ErrorKind::corrupt_file, "{}: JSON nested deeper than {}", where_, limits_.max_depth);
  }
  Json* placed = place(std::move(container));
  stack_.push_back({placed, {}});
  return true;
}

void parse_json_events(std::string_view text, std::string_view where, JsonEvents& events) {
  check_no_nul(text, where);
  if (Json::sax_parse(text.begin(), text.end(), &events)) return;
  if (const std::string_view what = mistaken_download(text.substr(0, 64)); !what.empty()) {
    fail(ErrorKind::corrupt_file, "{}: {}", where, what);
  }
  // The byte at fault is the last one consumed. Python's json.dump writes NaN and Infinity.
  const size_t at = std::clamp<size_t>(events.position_, 1, text.size() + 1) - 1;
  const std::string_view rest = text.substr(std::min(at, text.size()));
  const bool python = rest.starts_with("NaN") || rest.starts_with("Infinity");
  fail(ErrorKind::corrupt_file,
       "{}: not valid JSON at byte {}: {}",
       where,
       at,
       python ? "NaN and Infinity are not JSON numbers; write a finite number" : events.problem_);
}

Json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  JsonBuilder builder(where, limits);
  parse_json_events(text, where, builder);
  return builder.take();
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string quote_for_message(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  std::string out;
  for (const char c : utf8_lossy(text.substr(0, max_bytes))) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return cut ? out + "…" : out;
}

}  // namespace qwen3
