#include "hub/repo.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

namespace qwen3::hub {
namespace {

constexpr size_t kMaxName = 96, kMaxRevision = 200, kMaxPath = 1024, kMaxPart = 200;
constexpr std::string_view kPrefix = "models--", kSeparator = "--";

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_name_part(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), is_word_character) &&
         part.front() != '-' && part.front() != '.' && part.back() != '-' && part.back() != '.';
}

// Why the path of a file cannot be used; empty if it can.
std::string_view fault_of_path(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > kMaxPath) return "is too long";
  if (path.front() == '/') return "is absolute";
  if (!utf8_valid(path)) return "is not UTF-8";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "holds a control character";
    if (c == '\\') return "holds a backslash";
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty()) return "has an empty part";
    if (part == "." || part == "..") return "leaves its folder";
    if (part.size() > kMaxPart) return "has a part that is too long";
    begin = end + 1;
  }
  return {};
}

}  // namespace

std::string ModelRef::text() const {
  return repo + (revision.empty() ? "" : "@" + revision) + (file.empty() ? "" : ":" + file);
}

bool is_repo_name(std::string_view name) {
  const size_t slash = name.find('/');
  return slash != name.npos && name.size() <= kMaxName && is_name_part(name.substr(0, slash)) &&
         is_name_part(name.substr(slash + 1)) && name.find("--") == name.npos &&
         name.find("..") == name.npos && !name.ends_with(".git");
}

bool is_revision(std::string_view revision) {
  const auto allowed = [](char c) { return is_word_character(c) || c == '/' || c == '+'; };
  return revision.size() <= kMaxRevision && fault_of_path(revision).empty() &&
         revision.front() != '-' && !revision.ends_with(".lock") &&
         std::all_of(revision.begin(), revision.end(), allowed);
}

bool is_hex(std::string_view text, size_t n) {
  return text.size() == n && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_commit(std::string_view text) { return is_hex(text, 40); }

std::optional<ModelRef> parse_model_ref(std::string_view name) {
  ModelRef ref;
  const size_t colon = name.find(':');
  if (colon != name.npos) {
    ref.file = name.substr(colon + 1);
    if (!fault_of_path(ref.file).empty()) return std::nullopt;
    name = name.substr(0, colon);
  }
  const size_t at = name.find('@');
  if (at != name.npos) {
    ref.revision = name.substr(at + 1);
    if (!is_revision(ref.revision)) return std::nullopt;
    name = name.substr(0, at);
  }
  if (!is_repo_name(name)) return std::nullopt;
  ref.repo = name;
  return ref;
}

void check_repo_path(std::string_view path) {
  const std::string_view fault = fault_of_path(path);
  QWEN3_CHECK(fault.empty(),
              ErrorKind::corrupt_file,
              "the hub's list of files: the name \"{}\" {}; nothing was written",
              quote_for_message(path),
              fault);
}

std::string repo_folder_name(std::string_view repo) {
  std::string folder(kPrefix);
  for (const char c : repo) {
    if (c == '/') {
      folder += kSeparator;
    } else {
      folder += c;
    }
  }
  return folder;
}

std::optional<std::string> repo_of_folder(std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return std::nullopt;
  std::string repo(folder.substr(kPrefix.size()));
  const size_t at = repo.find(kSeparator);
  if (at == repo.npos) return std::nullopt;
  repo.replace(at, kSeparator.size(), "/");
  return is_repo_name(repo) ? std::optional(repo) : std::nullopt;
}

}  // namespace qwen3::hub
