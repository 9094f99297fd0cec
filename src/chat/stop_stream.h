// Stop strings over a stream of text.
//
// Text is released as soon as it cannot become part of a stop string any more. An Aho-Corasick
// automaton reads each byte once, whatever the number of stop strings:
//
//   stop "END", text "a E" "NX"   ->  push "a E" releases "a " (E may begin END)
//                                     push "NX"  releases "ENX"
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

class StopStream {
 public:
  static constexpr size_t kMaxStopStrings = 256;
  static constexpr size_t kMaxStopBytes = 8192;  // all together; the table takes up to 1 KiB each

  // Throws Error{invalid_argument} for an empty stop string, ill-formed UTF-8 or too many.
  explicit StopStream(const std::vector<std::string>& stops, bool include_stop_str = false);

  // Takes a piece of well-formed UTF-8 and returns what may be shown, also well-formed. The stream
  // stops where the first stop string ends (of several that end there, the longest counts); from
  // then on nothing is released. One that ends in text with `may_stop` false does not count.
  std::string push(std::string_view text, bool may_stop = true);
  // The end of the text: releases what was held back.
  std::string finish();

  bool stopped() const { return matched_ >= 0; }
  // Which stop string was found; -1 for none.
  int matched() const { return matched_; }
  size_t held_bytes() const { return held_.size(); }

 private:
  struct Node {
    int32_t depth = 0;
    int32_t fail = 0;
    int32_t stop = -1;  // the longest stop string that ends here
  };

  void add(std::string_view stop, int index);
  void link();
  int32_t& next(int32_t node, uint8_t byte_class) {
    return table_[static_cast<size_t>(node) * n_classes_ + byte_class];
  }

  std::array<uint8_t, 256> classes_{};  // bytes that occur in no stop string share class 0
  size_t n_classes_ = 1;
  std::vector<Node> nodes_;
  std::vector<int32_t> table_;  // [nodes, classes]
  std::vector<size_t> lengths_;
  bool include_stop_ = false;
  int32_t state_ = 0;
  int matched_ = -1;
  std::string held_;
};

}  // namespace qwen3
