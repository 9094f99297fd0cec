// The subcommands of `qwen3 eval`, one file each. Like the commands of commands.h, each declares
// its options and leaves its work in `action` when it is chosen. `action` must outlive the parsing.
#pragma once

#include "cli/commands.h"

namespace qwen3::cli {

void add_eval_generate(CLI::App& eval, Action& action);    // eval_generate.cpp
void add_eval_run(CLI::App& eval, Action& action);         // eval_generate.cpp
void add_eval_merge(CLI::App& eval, Action& action);       // eval_merge.cpp
void add_eval_score(CLI::App& eval, Action& action);       // eval_score.cpp
void add_eval_prepare(CLI::App& eval, Action& action);     // eval_prepare.cpp
void add_eval_perplexity(CLI::App& eval, Action& action);  // eval_perplexity.cpp
void add_eval_divergence(CLI::App& eval, Action& action);  // eval_divergence.cpp

}  // namespace qwen3::cli
