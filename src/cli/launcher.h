// Who started this process, and starting others: launchers (mpirun, srun) are known by the environment
// they leave; --ranks is mpirun with the settings that a group needs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "cli/commands.h"

namespace qwen3::cli {

struct Launch {
  std::string by;        // "mpirun"
  int64_t n_tasks = 0;   // 0: it does not say
  bool is_first = true;  // of them: who speaks for all
};
// The launcher that started this process together with others. Empty if there is none, or it started one
// task only.
std::optional<Launch> seen_launch();

// What must be done before a command acts: nothing (empty), or what it answers instead of acting.
// `--ranks N` of `command` starts mpirun with `words`, the program's own arguments, and answers with its exit
// code. Under a launcher of several tasks a command without --ranks is refused: UsageError.
std::optional<ExitCode> start_ranks(const CLI::App& command,
                                    const std::string& name,
                                    std::span<const char* const> words);

}  // namespace qwen3::cli
