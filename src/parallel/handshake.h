// Handshake: what must be equal on all ranks before they hold a model together. A difference in it would
// be wrong on all ranks alike later, where nobody could see it.
#pragma once

#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace qwen3 {

struct Fact {
  std::string name;    // "checkpoint"
  std::string value;   // short; of one line
  std::string remedy;  // what to do where it is not rank 0's
};

// Called by all ranks with facts of the same names. Returns on each the same lines, one for each rank and
// fact that is not rank 0's, by rank.
std::vector<std::string> differences(Communicator& group, const std::vector<Fact>& mine);

}  // namespace qwen3
