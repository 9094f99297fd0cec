#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "server/http/auth.h"

namespace qwen3::server {

namespace {

constexpr size_t kMinKeyBytes = 32;
constexpr size_t kMaxKeyBytes = 512;
constexpr int64_t kMaxFileBytes = 1024 * 1024;
constexpr size_t kMaxKeys = 1000;

// Asks the open descriptor, not the path, so that the file judged is the file read.
InputFile open_private_file(const std::filesystem::path& name) {
  InputFile file(name);
  const std::string& path = file.name();
  struct stat info {};
  QWEN3_CHECK(::fstat(file.descriptor(), &info) == 0,
              ErrorKind::invalid_argument,
              "{}: key file: expected a file on the disk",
              path);
  QWEN3_CHECK(info.st_uid == ::geteuid() || info.st_uid == 0,
              ErrorKind::invalid_argument,
              "{}: key file: belongs to user {}; expected the user that runs the server, or root",
              path,
              info.st_uid);
  // Root's file may be readable by a group: that is how orchestrators (fsGroup) and service
  // managers (credentials) hand a secret to a process that is not root.
  const bool from_root = info.st_uid == 0 && ::geteuid() != 0;
  QWEN3_CHECK((info.st_mode & (from_root ? 037 : 077)) == 0,
              ErrorKind::invalid_argument,
              "{}: key file: mode {:04o} gives other users access; expected {} (chmod {})",
              path,
              info.st_mode & 07777,
              from_root ? "0640 or less" : "0600",
              from_root ? "0640" : "600");
  QWEN3_CHECK(file.size() <= kMaxFileBytes,
              ErrorKind::invalid_argument,
              "{}: key file: larger than {} bytes",
              path,
              kMaxFileBytes);
  return file;
}

bool is_key_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
  });
}

ApiKey parse_line(std::string_view line, size_t number, const std::string& path) {
  const std::string where = fmt::format("{}:{}", path, number);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    return make_api_key(fmt::format("key-{}", number), line, where);
  }
  return make_api_key(trim(line.substr(0, colon)), trim(line.substr(colon + 1)), where);
}

}  // namespace

ApiKey make_api_key(std::string_view name, std::string_view key, std::string_view where) {
  QWEN3_CHECK(is_key_name(name),
              ErrorKind::invalid_argument,
              "{}: key: expected a name of letters, digits, '.', '-', '_' before ':'",
              where);
  QWEN3_CHECK(key.size() >= kMinKeyBytes && key.size() <= kMaxKeyBytes,
              ErrorKind::invalid_argument,
              "{}: key {}: expected {} to {} characters, got {}; openssl rand -hex 32 makes one",
              where,
              name,
              kMinKeyBytes,
              kMaxKeyBytes,
              key.size());
  QWEN3_CHECK(std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; }),
              ErrorKind::invalid_argument,
              "{}: key {}: expected printable ASCII without spaces",
              where,
              name);
  return {.name = std::string(name), .digest = sha256_hex(key)};
}

std::vector<ApiKey> read_key_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const std::string text = open_private_file(path).read_all(kMaxFileBytes);
  std::vector<ApiKey> keys;
  size_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line(text.data() + start, end - start);
    start = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    ApiKey key = parse_line(line, number, name);
    for (const ApiKey& other : keys) {
      QWEN3_CHECK(other.name != key.name && other.digest != key.digest,
                  ErrorKind::invalid_argument,
                  "{}:{}: key {}: its name or the key itself appears twice",
                  name,
                  number,
                  key.name);
    }
    keys.push_back(std::move(key));
    QWEN3_CHECK(keys.size() <= kMaxKeys,
                ErrorKind::invalid_argument,
                "{}: key file: more than {} keys",
                name,
                kMaxKeys);
  }
  QWEN3_CHECK(!keys.empty(),
              ErrorKind::invalid_argument,
              "{}: key file: expected at least one key, got none",
              name);
  return keys;
}

}  // namespace qwen3::server
