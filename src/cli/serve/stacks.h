// The stacks of all threads of this process, for a watchdog to show what hangs.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

namespace qwen3::cli {

// Takes a signal for it (the last real-time one) and loads what unwinding needs. To be called once,
// before write_stacks(), from a healthy process: later the memory it needs may not be had.
void prepare_stacks();

// Hands name, state and stack of every thread to `write`, a thread at a time: a line for the
// thread, then one for each frame, innermost first, with the function's name where the program
// exports it and the offset that `addr2line -Cfie PROGRAM OFFSET` turns into a line of source. A
// thread that does not answer within `patience` (it hangs inside the kernel) is named as such.
// Calls that the signal interrupts go on. One caller at a time.
void write_stacks(const std::function<void(std::string_view)>& write,
                  std::chrono::milliseconds patience);

}  // namespace qwen3::cli
