// YAML as PyYAML's safe_load understands it, because evaluation configs were written for it. It
// follows YAML 1.1 with expressions of its own: yes and off are booleans, 010 is eight, 1:30 is
// ninety, and 1e-3 (no dot) is text.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3::eval {

// What the plain (unquoted) scalar means: null, a boolean, an integer, a float or text. Integers
// beyond int64 come back as text.
Json read_plain_scalar(std::string_view text);

// "config.yaml: line 12": where the node stands.
std::string yaml_place(std::string_view file, const YAML::Node& node);

// The whole node. Throws Error{corrupt_file} for keys that are not text or stand twice, tags beyond
// YAML's own, and more than 100,000 values (aliases can multiply).
Json yaml_to_json(const YAML::Node& node, std::string_view file);

constexpr size_t kMaxConfigBytes = size_t{1} << 20;  // of a config file

// Parses text that holds one document. Throws Error{corrupt_file} with the line.
YAML::Node parse_yaml(const std::string& text, std::string_view file);

}  // namespace qwen3::eval
