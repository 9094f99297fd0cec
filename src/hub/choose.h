// Which of a repository's files are wanted.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3::hub {

// fnmatch(3) as the public client uses it: '*' goes over '/' too, '?', '[a-z]', '[!a-z]'; "folder/" means all that
// is in it. Linear in pattern times name.
bool matches(std::string_view pattern, std::string_view path);

// A model in GGUF among files: one file, or all parts of a split one.
struct GgufModel {
  std::string name;                // the path without part number and extension
  std::vector<std::string> parts;  // in their order, as their names have it, there or not
};

// Those among these paths, in order; adapters of vision models ("mmproj") are none.
std::vector<GgufModel> gguf_models(std::span<const std::string> paths);

// The one that `wanted` means: a quantisation (the word at the end of its name, or its folder's name, in any case), the
// path or name of one of its files. "": the only one, else that of Q4_K_M.
// Throws Error{not_found} with the words there are, beginning with `where`.
const GgufModel& choose_gguf(std::span<const GgufModel> models,
                             std::string_view wanted,
                             std::string_view where);

// The words by which choose_gguf knows models apart: "Q4_K_M".
std::string quantisation_of(const GgufModel& model);

struct Wanted {
  std::string gguf;                           // of the model's name, after ':'
  std::vector<std::string> include, exclude;  // patterns
};

// The files to pull, a part of `paths`. Without include: safetensors with configs and tokenizer, else one GGUF model.
// Throws Error{not_found, unsupported} when that is nothing.
std::vector<std::string> choose_files(std::span<const std::string> paths,
                                      const Wanted& wanted,
                                      std::string_view where);

}  // namespace qwen3::hub
