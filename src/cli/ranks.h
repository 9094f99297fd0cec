// A command on the ranks of a launcher: rank 0 acts as it does alone, and its model is held by all; the
// others load their parts of it and do what rank 0's engine says, until it stops.
#pragma once

#include <functional>

#include "cli/commands.h"
#include "cli/generation.h"
#include "cli/options.h"

namespace qwen3 {
class Communicator;
}

namespace qwen3::cli {

// Runs `body`; under a launcher, on rank 0 alone, once all ranks have the same program, model and options.
// `options` get the cores, threads and instruction set of a rank.
ExitCode on_ranks(ModelOptions& options, WeightsFrom from, const std::function<ExitCode()>& body);

// The group that this process is in; null: it is alone.
Communicator* group_of_ranks();
// Said by whoever has loaded a model with it: all ranks have.
void note_model_of_ranks();

// Before the process ends in the middle of something: the other ranks end quietly, too.
void leave_ranks();

}  // namespace qwen3::cli
