// OUTPUT.manifest.json: what made the answers of a file. A run resumes only where all that shapes
// an answer is still the same; otherwise it refuses and names the difference.
//
//   {"format": 1,
//    "identity": {"mode": "standard", "request": {…},   in the key of every sample
//                 "system": …, "seed": …},              or, where choices are scored, "choose": {…}
//    "dataset": {"path", "sha256", "rows"},
//    "served": [{"version": …, "model": …}],            what servers said about themselves
//    "shard": [1, 4],                                   absent: the whole dataset
//    "n_samples": 1, "config": {…}, "version": "0.1.0",
//    "runs": [{"started": "2026-…Z", "ended": …, "version": …, "found": …,
//              "answers": …, "failures": …}],
//    "totals": {"wanted", "answers", "prompt_tokens", "completion_tokens"}}
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

// A part of the dataset: the rows whose number (from 0) is index - 1 modulo count.
struct Shard {
  int64_t index = 1, count = 1;
  bool has(int64_t row) const { return row % count == index - 1; }
  bool whole() const { return count == 1; }
  bool operator==(const Shard&) const = default;
};

// "out/x.jsonl" with shard 2 of 4 is "out/x.shard-2-of-4.jsonl".
std::filesystem::path shard_path(const std::filesystem::path& output, const Shard& shard);

struct RunFacts {
  const EvalConfig& config;
  Mode mode;
  const Dataset& dataset;
  Shard shard;
  Json served;
  std::string version;  // of this program
};

// What is in the key of every sample, and its hash. Throws Error{invalid_argument} for a strict run
// that would score choices.
Json run_identity(const EvalConfig& config, Mode mode);
std::string identity_hash(const Json& identity);

Json make_manifest(const RunFacts& facts);
std::optional<Json> read_manifest(const std::filesystem::path& path);  // empty: no such file
// To disk, whole or not at all. Throws Error{io}.
void write_manifest(const std::filesystem::path& path, const Json& manifest);

// The first difference that forbids resuming: "identity.request.temperature: was 0.7, is 0.8".
// Empty: none. Facts about servers that are new (not merely absent) are a difference.
std::string manifest_difference(const Json& before, const Json& now);

std::string utc_now();  // "2026-11-24T17:19:02Z"

}  // namespace qwen3::eval
