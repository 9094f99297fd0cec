// ThreadGroup: ranks that are threads of one process. Tests run a group on it as it runs on processes.
#pragma once

#include <functional>

#include "parallel/communicator.h"

namespace qwen3 {

// Calls body(communicator) on a thread for each rank, and returns when all are through. What the first one
// throws ends the group for the others and is thrown on. The ranks are spread over n_hosts: those of
// different ones share no memory, and send each other copies.
void run_thread_ranks(int n_ranks,
                      const CommunicatorOptions& options,
                      const std::function<void(Communicator&)>& body,
                      int n_hosts = 1);

}  // namespace qwen3
