// A model that ranks share: rank 0's runner, which tells the others of every batch, computes its own part
// and returns when all have reported the same hidden state; and what the others do meanwhile.
#pragma once

#include <memory>

#include "engine/model_runner.h"
#include "parallel/communicator.h"

namespace qwen3 {

// On rank 0. Opens a runner on every rank. A failure of any of them ends the group.
std::unique_ptr<ModelRunner> make_group_runner(std::shared_ptr<Model> model,
                                               const RunnerOptions& options);

// On the others: does what the plans say until one says stop. Throws Error; a step that fails ends the
// group.
void run_group_worker(const std::shared_ptr<Model>& model);
// On rank 0, when no runner is open any more: the others leave run_group_worker.
void stop_group_workers(Communicator& group);

}  // namespace qwen3
