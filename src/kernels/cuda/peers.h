// A window that ranks on several cards, or several on one, reach together (kernels/peer_window.h): by CUDA's
// handles between processes, over NVLink or PCIe; within a process by its address.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/kernels.h"
#include "kernels/peer_window.h"

namespace qwen3::cuda {

// Operations go to `stream`.
std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank, Stream stream);

}  // namespace qwen3::cuda
