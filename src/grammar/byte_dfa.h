// ByteDfa: the texts of a TextDfa as bytes: UTF-8, raw or as the inside of a JSON string. The first states are
// those of the TextDfa, between two code points; the others lie inside a sequence or an escape.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "grammar/text_dfa.h"

namespace qwen3 {

enum class ByteForm {
  raw,
  json,      // controls by their shortest escape, \u00XX in either case
  json_any,  // of a universal set: also \/ and \u escapes of printable characters
  json_key,  // as json, with one spelling for each text: \u00xx in lower case
};

class ByteDfa {
 public:
  struct Edge {
    uint8_t first, last;
    int32_t to;
  };

  // json_any: `dfa` must be TextDfa::all(). `spend(bytes)` is called now and then and may throw.
  ByteDfa(const TextDfa& dfa, ByteForm form, const std::function<void(int64_t)>& spend);

  // -1: refused.
  int32_t next(int32_t state, uint8_t byte) const {
    for (const Edge& edge : edges(state)) {
      if (byte <= edge.last) return byte >= edge.first ? edge.to : -1;
    }
    return -1;
  }
  std::span<const Edge> edges(int32_t state) const {
    const size_t i = static_cast<size_t>(state);
    return std::span(edges_).subspan(begins_[i], begins_[i + 1] - begins_[i]);
  }
  bool between_code_points(int32_t state) const { return state < n_whole_; }
  bool accepts(int32_t state) const {
    return state < n_whole_ && accepts_[static_cast<size_t>(state)];
  }
  // From here every text of plain code points stays inside: no `"`, `\` and controls.
  bool holds_plain(int32_t state) const {
    return state < n_whole_ && holds_plain_[static_cast<size_t>(state)];
  }
  int32_t n_states() const { return static_cast<int32_t>(begins_.size()) - 1; }
  int64_t bytes() const { return std::ssize(edges_) * 8 + std::ssize(begins_) * 4; }
  const std::vector<Edge>& all_edges() const { return edges_; }

 private:
  void find_plain(const TextDfa& dfa);

  int32_t n_whole_;
  std::vector<bool> accepts_, holds_plain_;
  std::vector<Edge> edges_;
  std::vector<uint32_t> begins_;  // by state, and the end
};

}  // namespace qwen3
