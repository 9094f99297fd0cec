// Which experts the tokens of a step went to, for the sequences that ask (Request::routed_experts).
// The model has kept every layer's choice in a place of its own, so the step itself is the same
// whether anybody asks or not; what is asked for is copied behind it.
#pragma once

#include <span>

#include "engine/model_runner.h"
#include "engine/scheduler.h"

namespace qwen3 {

// Appends to each asking sequence the rows that it lacks. Allocates nothing: make_sequence and
// whoever takes the rows leave room for the next. REQUIRES: the runner has run the batch of these
// slices, and nothing since.
void take_routed_experts(std::span<const Slice> slices, ModelRunner& runner);

}  // namespace qwen3
