#include "chat/stop_stream.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace qwen3 {

StopStream::StopStream(const std::vector<std::string>& stops, bool include_stop_str)
    : include_stop_(include_stop_str) {
  QWEN3_CHECK(stops.size() <= kMaxStopStrings,
              ErrorKind::invalid_argument,
              "stop: expected at most {} strings, got {}",
              kMaxStopStrings,
              stops.size());
  size_t total = 0;
  for (size_t i = 0; i < stops.size(); ++i) {
    QWEN3_CHECK(!stops[i].empty(), ErrorKind::invalid_argument, "stop[{}]: must not be empty", i);
    QWEN3_CHECK(
        utf8_valid(stops[i]), ErrorKind::invalid_argument, "stop[{}]: is not valid UTF-8", i);
    total += stops[i].size();
    for (const char c : stops[i]) {
      // At most 255 classes: a byte that no UTF-8 text contains, 0xFF, never gets one.
      uint8_t& byte_class = classes_[static_cast<unsigned char>(c)];
      if (byte_class == 0) byte_class = static_cast<uint8_t>(n_classes_++);
    }
  }
  QWEN3_CHECK(total <= kMaxStopBytes,
              ErrorKind::invalid_argument,
              "stop: expected at most {} bytes in all, got {}",
              kMaxStopBytes,
              total);
  nodes_.push_back({});
  table_.assign(n_classes_, 0);
  for (size_t i = 0; i < stops.size(); ++i) add(stops[i], static_cast<int>(i));
  link();
}

void StopStream::add(std::string_view stop, int index) {
  lengths_.push_back(stop.size());
  int32_t node = 0;
  for (const char c : stop) {
    const uint8_t byte_class = classes_[static_cast<unsigned char>(c)];
    if (next(node, byte_class) == 0) {
      const auto made = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({nodes_[static_cast<size_t>(node)].depth + 1, 0, -1});
      table_.resize(table_.size() + n_classes_, 0);
      next(node, byte_class) = made;
    }
    node = next(node, byte_class);
  }
  if (nodes_[static_cast<size_t>(node)].stop < 0) nodes_[static_cast<size_t>(node)].stop = index;
}

// Breadth first: where a byte does not continue a node's string, it continues that of the longest
// proper suffix. Afterwards every table entry is a final transition.
void StopStream::link() {
  std::vector<int32_t> queue;
  for (size_t c = 0; c < n_classes_; ++c) {
    if (table_[c] != 0) queue.push_back(table_[c]);
  }
  for (size_t at = 0; at < queue.size(); ++at) {
    Node& node = nodes_[static_cast<size_t>(queue[at])];
    if (node.stop < 0) node.stop = nodes_[static_cast<size_t>(node.fail)].stop;
    for (size_t c = 0; c < n_classes_; ++c) {
      int32_t& child = next(queue[at], static_cast<uint8_t>(c));
      const int32_t by_suffix = next(node.fail, static_cast<uint8_t>(c));
      if (child == 0) {
        child = by_suffix;
      } else {
        nodes_[static_cast<size_t>(child)].fail = by_suffix;
        queue.push_back(child);
      }
    }
  }
}

std::string StopStream::push(std::string_view text, bool may_stop) {
  if (stopped()) return {};
  std::string out = std::move(held_);
  held_.clear();
  const size_t before = out.size();
  out += text;
  for (size_t i = before; i < out.size(); ++i) {
    state_ = next(state_, classes_[static_cast<unsigned char>(out[i])]);
    const Node& node = nodes_[static_cast<size_t>(state_)];
    if (node.stop < 0 || !may_stop) continue;
    matched_ = node.stop;
    out.resize(include_stop_ ? i + 1 : i + 1 - lengths_[static_cast<size_t>(matched_)]);
    return out;
  }
  const auto hold = static_cast<size_t>(nodes_[static_cast<size_t>(state_)].depth);
  held_ = out.substr(out.size() - hold);
  out.resize(out.size() - hold);
  return out;
}

std::string StopStream::finish() {
  state_ = 0;
  return std::exchange(held_, {});
}

}  // namespace qwen3
