// qwen3 version: what this program was made of, for reports of faults.
#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <string_view>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "hardware/cpu_info.h"

namespace qwen3::cli {
namespace {

#if defined(__clang__)
constexpr std::string_view kCompiler = "Clang " __clang_version__;
#else
constexpr std::string_view kCompiler = "GCC " __VERSION__;
#endif

ExitCode print_version(bool json) {
  constexpr std::string_view kCommit = QWEN3_COMMIT;
  const std::string_view commit = kCommit.empty() ? "unknown" : kCommit;
  const CpuInfo& cpu = cpu_info();
  const std::string libraries = fmt::format(
      "{}, {}", curl_version_info(CURLVERSION_NOW)->version, OpenSSL_version(OPENSSL_VERSION));
  if (json) {
    print_json({{"version", QWEN3_VERSION},
                {"commit", commit},
                {"compiler", kCompiler},
                {"build_type", QWEN3_BUILD_TYPE},
                {"features", QWEN3_FEATURES},
                {"libraries", "curl " + libraries},
                {"cpu", cpu.model_name},
                {"cpu_isa", isa_name(cpu.best_isa)}});
    return kDone;
  }
  print_out(
      fmt::format("qwen3 {}\ncommit     {}\ncompiler   {}, {}\nfeatures   {}\nlibraries  curl {}\n"
                  "processor  {} ({})\n",
                  QWEN3_VERSION,
                  commit,
                  kCompiler,
                  QWEN3_BUILD_TYPE,
                  QWEN3_FEATURES,
                  libraries,
                  cpu.model_name,
                  isa_name(cpu.best_isa)));
  return kDone;
}

}  // namespace

void add_version(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "version", "Version, commit, compiler and features of this program, for reports of faults");
  command->add_flag("--json", *json, "Print them as JSON");
  command->callback([json, &action] { action = [json] { return print_version(*json); }; });
}

}  // namespace qwen3::cli
