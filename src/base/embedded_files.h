// Files that live inside the program: the embedded models. They have paths like
// "embedded:nano/config.json", and InputFile opens them like any other, so that no reader knows
// the difference.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

struct EmbeddedFile {
  std::string_view path;  // "embedded:nano/config.json"
  std::span<const std::byte> bytes;
  std::string_view sha256;  // as built; a mismatch at open is Error{corrupt_file}
};

// Makes the files known. `files` must live as long as the program. Called once, before the first
// thread; without a call there are none.
void set_embedded_files(std::span<const EmbeddedFile> files);

// The bytes of an embedded file, empty if there is no such path. Checks the hash each time.
std::optional<std::span<const std::byte>> find_embedded_file(std::string_view path);

// Whether `path` names an embedded file or anything on disk, readable or not: a link that leads
// nowhere or in a circle is there, and so is what a folder without permission may hold. Opening it
// then says what is wrong, where "absent" would be passed over in silence.
bool file_exists(const std::filesystem::path& path);

// Whether `path` is a directory on disk or the folder of an embedded file ("embedded:nano").
bool folder_exists(const std::filesystem::path& path);

// "nano", "nano-moe": the folders of the embedded files, sorted.
std::vector<std::string> embedded_folders();

}  // namespace qwen3
