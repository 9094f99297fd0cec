#include "parallel/mpi_plugin.h"

#include <dlfcn.h>

#include <string_view>

#include "base/error.h"

namespace qwen3 {

std::unique_ptr<ProcessGroup> open_mpi_group(const std::filesystem::path& plugin) {
  QWEN3_CHECK(
      std::filesystem::exists(plugin),
      ErrorKind::not_found,
      "{}: not there; expected the plugin for MPI; build with -DQWEN3_MPI=ON, or install it "
      "beside the program",
      plugin.string());
  void* const library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  QWEN3_CHECK(library != nullptr,
              ErrorKind::unsupported,
              "{}: cannot be loaded: {}; is Open MPI installed?",
              plugin.string(),
              dlerror());
  const auto entry = reinterpret_cast<MpiPluginEntry>(dlsym(library, kMpiPluginEntry));
  const MpiPlugin* const found = entry == nullptr ? nullptr : entry();
  QWEN3_CHECK(found != nullptr && std::string_view(found->build) == kMpiPluginBuild,
              ErrorKind::unsupported,
              "{}: expected the plugin of this build ({}), got {}; install both from one build",
              plugin.string(),
              kMpiPluginBuild,
              found == nullptr ? "another library" : found->build);
  return std::unique_ptr<ProcessGroup>(found->open());
}

}  // namespace qwen3
