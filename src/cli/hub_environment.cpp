#include "cli/hub_environment.h"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTokenBytes = 16384;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

fs::path home_folder() {
  if (const auto home = variable("HOME")) return *home;
  const passwd* user = ::getpwuid(::getuid());
  QWEN3_CHECK(user != nullptr && user->pw_dir != nullptr,
              ErrorKind::not_found,
              "the cache of models: this user has no home; set HF_HUB_CACHE to a folder");
  return user->pw_dir;
}

bool is_variable_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// "~/x", "$DATA/x" and "${DATA}/x", which the public client takes; a variable that is not set stays as it is.
fs::path expanded(const std::string& text) {
  std::string out;
  if (text == "~" || text.starts_with("~/")) out = home_folder();
  for (size_t i = out.empty() ? 0 : 1; i < text.size();) {
    size_t begin = i + 1, end = begin;
    const bool braces = text[i] == '$' && begin < text.size() && text[begin] == '{';
    if (text[i] == '$') {
      if (braces) ++begin;
      for (end = begin; end < text.size() && is_variable_character(text[end]);) ++end;
    }
    const bool whole = end > begin && (!braces || (end < text.size() && text[end] == '}'));
    const auto value =
        text[i] == '$' && whole ? variable(text.substr(begin, end - begin).c_str()) : std::nullopt;
    if (value) {
      out += *value;
      i = end + (braces ? 1 : 0);
    } else {
      out += text[i++];
    }
  }
  return out;
}

fs::path hugging_face_home() {
  if (const auto home = variable("HF_HOME")) return expanded(*home);
  if (const auto caches = variable("XDG_CACHE_HOME")) return expanded(*caches) / "huggingface";
  return home_folder() / ".cache/huggingface";
}

std::string hugging_face_token() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (const auto token = variable(name)) return std::string(trim(*token, " \t\r\n"));
  }
  const auto path = variable("HF_TOKEN_PATH");
  const auto text = read_text_file_if_there(path ? expanded(*path) : hugging_face_home() / "token",
                                            kMaxTokenBytes);
  return std::string(trim(text.value_or(""), " \t\r\n"));
}

bool is_true(const char* name) {
  const std::string value = ascii_lower(variable(name).value_or(""));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

int stall_seconds() {
  constexpr int kUsual = 30, kMost = 86400;
  const auto text = variable("HF_HUB_DOWNLOAD_TIMEOUT");
  if (!text) return kUsual;
  int seconds = 0;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, seconds);
  QWEN3_CHECK(error == std::errc() && at == end && seconds > 0 && seconds <= kMost,
              ErrorKind::invalid_argument,
              "HF_HUB_DOWNLOAD_TIMEOUT: expected seconds from 1 to {}; got \"{}\"",
              kMost,
              quote_for_message(*text));
  return seconds;
}

std::string endpoint_of(hub::Source source) {
  const bool hugging_face = source == hub::Source::hugging_face;
  std::string endpoint =
      variable(hugging_face ? "HF_ENDPOINT" : "MODELSCOPE_ENDPOINT")
          .value_or(hugging_face ? "https://huggingface.co" : "https://modelscope.cn");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

}  // namespace

hub::Cache hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto cache = variable(name)) return hub::Cache(expanded(*cache));
  }
  return hub::Cache(hugging_face_home() / "hub");
}

hub::HubServer hub_server(hub::Source source) {
  hub::HubServer server{
      .endpoint = endpoint_of(source), .token = {}, .stall_seconds = stall_seconds()};
  if (source == hub::Source::hugging_face) {
    server.token = hugging_face_token();
  } else {
    server.token = variable("MODELSCOPE_API_TOKEN").value_or("");
  }
  hub::check_server(server);
  return server;
}

bool hub_is_offline() { return is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"); }

bool hub_progress_is_unwelcome() { return is_true("HF_HUB_DISABLE_PROGRESS_BARS"); }

}  // namespace qwen3::cli
