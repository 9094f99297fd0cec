// What `--model` means.
#pragma once

#include <filesystem>
#include <string>

namespace qwen3::cli {

// What --model says when it is not given: a small model inside the program.
inline constexpr const char* kDefaultModel = "nano";

// "embedded:NAME" for the name of a model inside the program (base/embedded_files.h), otherwise the
// directory or the file of that path; a directory that happens to be called nano is ./nano. A name of a hub
// ("Qwen/Qwen3-0.6B", hub/repo.h) that is no path is looked for in the cache; nothing is downloaded here.
// Throws Error{not_found} naming what was looked for.
std::filesystem::path resolve_model(const std::string& name);

// What the model is called in answers: its directory's name, its GGUF file's without the extension,
// or what it is called inside the program. Well-formed UTF-8.
std::string name_of_model(const std::string& name);

// Whether a word that might be a text too is the name of a model: a folder or a GGUF file that is there, a model of
// the cache, or one of Qwen's on its hub.
bool is_model_name(const std::string& word);

}  // namespace qwen3::cli
