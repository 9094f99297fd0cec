// The text of a byte-level BPE model as files spell it, and the checked step from there to a Bpe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"

namespace qwen3 {

struct BpeText {
  struct Span {
    uint32_t offset;
    uint32_t length;
  };
  struct Entry {
    Span spelling;
    int64_t id;
  };

  std::string text;  // every spelling, one after the other; below 4 GiB
  std::vector<Entry> vocab;
  std::vector<std::pair<Span, Span>> merges;  // in the order of their ranks
  IgnoreMerges ignore_merges = IgnoreMerges::no;

  Span keep(std::string_view spelling);
  std::string_view at(Span span) const {
    return std::string_view(text).substr(span.offset, span.length);
  }

  // One merge in the old form, "left right". Throws Error{corrupt_file} unless there is exactly
  // one space. Lines that begin with #version are skipped, as Hugging Face does.
  void add_merge_line(std::string_view line, std::string_view where);
};

// Checks every id, merge and added token against the others. Added tokens become part of the
// vocabulary. `where` begins every message. Throws Error{corrupt_file}.
Bpe make_bpe(const BpeText& model, const std::vector<AddedToken>& added, std::string_view where);

}  // namespace qwen3
