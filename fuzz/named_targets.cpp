// Several fuzz targets in one program, which is the one that it is called as.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#define TARGET(name) extern "C" int name(const uint8_t* data, size_t size);
QWEN3_TARGETS
#undef TARGET

namespace {

using Target = int (*)(const uint8_t*, size_t);

struct NamedTarget {
  std::string_view name;
  Target run;
};

constexpr NamedTarget kTargets[] = {
#define TARGET(name) {#name, name},
    QWEN3_TARGETS
#undef TARGET
};

Target chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** argv) {
  std::string_view called = (*argv)[0];
  called.remove_prefix(called.rfind('/') + 1);
  for (const NamedTarget& target : kTargets) {
    if (target.name == called) chosen = target.run;
  }
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "expected to be called as one of:");
  for (const NamedTarget& target : kTargets) std::fprintf(stderr, " %s", target.name.data());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return chosen(data, size);
}
