// How fast this machine reads memory: the limit of decoding, measured rather than looked up.
#pragma once

namespace qwen3::cli {

// Bytes per second that n_threads together read from a buffer far larger than the caches. Takes
// about half a second.
double measure_read_bandwidth(int n_threads);

}  // namespace qwen3::cli
