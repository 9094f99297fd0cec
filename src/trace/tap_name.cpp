#include "trace/tap_name.h"

#include <charconv>

namespace qwen3 {
namespace {

// Takes "<number>." or a final "<number>" off the front of `text`; -1 when there is none.
int64_t take_number(std::string_view& text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return -1;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty() && text.front() == '.') text.remove_prefix(1);
  return value;
}

}  // namespace

TapName parse_tap_name(std::string_view name) {
  constexpr std::string_view kLayers = "layers.", kExperts = "mlp.experts.";
  TapName parsed{.part = name};
  if (!name.starts_with(kLayers)) return parsed;
  std::string_view rest = name.substr(kLayers.size());
  parsed.layer = take_number(rest);
  if (parsed.layer < 0) return parsed;
  parsed.part = rest;
  if (!rest.starts_with(kExperts)) return parsed;
  std::string_view step = rest.substr(kExperts.size());
  parsed.expert = take_number(step);
  if (parsed.expert < 0) return parsed;
  parsed.part = rest.substr(0, kExperts.size() - 1);
  parsed.step = step;
  return parsed;
}

}  // namespace qwen3
