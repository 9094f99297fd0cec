#include "grammar/schema_uri.h"

#include <algorithm>

namespace qwen3 {
namespace {

struct SplitUri {
  std::string scheme, authority, path, query,
      fragment;  // each with its own mark: "http:", "//host", "?q", "#f"
};

SplitUri split_uri(std::string_view text) {
  SplitUri uri;
  const size_t hash = text.find('#');
  if (hash != text.npos) {
    uri.fragment = text.substr(hash);
    text = text.substr(0, hash);
  }
  const size_t question = text.find('?');
  if (question != text.npos) {
    uri.query = text.substr(question);
    text = text.substr(0, question);
  }
  const size_t colon = text.find_first_of(":/");
  if (colon != text.npos && colon > 0 && text[colon] == ':') {
    uri.scheme = text.substr(0, colon + 1);
    text = text.substr(colon + 1);
  }
  if (text.starts_with("//")) {
    const size_t end = std::min(text.find('/', 2), text.size());
    uri.authority = text.substr(0, end);
    text = text.substr(end);
  }
  uri.path = text;
  return uri;
}

// RFC 3986, 5.2.4: `.` and `..` taken out.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> parts;
  const bool absolute = path.starts_with('/');
  bool folder = false;  // whether the result ends with `/`
  for (size_t at = absolute ? 1 : 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    folder = part == "." || part == "..";
    if (part == ".." && !parts.empty()) {
      parts.pop_back();
    } else if (!folder) {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string out;
  for (const std::string_view part : parts) {
    if (!out.empty() || absolute) out += '/';
    out += part;
  }
  if (folder || (absolute && out.empty())) out += '/';
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string resolve_uri(std::string_view base_text, std::string_view reference) {
  const SplitUri base = split_uri(base_text);
  SplitUri uri = split_uri(reference);
  if (uri.scheme.empty()) {
    uri.scheme = base.scheme;
    if (uri.authority.empty()) {
      uri.authority = base.authority;
      if (uri.path.empty()) {
        uri.path = base.path;
        if (uri.query.empty()) uri.query = base.query;
      } else if (!uri.path.starts_with('/')) {
        const size_t slash = base.path.rfind('/');
        std::string folder = slash == base.path.npos ? "" : base.path.substr(0, slash + 1);
        if (folder.empty() && !base.authority.empty()) folder = "/";
        uri.path = without_dots(folder + uri.path);
      } else {
        uri.path = without_dots(uri.path);
      }
    }
  }
  return uri.scheme + uri.authority + uri.path + uri.query + uri.fragment;
}

UriParts split_fragment(std::string_view uri) {
  const size_t hash = uri.find('#');
  if (hash == uri.npos) return {uri, {}};
  return {uri.substr(0, hash), uri.substr(hash + 1)};
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<std::vector<std::string>> pointer_steps(std::string_view pointer) {
  std::vector<std::string> steps;
  if (pointer.empty()) return steps;
  if (pointer[0] != '/') return std::nullopt;
  for (size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      steps.emplace_back();
    } else if (pointer[i] != '~') {
      steps.back() += pointer[i];
    } else {
      const char escape = i + 1 < pointer.size() ? pointer[i + 1] : '\0';
      if (escape != '0' && escape != '1') return std::nullopt;
      steps.back() += escape == '0' ? '~' : '/';
      ++i;
    }
  }
  return steps;
}

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

}  // namespace qwen3
