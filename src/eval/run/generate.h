// qwen3 eval generate without the command line: asks for every sample of a dataset that is not in
// the output file yet, and writes each answer down so that it stays.
//
//   OUTPUT                   answers (eval/run/sample_line.h); the only file that scoring needs
//   OUTPUT.manifest.json     what made them (eval/run/manifest.h)
//   OUTPUT.failures.jsonl    samples without an answer (eval/run/failure_log.h)
//   OUTPUT.timings.jsonl     when, where and how fast: facts that differ from run to run
//
// However often a run is interrupted, and wherever, the sorted lines of OUTPUT end up the same as
// without an interruption, provided that the model answers the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "eval/run/answer_source.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"
#include "eval/run/manifest.h"

namespace qwen3::eval {

struct GenerateOptions {
  EvalConfig config;
  Mode mode = Mode::standard;
  Shard shard;
  int64_t max_rows = 0;        // 0: all; else the first ones only
  bool accept_served = false;  // resume although the servers say other things about themselves
  std::string version;         // of this program, for the manifest
};

// How far a run is.
struct Tally {
  int64_t wanted = 0;  // samples in all
  int64_t there = 0;   // of them in the file, found and new
  int64_t found = 0;   // there when the run began
  int64_t failed = 0;  // new failures
  int64_t under_way = 0;
  int64_t new_completion_tokens = 0;
  int64_t prompt_tokens = 0, completion_tokens = 0;  // of the whole file
};

enum class StopWish {
  none,
  finish,  // wait for what is under way, ask nothing more
  now,     // drop what is under way
};

// How the run and its caller talk. Any may be empty.
struct GenerateHooks {
  std::function<void(const std::string& line)> note;  // things worth knowing
  std::function<void(const Tally& tally, const std::string& condition)> progress;
  std::function<StopWish()> stop;  // asked several times a second
};

struct GenerateReport {
  Tally tally;
  std::map<std::string, int64_t> failures;  // by kind, of the samples that have no answer
  bool stopped = false;                     // by the wish of the caller
  std::string ended_by;                     // a failure that no other sample could escape; or ""

  bool complete() const { return tally.there == tally.wanted; }
};

// Makes the one who answers, when dataset and output file are known to be in order.
using MakeSource = std::function<std::unique_ptr<AnswerSource>()>;

// Throws Error for everything that ends the run before its end: files, disk, servers that are gone.
// What was written before stays, and the same call goes on from there.
GenerateReport generate(const GenerateOptions& options,
                        const MakeSource& make_source,
                        const GenerateHooks& hooks);

}  // namespace qwen3::eval
