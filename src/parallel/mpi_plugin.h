// The plugin that knows MPI: libqwen3_mpi.so (mpi/), a file of its own, so that the program needs no MPI
// where no launcher starts it. It is opened with RTLD_LOCAL and belongs to one build of the program.
#pragma once

#include <filesystem>
#include <memory>

#include "parallel/process_group.h"

namespace qwen3 {

// What the plugin's one symbol, qwen3_mpi_plugin, returns.
struct MpiPlugin {
  const char* build;        // kMpiPluginBuild of the plugin
  ProcessGroup* (*open)();  // begins MPI; throws Error
};
using MpiPluginEntry = const MpiPlugin* (*)();
inline constexpr const char* kMpiPluginEntry = "qwen3_mpi_plugin";
// The classes that both sides see, in words: raise the number when they change.
inline constexpr const char* kMpiPluginBuild = "1, " __VERSION__;

// The processes that the launcher started. The plugin is never closed: libmpi does not bear it.
// Throws Error{not_found} if it is not there, {unsupported} if it cannot be loaded or belongs to another
// build.
std::unique_ptr<ProcessGroup> open_mpi_group(const std::filesystem::path& plugin);

}  // namespace qwen3
