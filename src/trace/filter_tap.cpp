#include "trace/filter_tap.h"

#include <algorithm>

#include "trace/glob.h"

namespace qwen3 {

bool TapNames::wants(std::string_view name) const {
  if (!name.ends_with(".experts")) return contains(name);
  const std::string inside = std::string(name) + ".";
  const auto first = names_.lower_bound(inside);
  return first != names_.end() && first->starts_with(inside);
}

FilterTap::FilterTap(const std::vector<std::string>& patterns,
                     std::span<const std::string> names,
                     Tap& next)
    : all_(patterns.empty()), next_(next) {
  for (const std::string& name : names) {
    const auto matches = [&](const std::string& pattern) { return glob_match(pattern, name); };
    if (std::ranges::any_of(patterns, matches)) matching_.add(name);
  }
}

bool FilterTap::wants(std::string_view name) const {
  return (all_ || matching_.wants(name)) && next_.wants(name);
}

void FilterTap::tensor(std::string_view name, const Tensor& value) {
  if (all_ || matching_.contains(name)) next_.tensor(name, value);
}

}  // namespace qwen3
