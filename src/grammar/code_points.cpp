#include "grammar/code_points.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <string>

namespace qwen3 {
namespace {

constexpr char32_t kLast = 0x10FFFF, kSurrogates = 0xD800, kBehindSurrogates = 0xE000;

// By utf8proc_category_t: the short names of Unicode's general categories.
constexpr std::array<std::string_view, 30> kShortNames = {
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
    "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

struct LongName {
  std::string_view name, short_name;
};
constexpr LongName kLongNames[] = {
    {"Letter", "L"},
    {"Cased_Letter", "LC"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"Format", "Cf"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
};

// Runs of one category, ascending; made once (about 10 ms).
struct Run {
  char32_t first;
  uint8_t category;
};
const std::vector<Run>& category_runs() {
  static const std::vector<Run> runs = [] {
    std::vector<Run> found;
    for (char32_t c = 0; c <= kLast; ++c) {
      const auto category =
          static_cast<uint8_t>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
      if (found.empty() || found.back().category != category) found.push_back({c, category});
    }
    return found;
  }();
  return runs;
}

bool names_category(std::string_view name, std::string_view category) {
  if (name == "LC") return category == "Lu" || category == "Ll" || category == "Lt";
  return name == category || (name.size() == 1 && name[0] == category[0]);
}

}  // namespace

CodePoints::CodePoints(std::vector<Range> ranges) {
  std::vector<Range> parts;
  for (const Range& range : ranges) {
    const char32_t last = std::min(range.last, kLast);
    if (range.first > last) continue;
    if (range.first < kSurrogates) {
      parts.push_back({range.first, std::min<char32_t>(last, kSurrogates - 1)});
    }
    if (last >= kBehindSurrogates) {
      parts.push_back({std::max(range.first, kBehindSurrogates), last});
    }
  }
  std::sort(
      parts.begin(), parts.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  for (const Range& part : parts) {
    if (!ranges_.empty() && part.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, part.last);
    } else {
      ranges_.push_back(part);
    }
  }
}

CodePoints CodePoints::all() { return CodePoints({{0, kLast}}); }

std::optional<CodePoints> CodePoints::property(std::string_view name) {
  for (const std::string_view prefix : {"gc=", "General_Category="}) {
    if (name.starts_with(prefix)) {
      name.remove_prefix(prefix.size());
      break;
    }
  }
  if (name == "Any") return all();
  for (const LongName& entry : kLongNames) {
    if (name == entry.name) name = entry.short_name;
  }
  std::array<bool, kShortNames.size()> wanted{};
  bool known = false;
  for (size_t i = 0; i < kShortNames.size(); ++i) {
    wanted[i] = names_category(name, kShortNames[i]);
    known = known || wanted[i];
  }
  if (!known) return std::nullopt;
  std::vector<Range> ranges;
  const auto& runs = category_runs();
  for (size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].category >= wanted.size() || !wanted[runs[i].category]) continue;
    ranges.push_back({runs[i].first, i + 1 < runs.size() ? runs[i + 1].first - 1 : kLast});
  }
  return CodePoints(std::move(ranges));
}

CodePoints CodePoints::operator|(const CodePoints& other) const {
  std::vector<Range> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CodePoints(std::move(both));
}

CodePoints CodePoints::complement() const {
  std::vector<Range> rest;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) rest.push_back({next, kLast});
  return CodePoints(std::move(rest));
}

}  // namespace qwen3
