// qwen3 generate --prompts FILE: many prompts in one batch, answers as JSON Lines in the prompts' order.
//
//   prompts.jsonl   one per line: "a text", or {"prompt": "a text", …}; other keys are left alone
//   anything else   one per line, as it stands; empty lines are none
//
//   {"index":0,"text":" upon a time","finish_reason":"stop","prompt_tokens":3,"completion_tokens":4}
//   {"index":1,"error":"prompts.jsonl: line 2: …"}
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/chat/answer_form.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace qwen3::cli {

struct BatchOptions {
  std::string prompts;  // a file; "": no batch
  std::string out;      // a file; "": stdout
  int64_t size = 16;    // sequences that run together
};

// --prompts, which is returned, --batch and --out.
CLI::Option* add_batch_options(CLI::App& command, BatchOptions& options);

struct BatchPrompt {
  std::string text;
  std::string error;  // not empty: why there is no text, with the file and its line
};

// Throws Error for a file that cannot be read, invalid_argument for one without a prompt. A line that is none is a
// prompt with an error.
std::vector<BatchPrompt> read_prompts(const std::filesystem::path& file);

// What every answer has in common.
struct BatchRun {
  const Text& text;
  const AnswerForm& form;
  SamplingParams sampling;
  std::vector<std::string> stop;
  Json shape =
      {};  // all of it, and the model: what a run must share with the one that it goes on with (batch_book.h)
};

// Whole lines to stdout as answers come, each when those before it are out; or a whole file at the end, until when what
// there is stands in a book beside it, which the next run goes on with. kFailed when a prompt has no answer, or Ctrl-C
// came.
ExitCode answer_prompts(const BatchRun& run,
                        const std::shared_ptr<Model>& model,
                        const ModelOptions& model_options,
                        const BatchOptions& options,
                        const std::vector<BatchPrompt>& prompts,
                        const OutputOptions& output);

}  // namespace qwen3::cli
