// uniqueItems. Strings that do not repeat are what the keys of an object are, so any set of strings is
// enforced; of other items, finitely many.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>

#include "grammar/schema_writer.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxDistinctValues = 10;  // a state for every subset of them
constexpr size_t kMaxListedNumbers = 64;

// All texts of a finite set, fewer than `limit`; none if there are more.
std::optional<std::vector<std::string>> list_texts(const TextDfa& set, size_t limit) {
  std::vector<std::string> out;
  if (set.empty()) return out;
  if (!set.finite()) return std::nullopt;
  std::vector<std::pair<size_t, std::string>> open = {{0, ""}};
  while (!open.empty()) {
    const auto [at, text] = open.back();
    open.pop_back();
    const TextDfa::State& state = set.states()[at];
    if (state.accepts) out.push_back(text);
    if (out.size() > limit) return std::nullopt;
    for (const TextDfa::Edge& edge : state.edges) {
      for (char32_t c = edge.first; c <= edge.last; ++c) {
        open.emplace_back(static_cast<size_t>(edge.to), text + static_cast<char>(c));
      }
    }
  }
  return out;
}

bool only_has_strings(const Shape& shape) {
  return shape.scalar() && !shape.null && !shape.no && !shape.yes && shape.numbers.empty();
}

}  // namespace

SchemaWriter::Expr SchemaWriter::unique_array(const ArrayShape& array) {
  const auto refuse = [&](const std::string& why) {
    fail_schema(GrammarFault::unsupported_schema, array.unique_place, why);
  };
  if (!array.counts.empty()) refuse("not enforced here beside contains");
  // A tuple whose items can never be equal.
  const auto n_prefix = static_cast<int64_t>(array.prefix.size());
  if (n_prefix > 0) {
    if (array.max < 0 || array.max > n_prefix) {
      refuse("not enforced here beside prefixItems that are not all");
    }
    for (size_t i = 0; i < array.prefix.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (reader_.impossible(reader_.both(array.prefix[i], array.prefix[j]))) continue;
        refuse("not enforced here for a tuple whose items can be equal");
      }
    }
    ArrayShape tuple = array;
    tuple.unique = false;
    return this->array(tuple);
  }
  const Shape& items = reader_.shape(array.rest);
  const int64_t least = std::max<int64_t>(array.min, 1);
  Expr some{};
  if (only_has_strings(items)) {
    const TextUnion& strings = items.strings;
    const bool counted = strings.parts().size() > 1 || strings.parts().empty() ||
                         strings.parts()[0].min > 0 || strings.parts()[0].max >= 0;
    TextDfa texts = counted ? strings.automaton() : *strings.parts()[0].set;
    std::vector<GrammarBuilder::Member> kinds;
    kinds.push_back({std::move(texts), builder_.empty()});
    some = builder_.members(std::move(kinds), builder_.empty(), text_.comma(), least, array.max);
  } else {
    some = distinct(finite_values(array.rest, array.unique_place), least, array.max);
  }
  const Expr filled = builder_.sequence({text_.blanks(), some});
  return builder_.sequence({text_.open_array(),
                            array.min == 0 ? builder_.optional(filled) : filled,
                            text_.close_array()});
}

std::vector<SchemaWriter::Expr> SchemaWriter::finite_values(Goal item, const std::string& place) {
  const Shape& shape = reader_.shape(item);
  std::vector<Expr> out;
  const auto add = [&](const std::optional<std::vector<std::string>>& texts, bool quoted) {
    if (!texts || out.size() + texts->size() > kMaxDistinctValues) {
      fail_schema(GrammarFault::unsupported_schema,
                  place,
                  fmt::format("not enforced here but for strings, or at most {} other values",
                              kMaxDistinctValues));
    }
    for (const std::string& text : *texts) {
      out.push_back(quoted ? text_.key(text) : builder_.bytes(text));
    }
  };
  if (!shape.scalar()) add(std::nullopt, false);
  std::vector<std::string> words;
  if (shape.yes) words.emplace_back("true");
  if (shape.no) words.emplace_back("false");
  if (shape.null) words.emplace_back("null");
  add(words, false);
  add(list_texts(shape.numbers.shortest(), kMaxListedNumbers), false);
  if (!shape.strings.empty()) add(list_texts(shape.strings.automaton(), kMaxDistinctValues), true);
  return out;
}

// min to max of the values in any order: what may follow depends on which have come.
SchemaWriter::Expr SchemaWriter::distinct(const std::vector<Expr>& values,
                                          int64_t min,
                                          int64_t max) {
  const size_t n_subsets = size_t{1} << values.size();
  std::vector<Expr> follow(n_subsets, builder_.empty());
  for (size_t used = n_subsets; used-- > 0;) {
    builder_.spend();
    const auto n_used = int64_t{std::popcount(used)};
    std::vector<Expr> ways;
    if (n_used >= min) ways.push_back(builder_.empty());
    for (size_t i = 0; i < values.size() && (max < 0 || n_used < max); ++i) {
      if ((used >> i & 1) != 0) continue;
      const Expr rest = follow[used | size_t{1} << i];
      ways.push_back(n_used == 0 ? builder_.sequence({values[i], rest})
                                 : builder_.sequence({text_.comma(), values[i], rest}));
    }
    follow[used] = builder_.choice(std::move(ways));
  }
  return follow[0];
}

}  // namespace qwen3
