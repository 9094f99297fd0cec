#include "parallel/handshake.h"

#include <algorithm>

#include "base/error.h"

namespace qwen3 {
namespace {

constexpr char kEnd = '\n';

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(kEnd, at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::vector<std::string> differences(Communicator& group, const std::vector<Fact>& mine) {
  std::string text;
  for (const Fact& fact : mine) text += fact.value + kEnd;
  const std::vector<std::string> all = group.all_gather(text);
  const std::vector<std::string> first = lines_of(all.front());
  std::vector<std::string> found;
  for (int r = 1; r < group.size(); ++r) {
    const std::vector<std::string> theirs = lines_of(all[static_cast<size_t>(r)]);
    for (size_t i = 0; i < mine.size(); ++i) {
      const std::string value = i < theirs.size() ? theirs[i] : "nothing";
      const std::string expected = i < first.size() ? first[i] : "nothing";
      if (value == expected) continue;
      found.push_back(fmt::format("{}: {} {} is not rank 0's {}; {}",
                                  group.name(r),
                                  mine[i].name,
                                  value,
                                  expected,
                                  mine[i].remedy));
    }
  }
  return found;
}

}  // namespace qwen3
