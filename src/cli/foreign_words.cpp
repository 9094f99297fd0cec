#include "cli/foreign_words.h"

#include <fmt/format.h>

#include "base/nearest.h"
#include "cli/commands.h"

namespace qwen3::cli {
namespace {

struct Foreign {
  std::string_view word, remedy;
};
constexpr std::string_view kDownload =
    "; a model is downloaded by name once: qwen3 pull Qwen/Qwen3-0.6B, then qwen3 chat -m "
    "Qwen/Qwen3-0.6B";
constexpr std::string_view kWholeModel =
    "; a model lies on one card as a whole, or on the processor: --backend cuda or --backend cpu";
constexpr std::string_view kAlways = "; it is always so here: leave it out";
constexpr std::string_view kKeyFile =
    "; keys on a command line are seen by everybody on the machine: put it into a file, and give "
    "--api-key-file";
constexpr std::string_view kRepetition = "; what is nearest here is --repetition-penalty";
constexpr Foreign kForeignOptions[] = {
    {"-hf", kDownload},
    {"-hfr", kDownload},
    {"--hf-repo", kDownload},
    {"-ngl", kWholeModel},
    {"--n-gpu-layers", kWholeModel},
    {"--gpu-layers", kWholeModel},
    {"--device", kWholeModel},
    {"--tensor-parallel-size", kWholeModel},
    {"-tp", kWholeModel},
    {"-sys", "; the system message is --system"},
    {"-np", "; requests that run together: --parallel"},
    {"-fa", kAlways},
    {"--flash-attn", kAlways},
    {"--jinja", kAlways},
    {"--enable-prefix-caching", kAlways},
    {"--enable-chunked-prefill", kAlways},
    {"--enable-auto-tool-choice", kAlways},
    {"--reasoning-parser", "; thoughts are told apart by themselves: leave it out"},
    {"--tool-call-parser", "; the format is found in the template; else --tool-format"},
    {"--trust-remote-code", "; no code of a model is ever run: leave it out"},
    {"--api-key", kKeyFile},
    {"--repeat-penalty", kRepetition},
    {"--gpu-memory-utilization", "; memory in bytes: --memory-limit, --kv-cache-bytes"},
    {"--disable-log-requests", "; did you mean \"--no-access-log\"?"},
    {"--no-enable-log-requests", "; did you mean \"--no-access-log\"?"},
    {"--alias", "; did you mean \"--served-model-name\"?"},
    {"--predict", "; did you mean \"--max-tokens\"?"}};
constexpr Foreign kForeignCommands[] = {{"download", kDownload},
                                        {"run", "; did you mean \"chat\"? qwen3 chat -m MODEL"},
                                        {"ls", "; did you mean \"list\"?"},
                                        {"ps", "; a server answers GET /v1/models"},
                                        {"remove", "; did you mean \"rm\"?"},
                                        {"delete", "; did you mean \"rm\"?"}};

std::string remedy_for(std::string_view word,
                       std::span<const Foreign> foreign,
                       std::span<const std::string> known) {
  for (const Foreign& other : foreign) {
    if (other.word == word) return std::string(other.remedy);
  }
  return did_you_mean(word, known);
}

}  // namespace

std::string remedy_for_option(std::string_view word, std::span<const std::string> known) {
  return remedy_for(word, kForeignOptions, known);
}

std::string remedy_for_command(std::string_view word, std::span<const std::string> known) {
  return remedy_for(word, kForeignCommands, known);
}

void refuse_foreign_options(std::span<const std::string> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0 && words[i - 1].starts_with("--")) continue;  // its value, perhaps
    for (const Foreign& option : kForeignOptions) {
      if (words[i] != option.word || words[i].starts_with("--")) continue;
      throw UsageError(fmt::format("qwen3: unknown option \"{}\"{}", words[i], option.remedy));
    }
  }
}

}  // namespace qwen3::cli
