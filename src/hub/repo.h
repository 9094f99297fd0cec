// What a model of a hub is called, and which names of files of a repository may become names on a disk.
//
//   Qwen/Qwen3-0.6B                      a repository
//   Qwen/Qwen3-0.6B@v1.0                 at a revision: a branch, a tag or a commit
//   Qwen/Qwen3-8B-GGUF:Q4_K_M            one quantisation of a GGUF repository
//   Qwen/Qwen3-8B-GGUF:dir/FILE.gguf     one of its files (of a split model any part: all are meant)
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qwen3::hub {

struct ModelRef {
  std::string repo;      // "Qwen/Qwen3-0.6B"
  std::string revision;  // "": the hub's default
  std::string file;      // "": none; a quantisation, or the path of a GGUF file

  std::string text() const;  // as above
};

// Nothing when `name` is no such name.
std::optional<ModelRef> parse_model_ref(std::string_view name);

// Letters, digits, '-', '_', '.', one '/'; what the hub gives to nobody ("--", "..") is not accepted.
bool is_repo_name(std::string_view name);

// A branch, a tag or a commit, such that it can be the name of a file under refs/.
bool is_revision(std::string_view revision);

// 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text);

// `n` lower-case hexadecimal digits.
bool is_hex(std::string_view text, size_t n);

// Throws Error{corrupt_file} unless a file of that name lies below the folder it is put in, whatever the hub
// says: relative, without "..", ".", empty parts, backslashes and control characters, well-formed UTF-8, and short
// enough for a disk.
void check_repo_path(std::string_view path);

// "models--Qwen--Qwen3-0.6B", the name of a repository's folder in the cache, and back.
std::string repo_folder_name(std::string_view repo);
std::optional<std::string> repo_of_folder(std::string_view folder);

}  // namespace qwen3::hub
