#include "tokenizer/unicode_classes.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace qwen3 {
namespace {

struct Run {
  char32_t first;
  uint8_t classes;
};

constexpr Run kRuns[] = {
#include "tokenizer/unicode_classes.inc"
};

std::unique_ptr<const UnicodeClassTable> expand_runs() {
  auto table = std::make_unique<UnicodeClassTable>();
  for (size_t i = 0; i < std::size(kRuns); ++i) {
    const char32_t end = i + 1 < std::size(kRuns) ? kRuns[i + 1].first : kCodePoints;
    std::fill(table->begin() + kRuns[i].first, table->begin() + end, kRuns[i].classes);
  }
  return table;
}

}  // namespace

const UnicodeClassTable& unicode_classes() {
  static const std::unique_ptr<const UnicodeClassTable> table = expand_runs();
  return *table;
}

size_t skip_ascii(std::string_view text, size_t pos) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  for (; pos + 8 <= text.size(); pos += 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + pos, 8);
    if ((word & kHighBits) != 0) break;
  }
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) ++pos;
  return pos;
}

}  // namespace qwen3
