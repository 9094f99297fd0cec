#include "base/embedded_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/sha256.h"

namespace qwen3 {
namespace {

std::span<const EmbeddedFile> embedded_files;

const EmbeddedFile* find(std::string_view path) {
  const auto it = std::find_if(embedded_files.begin(),
                               embedded_files.end(),
                               [&](const EmbeddedFile& file) { return file.path == path; });
  return it == embedded_files.end() ? nullptr : &*it;
}

}  // namespace

void set_embedded_files(std::span<const EmbeddedFile> files) { embedded_files = files; }

std::optional<std::span<const std::byte>> find_embedded_file(std::string_view path) {
  const EmbeddedFile* file = find(path);
  if (file == nullptr) return std::nullopt;
  const std::string hash = sha256_hex(file->bytes);
  QWEN3_CHECK(hash == file->sha256,
              ErrorKind::corrupt_file,
              "{}: the model inside this program is damaged; expected SHA-256 {}; got {}; install "
              "qwen3 again",
              path,
              file->sha256,
              hash);
  return file->bytes;
}

bool file_exists(const std::filesystem::path& path) {
  if (find(path.native()) != nullptr) return true;
  struct stat ignored {};
  return ::lstat(path.c_str(), &ignored) == 0 || errno == EACCES || errno == ELOOP;
}

std::vector<std::string> embedded_folders() {
  std::vector<std::string> folders;
  for (const EmbeddedFile& file : embedded_files) {
    const std::string_view path = file.path.substr(file.path.find(':') + 1);
    folders.emplace_back(path.substr(0, path.find('/')));
  }
  std::sort(folders.begin(), folders.end());
  folders.erase(std::unique(folders.begin(), folders.end()), folders.end());
  return folders;
}

bool folder_exists(const std::filesystem::path& path) {
  const std::string folder = path.string() + "/";
  const auto inside = [&](const EmbeddedFile& file) { return file.path.starts_with(folder); };
  if (std::any_of(embedded_files.begin(), embedded_files.end(), inside)) return true;
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

}  // namespace qwen3
