// Which directory `--model` means.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace qwen3::cli {

// What --model says when it is not given: a small model that comes with the program.
inline constexpr const char* kDefaultModel = "tiny";

// Where the models that come with the program may lie, most specific first: beside the build tree
// (<exe>/../../../models) and in the installed prefix (<exe>/../share/qwen3/models).
std::vector<std::filesystem::path> bundled_model_roots();

// The directory of `name`: a path to a directory as it is; otherwise the name of a model inside the
// program (base/embedded_files.h) or of one that comes with it.
// Throws Error{not_found} naming what was looked for.
std::filesystem::path resolve_model(const std::string& name);

}  // namespace qwen3::cli
