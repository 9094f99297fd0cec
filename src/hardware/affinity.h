// Which cores a process runs on: the share of one of several processes on a host, whole memory nodes
// first, so that each works on memory of its own.
#pragma once

#include <vector>

namespace qwen3 {

// The cores that this process may run on, ascending.
std::vector<int> own_cores();
// Those that it could ask for: what its cgroup leaves it, whatever it is bound to now.
std::vector<int> possible_cores();

// Number `index` of `count` shares of `cores`, ordered by memory node (`node_of_core`, by position): equal
// to within one. Empty if there are fewer cores than shares. REQUIRES: 0 <= index < count.
std::vector<int> core_share(const std::vector<int>& cores,
                            const std::vector<int>& node_of_core,
                            int index,
                            int count);
// The memory nodes of these cores; 0 where the system does not say.
std::vector<int> memory_nodes(const std::vector<int>& cores);

// Binds the calling thread, and those that it starts from now on. False if the system refuses.
bool bind_to(const std::vector<int>& cores);

}  // namespace qwen3
