// Options that several commands share, and what they resolve to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/model_path.h"
#include "qwen3/engine.h"
#include "qwen3/model.h"
#include "qwen3/sampling.h"

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace qwen3::cli {

// Validators for CLI11 options: what is not text at all is wrong usage, wherever it would fail
// later.
CLI::Validator any_text();   // well-formed UTF-8
CLI::Validator some_text();  // the same, and not empty
CLI::Validator some_name();  // of a file or directory: any bytes, but not none

// One of these words. The names of accelerators and of number formats that other programs know are
// answered with what there is here.
CLI::Validator one_of(std::vector<std::string> words);

// Which model, and on what it runs.
struct ModelOptions {
  std::string model = kDefaultModel;
  std::string backend = "auto";
  std::string dtype = "auto";
  std::string cpu_isa;  // "": the best
  int threads = 0;      // 0: all cores
  int64_t context = 0;  // 0: the model's own limit, or what fits in memory
  std::string kv_dtype = "auto";
  int ranks = 0;             // 0: as many as a launcher started, else one
  int peer_seconds = 3;      // without a heartbeat, and a rank is lost; 0: no watchdog
  std::string hf_overrides;  // JSON over config.json; "": nothing
};

// --model; where a command takes no other word, the model may also stand alone: qwen3 inspect nano.
enum class ModelStands { behind_its_option, alone_too };
void add_model_option(CLI::App& command,
                      ModelOptions& options,
                      ModelStands where = ModelStands::behind_its_option);
void add_compute_options(CLI::App& command, ModelOptions& options);  // --backend … --cpu-isa
void add_context_option(CLI::App& command, ModelOptions& options);   // --context
void add_kv_dtype_option(CLI::App& command, std::string& kv_dtype);  // --kv-dtype
void add_ranks_options(CLI::App& command, ModelOptions& options);    // --ranks, --peer-seconds
// --hf-overrides, and --rope-scaling, --rope-scale, --rope-theta, --yarn-orig-ctx, which add to it.
CLI::Validator overrides_json();  // a word of --hf-overrides
void add_override_options(CLI::App& command, ModelOptions& options);
LoadOptions load_options(const ModelOptions& options);

// How much is said, and to whom.
struct OutputOptions {
  bool quiet = false;
  bool json = false;

  bool talk() const { return !quiet && !json; }  // the lines for people on stderr
};
inline constexpr std::string_view kQuietHelp = "No lines about model and speed on stderr";
void add_quiet_option(CLI::App& command,
                      OutputOptions& options,
                      std::string_view quiet_help = kQuietHelp);
// --json, explained by json_help, and --quiet.
void add_output_options(CLI::App& command,
                        OutputOptions& options,
                        std::string_view json_help,
                        std::string_view quiet_help = kQuietHelp);

// How the command line takes a sampling field: as an option, and after /set in a chat.
std::string option_name(const SamplingField& field);  // "--top-p"
// Why `word` is not a value of this field: "expected …; got …". Empty when it is one.
std::string problem(const SamplingField& field, std::string_view word);

struct SamplingOptions {
  // In the order of sampling_fields(); empty: the model's default.
  std::vector<std::optional<double>> values;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool ignore_eos = false;
};
void add_sampling_options(CLI::App& command, SamplingOptions& options);

// What was given, by the names of the fields.
std::map<std::string, double> asked_sampling(const SamplingOptions& options);

}  // namespace qwen3::cli
