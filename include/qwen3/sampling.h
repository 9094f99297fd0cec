// The number-valued fields of SamplingParams, each described once. From this table come the options
// of the command line and their help, /set in a chat, the keys of evaluation configs, the JSON
// fields of the server, and the engine's checks: a new parameter is a line here and its use in the
// sampler. min_tokens is not among them: how many there may be depends on the prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "qwen3/model.h"
#include "qwen3/request.h"

namespace qwen3 {

struct SamplingField {
  enum class Low { included, excluded };
  using Member = std::variant<double SamplingParams::*, int64_t SamplingParams::*>;
  using OfCheckpoint = std::variant<std::monostate,
                                    std::optional<double> GenerationDefaults::*,
                                    std::optional<int64_t> GenerationDefaults::*>;

  std::string_view name;  // in JSON and YAML; the command line writes it with dashes
  std::string_view help;  // one line
  Member member;          // its value in a fresh SamplingParams is the default
  double low, high;       // of an integer field: within 2^53
  Low low_bound = Low::included;
  std::optional<double> no_limit = {};  // outside of the range, for those who can say "no limit"
  OfCheckpoint of_checkpoint = {};      // what generation_config.json may set instead

  bool is_integer() const { return std::holds_alternative<int64_t SamplingParams::*>(member); }
  double get(const SamplingParams& params) const;
  // REQUIRES of an integer field: value lies within 2^53.
  void set(SamplingParams& params, double value) const;

  bool in_range(double value) const;    // NaN is not
  bool accepts(double value) const;     // in range, or no_limit; for integers: and whole
  std::string range() const;            // "a number from 0 to 100", as messages expect it
  std::string what_it_accepts() const;  // "an integer from 1 to 9, or -1 for no limit"
};

std::span<const SamplingField> sampling_fields();
const SamplingField* find_sampling_field(std::string_view name);  // nullptr: there is none

// Whether to draw where generation_config.json does not say (do_sample).
enum class DoSample { no, yes };

// What the checkpoint asks for, else the defaults of SamplingParams. Who draws without a
// temperature from the checkpoint draws with 1; who does not draw is greedy.
SamplingParams with_defaults(const GenerationDefaults& defaults, DoSample when_silent);

}  // namespace qwen3
