// contains, minContains and maxContains: arrays in which some items are valid against a schema. What may follow depends
// on how many items have come, and on how many of them were valid, as far as the bounds tell numbers apart.
#include <algorithm>

#include "grammar/schema_writer.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxCountedStates = 10'000;

}  // namespace

// Where there is no maximum, an item that counts may also pass as one that does not: then the others need no negation.
class CountedItems {
 public:
  CountedItems(const ArrayShape& array, const ItemCount& count) : array_(array), count_(count) {
    const auto n_prefix = static_cast<int64_t>(array.prefix.size());
    n_items_ = array.max >= 0 ? array.max : std::max({n_prefix, array.min, int64_t{1}});
    n_counted_ = count.max >= 0 ? std::min(count.max, most()) : count.min;
  }

  // The last numbers that are told apart.
  int64_t n_items() const { return n_items_; }
  int64_t n_counted() const { return n_counted_; }
  bool exact() const { return count_.max >= 0; }
  bool may_end(int64_t items, int64_t counted) const {
    return items >= array_.min && counted >= count_.min;
  }
  bool may_go_on(int64_t items) const { return array_.max < 0 || items < array_.max; }
  // All further items are alike.
  bool repeats(int64_t items) const { return array_.max < 0 && items == n_items_; }
  // How many count makes no difference any more.
  bool enough(int64_t counted) const { return !exact() && counted == n_counted_; }
  Goal item(int64_t items) const {
    const auto i = static_cast<size_t>(items);
    return i < array_.prefix.size() ? array_.prefix[i] : array_.rest;
  }

 private:
  int64_t most() const { return array_.max >= 0 ? array_.max : count_.max; }

  const ArrayShape& array_;
  const ItemCount& count_;
  int64_t n_items_, n_counted_;
};

SchemaWriter::Expr SchemaWriter::counted_array(const ArrayShape& array) {
  const ItemCount& count = array.counts.front();
  if (array.counts.size() > 1) {
    fail_schema(
        GrammarFault::unsupported_schema, count.place, "not enforced here beside another contains");
  }
  const CountedItems items(array, count);
  if (items.n_items() > kMaxCountedStates ||
      (items.n_items() + 1) * (items.n_counted() + 1) > kMaxCountedStates) {
    fail_schema(GrammarFault::too_complex, count.place, "too many items to be counted");
  }
  const std::optional<Goal> not_counted = items.exact() ? reader_.negation(count.item) : kAnything;
  if (!not_counted) {
    fail_schema(GrammarFault::unsupported_schema,
                count.place,
                "the negation that maxContains needs is not enforced here");
  }
  const auto member = [&](int64_t n, Goal goal) {
    return builder_.sequence({n == 0 ? text_.blanks() : text_.comma(), value(goal)});
  };
  // behind[k]: what may follow n items of which k count, from the last n to the first.
  std::vector<Expr> behind;
  for (int64_t n = items.n_items(); n >= 0; --n) {
    std::vector<Expr> next(static_cast<size_t>(items.n_counted() + 1), builder_.nothing());
    for (int64_t k = items.n_counted(); k >= 0; --k) {
      builder_.spend();
      const auto here = static_cast<size_t>(k);
      const Goal yes = reader_.both(items.item(n), count.item);
      const Goal no = reader_.both(items.item(n), *not_counted);
      const bool repeats = items.repeats(n);
      std::vector<Expr> ways;
      if (items.may_end(n, k)) ways.push_back(text_.close_array());
      if (items.may_go_on(n) && items.enough(k)) {
        if (!repeats) ways.push_back(builder_.sequence({member(n, items.item(n)), behind[here]}));
      } else if (items.may_go_on(n)) {
        if (!repeats) ways.push_back(builder_.sequence({member(n, no), behind[here]}));
        if (k < items.n_counted()) {
          const Expr rest = repeats ? next[here + 1] : behind[here + 1];
          ways.push_back(builder_.sequence({member(n, yes), rest}));
        }
      }
      Expr all = builder_.choice(std::move(ways));
      if (repeats) {
        const Goal alike = items.enough(k) ? items.item(n) : no;
        all = builder_.sequence({builder_.repeat(member(n, alike), 0, -1), all});
      }
      next[here] = as_rule(all);
    }
    behind = std::move(next);
  }
  return builder_.sequence({text_.open_array(), behind[0]});
}

}  // namespace qwen3
