// qwen3 eval merge: the output files of all shards made one, as if the run had never been divided,
// with the lines in the order of the dataset.
#pragma once

#include <cstdint>
#include <string>

#include "eval/run/config.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

struct MergeOptions {
  EvalConfig config;  // output_file names the whole; the shards stand beside it (manifest.h)
  Mode mode = Mode::standard;
  bool partial = false;  // samples may be missing
};

struct MergeReport {
  int64_t n_shards = 0;
  int64_t wanted = 0, there = 0;  // samples
  std::string output;
};

// Throws Error and writes nothing when a shard is missing, being written, or made by a different
// run, when a line belongs to none of its shard's samples, when samples are missing (unless
// `partial`), or when the output file is already there.
MergeReport merge_shards(const MergeOptions& options);

}  // namespace qwen3::eval
