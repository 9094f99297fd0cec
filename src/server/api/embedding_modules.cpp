#include "server/api/embedding_modules.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBytes = 1 << 20;
constexpr std::string_view kSupported =
    "the official order Transformer, Pooling (lasttoken), Normalize; embed with "
    "sentence-transformers";

std::string text_of(const Json& object, const char* key, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  QWEN3_CHECK(it != object.end() && it->is_string(),
              ErrorKind::corrupt_file,
              "{}: expected objects with a string \"{}\"",
              where,
              key);
  return it->get<std::string>();
}

// The class alone: "sentence_transformers.models.Pooling" is in another package in each version.
std::string class_of(const std::string& type) { return type.substr(type.rfind('.') + 1); }

// Older versions have a boolean for each mode, newer ones a name.
void check_pooling(const fs::path& file) {
  const std::string where = file.string();
  const Json config = parse_json(read_text_file(file, kMaxBytes), where);
  QWEN3_CHECK(config.is_object(), ErrorKind::corrupt_file, "{}: expected an object", where);
  bool last_token = false;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode")) continue;
    const bool wanted = value.is_string() || (value.is_boolean() && value.get<bool>());
    if (!wanted) continue;
    const bool is_last = value.is_string() ? value.get<std::string>() == "lasttoken"
                                           : key == "pooling_mode_lasttoken";
    QWEN3_CHECK(is_last,
                ErrorKind::unsupported,
                "{}: {}: {} is not supported; supported: {}",
                where,
                quote_for_message(key),
                quote_for_message(dump_json(value)),
                kSupported);
    last_token = true;
  }
  QWEN3_CHECK(last_token,
              ErrorKind::unsupported,
              "{}: expected pooling_mode_lasttoken true, got no mode; supported: {}",
              where,
              kSupported);
}

}  // namespace

void check_embedding_modules(const fs::path& directory) {
  const fs::path file = directory / "modules.json";
  const auto text = read_text_file_if_there(file, kMaxBytes);
  if (!text) return;
  const std::string where = file.string();
  const Json modules = parse_json(*text, where);
  QWEN3_CHECK(modules.is_array(), ErrorKind::corrupt_file, "{}: expected a list of modules", where);
  std::vector<std::string> classes;
  std::string pooling;
  for (const Json& module : modules) {
    classes.push_back(class_of(text_of(module, "type", where)));
    if (classes.back() == "Pooling") pooling = text_of(module, "path", where);
  }
  const std::vector<std::string> supported = {"Transformer", "Pooling", "Normalize"};
  QWEN3_CHECK(classes == supported,
              ErrorKind::unsupported,
              "{}: modules {} are not supported; supported: {}",
              where,
              quote_for_message(fmt::format("{}", fmt::join(classes, ", "))),
              kSupported);
  QWEN3_CHECK(is_plain_file_name(pooling),
              ErrorKind::corrupt_file,
              "{}: path: expected the name of a folder beside it, got \"{}\"",
              where,
              quote_for_message(pooling));
  check_pooling(directory / pooling / "config.json");
}

}  // namespace qwen3::server
