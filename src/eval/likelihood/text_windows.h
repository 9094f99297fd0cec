// A text longer than a model's context, cut into overlapping windows as the documentation of
// transformers does ("Perplexity of fixed-length models"), and what its tokens stand for.
//
//   context 8, stride 4, 14 tokens:      window 0  [0 … 8)    scores 1 … 7
//                                        window 1  [4 … 12)   scores 8 … 11
//                                        window 2  [8 … 14)   scores 12, 13
//
// Every token is scored once, with at least context - stride tokens before it (except in the first
// window). A token at the very beginning of a window has nothing before it and is not scored: the
// first token of the text, and with stride = context the first of each window.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

struct WindowOptions {
  int64_t context = 0;            // tokens per window; 0: the model's limit, but at most 2048
  int64_t stride = 0;             // how far the next window starts; 0: half the context
  std::string kv_dtype = "auto";  // of the model that is judged, as LogitStream
  Progress progress = {};         // in tokens; may throw to stop
};

struct TextWindow {
  int64_t begin, end;    // tokens [begin, end) are run
  int64_t first_target;  // tokens [first_target, end) are scored; > begin

  int64_t n_targets() const { return end - first_target; }
};

// The options with defaults filled in. Throws Error{invalid_argument} for a context below 2 or
// above `model_limit`, and for a stride that is not in [1, context].
WindowOptions resolve_windows(WindowOptions options, int64_t model_limit);

// REQUIRES: resolved options. Throws Error{invalid_argument} for fewer than two tokens.
std::vector<TextWindow> sliding_windows(int64_t n_tokens, const WindowOptions& options);

// A text file as token ids. Control tokens spelled in the text are recognised, as transformers'
// tokenizers do. Throws Error{not_found, invalid_argument} for what is not a regular file, not
// UTF-8, or has fewer than two tokens.
std::vector<int32_t> read_text_ids(const std::filesystem::path& file, const Tokenizer& tokenizer);

// How much text the scored tokens are.
struct TextSize {
  int64_t n_bytes = 0;
  int64_t n_words = 0;  // separated by white space; a word counts with the token it begins in
};
TextSize scored_text_size(const Tokenizer& tokenizer,
                          std::span<const int32_t> ids,
                          std::span<const TextWindow> windows);

}  // namespace qwen3
