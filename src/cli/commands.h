// The commands of the qwen3 program. Each lives in its own file, declares its options on a
// subcommand of the parser and leaves behind the action that does the work; run() parses, runs the
// chosen action and turns what went wrong into one line on stderr and an exit code.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

namespace CLI {
class App;
}

namespace qwen3::cli {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,      // the work could not be done, or not all of it
  kWrongUsage = 2,  // the command line makes no sense
};

// Throw for what only the command line is to blame for. run() answers with kWrongUsage.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Action = std::function<ExitCode()>;

// Each adds one subcommand, which stores its work in `action` when it is chosen. `action` must
// outlive the parsing.
void add_chat(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);
void add_logits(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_render(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_trace(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_pull(CLI::App& app, Action& action);
void add_list(CLI::App& app, Action& action);
void add_show(CLI::App& app, Action& action);
void add_rm(CLI::App& app, Action& action);
void add_version(CLI::App& app, Action& action);
void add_completions(CLI::App& app, Action& action);
void add_manual(CLI::App& app, Action& action);

// The program. Returns the exit code; throws nothing.
int run(int argc, const char* const* argv);

}  // namespace qwen3::cli
