// CodePoints: a set of code points as ascending, disjoint ranges; surrogates are never members.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace qwen3 {

class CodePoints {
 public:
  struct Range {
    char32_t first, last;
    bool operator==(const Range&) const = default;
  };

  CodePoints() = default;
  explicit CodePoints(std::vector<Range> ranges);  // in any order, overlapping or not

  static CodePoints all();
  // The name between the braces of \p{…}: a general category, short or long, also as gc=… ; nothing for others.
  static std::optional<CodePoints> property(std::string_view name);

  CodePoints operator|(const CodePoints& other) const;
  CodePoints complement() const;

  bool empty() const { return ranges_.empty(); }
  bool operator==(const CodePoints&) const = default;
  const std::vector<Range>& ranges() const& { return ranges_; }
  std::vector<Range> ranges() && { return std::move(ranges_); }

 private:
  std::vector<Range> ranges_;
};

}  // namespace qwen3
