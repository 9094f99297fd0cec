#include "server/api/decision_labels.h"

#include <string>

namespace qwen3::server {

DecisionLabels decision_labels(const Text& text) {
  const std::string before = "\n\n";  // how a prompt ends
  const size_t n_before = text.encode_untrusted(before).size();
  const auto id_of = [&](const std::string& label) {
    const std::vector<int32_t> alone = text.encode_untrusted(label);
    const std::vector<int32_t> behind = text.encode_untrusted(before + label);
    const bool single =
        alone.size() == 1 && behind.size() == n_before + 1 && behind.back() == alone.front();
    return single ? alone.front() : -1;
  };
  DecisionLabels labels{.yes = id_of("yes"), .no = id_of("no")};
  for (size_t i = 0; i < kMaxOptions; ++i) {
    labels.letters.push_back(id_of(std::string(1, static_cast<char>('A' + i))));
  }
  for (size_t i = 0; i < kMaxLevels; ++i) labels.digits.push_back(id_of(std::to_string(i)));
  return labels;
}

}  // namespace qwen3::server
