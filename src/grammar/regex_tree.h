// What a regular expression says, as a tree in one array; parts stand before the whole.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "grammar/code_points.h"

namespace qwen3 {

struct RegexNode {
  enum class Kind : uint8_t { empty, set, sequence, choice, repeat, at_begin, at_end };
  Kind kind = Kind::empty;
  CodePoints set;              // set
  std::vector<int32_t> parts;  // sequence, choice; repeat: one
  int64_t min = 0, max = -1;   // repeat; max -1: no limit
};

struct RegexTree {
  std::vector<RegexNode> nodes;
  int32_t root = -1;
};

RegexTree parse_regex(std::string_view regex, std::string_view place);

}  // namespace qwen3
