// What the page of a trace carries (trace/report.h), read back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qwen3::server {

inline Json report_data(const std::string& page) {
  constexpr std::string_view kMark = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = page.find(kMark) + kMark.size();
  return parse_json(page.substr(begin, page.find("</script>", begin) - begin), "report");
}

inline std::vector<int32_t> report_ids(const Json& data) {
  std::vector<int32_t> ids;
  for (const Json& token : data["tokens"]) ids.push_back(token[0]);
  return ids;
}

// Tokens whose experts the first sparse layer names: base64 of two bytes for each choice.
inline size_t report_n_routed(const Json& data) {
  const Json& layer = data["routing"][0];
  const auto text = layer["experts"].get<std::string>();
  const size_t n_padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  return (text.size() / 4 * 3 - n_padding) / (2 * layer["top_k"].get<size_t>());
}

}  // namespace qwen3::server
