// One line of an output file:
//
//   {"prompt": …, "answer": …, "task_id": …, "gen": ["text"], "qwen3": {"id": "4f…", "sample": 0,
//    "finish_reason": "stop", "prompt_tokens": 812, "completion_tokens": 97, "crc32": "8d3c01fe"}}
//
// The row of the dataset comes first, as Python's json.dumps(row, ensure_ascii=False) writes it,
// then what was generated, as the official scripts write it, so that they can score the file. The
// member "qwen3" is last, its keys are in this order, and "reasoning_content" (text),
// "null_content" (true: the server sent null, recorded as "") and "loglikelihoods" (of the row's
// choices, where those are scored instead of generating) stand before "crc32" when they apply.
// Token counts that the server did not tell are null.
//
// crc32 is the CRC-32 (zlib's) of the line without that member: of everything before `, "crc32"`
// followed by the two closing braces. In Python: zlib.crc32(line[:-23] + b"}}").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3::eval {

// What a model answered.
struct Answer {
  std::string text = {};
  std::optional<std::string> reasoning = {};           // where the server separates it
  std::string finish_reason = "stop";                  // "stop", "length" or the server's own word
  int64_t prompt_tokens = -1, completion_tokens = -1;  // -1: not told
  bool null_content = false;                           // the content was null, not text
  std::vector<double> loglikelihoods = {};             // of the row's choices, if scored
  // Of a prompt (Want::tokens, Want::logprobs), not written: names that are equal for equal tokens,
  // and the natural logarithms of their probabilities, NaN for the first, which has none.
  std::vector<std::string> token_names = {};
  std::vector<double> token_logprobs = {};
  // Strict only: the official record of a prompt that is too long, instead of a text.
  bool context_exceeded = false;
};

// The finish_reason of an answer that was chosen, not generated (eval/run/choice_source.h).
inline constexpr std::string_view kChosen = "chosen";

// `row_json` is the row's object as above, without "gen" and "qwen3".
std::string sample_line(std::string_view row_json,
                        std::string_view key,
                        int64_t sample,
                        const Answer& answer);

// What a line says about itself, read without parsing it whole: a line whose CRC is right is as it
// was written.
struct SampleFacts {
  std::string_view key;  // into the line
  int64_t sample = 0;
  int64_t prompt_tokens = -1, completion_tokens = -1;
};
// Empty for any line that is not whole and unchanged.
std::optional<SampleFacts> read_sample_line(std::string_view line);

// Whether the line was meant to be one of ours: it has the member "qwen3" in its place. (A damaged
// line may say no.)
bool has_sample_member(std::string_view line);

}  // namespace qwen3::eval
