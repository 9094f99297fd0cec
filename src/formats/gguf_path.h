// What the path of a model means, if it means GGUF.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

// The GGUF file that `path` stands for: itself, if it is a file; in a directory without config.json
// the only *.gguf, or the first of the only set of them. Nothing for other directories, for models
// inside the program, and for what is not there.
// Throws Error{not_found} for a directory with several, or a path that is a later part of a set;
// Error{corrupt_file, unsupported} for a file that is no GGUF, saying what it seems to be.
std::optional<std::filesystem::path> find_gguf(const std::filesystem::path& path);

// "NAME-00002-of-00003.gguf", as gguf-split names the files of a set.
struct GgufPart {
  std::string name;
  int number, count;  // 1 <= number <= count
};
std::optional<GgufPart> parse_gguf_part(std::string_view file_name);

// The files of the set that `first` begins, as their names have it, whether they are there or not;
// `first` alone if it is no part of a set.
std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& first);

// What a person calls the model: the file's name without ".gguf" and without the part's number; of
// any other path the last name in it. A checkpoint in the hub's cache is called as its repository is.
std::string model_name(const std::filesystem::path& path);

}  // namespace qwen3
