// What `qwen3 trace` was asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "trace/levels.h"

namespace qwen3::cli {

struct TraceOptions {
  ModelOptions model;
  OutputOptions output;
  std::optional<std::string> prompt, chat, ids, labels;
  std::optional<std::string> thinking;  // "on", "off": with chat
  int64_t generate = 0;                 // tokens after the prompt, through an engine
  std::optional<std::string> level;
  std::string language = "auto";  // auto, en, zh, original
  std::vector<std::string> taps;  // patterns; empty: all
  bool watch = false;             // look for NaN and infinities in every tensor
  std::string out, compare;       // directories of .npy files
  double tolerance = 1e-5;
  bool routing = false;
  std::string routing_out;
  bool attention = false;
  std::string attention_out;
  int64_t lens = 0;         // rows, the last ones
  bool lens_given = false;  // and not only for the report
  std::string html, timeline;
  bool demo = false, moe_block = false;

  // Whether anything but the lines of a level was asked for.
  bool wants_more() const {
    return output.json || watch || routing || attention || lens > 0 || !taps.empty() ||
           !out.empty() || !compare.empty() || !routing_out.empty() || !attention_out.empty() ||
           !html.empty() || !timeline.empty();
  }
  bool wants_statistics() const { return output.json || watch || !taps.empty() || !html.empty(); }
  bool wants_routing() const { return routing || !routing_out.empty() || !html.empty(); }
  bool wants_attention() const { return attention || !attention_out.empty() || !html.empty(); }
  bool wants_time() const { return !timeline.empty() || !html.empty(); }
};

TraceLanguage trace_language(const TraceOptions& options);

}  // namespace qwen3::cli
