// Filters on lists, mappings and iterators. Jinja returns lazy iterators from some of them; here
// they are computed at once, and iterate only once like the originals.
#include <algorithm>
#include <bit>
#include <charconv>
#include <set>

#include "chat/jinja/functions.h"
#include "chat/jinja/strings.h"

namespace qwen3::jinja {
namespace {

Value iterator(Interpreter& in, std::vector<Value> items) {
  return in.list(std::move(items), SequenceType::iterator);
}

// "a.b.0" looks up step by step; digits are indices.
std::vector<Value> attribute_path(Interpreter& in, const Value& attribute) {
  if (!attribute.is_string()) return {attribute};
  std::vector<Value> path;
  in.meter.charge_bytes(4 * attribute.text().size());
  const Text& text = attribute.text();
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.view().find('.', start), text.size());
    const Text part = text.slice(start, end - start);
    const std::string_view view = part.view();
    int64_t index = 0;
    const auto read = std::from_chars(view.data(), view.data() + view.size(), index);
    const bool digits = !view.empty() && view[0] != '-' && read.ec == std::errc() &&
                        read.ptr == view.data() + view.size();
    path.push_back(digits ? Value::integer(index) : Value(part));
    start = end + 1;
  }
  return path;
}

Value follow(Interpreter& in, Value item, const std::vector<Value>& path) {
  for (const Value& part : path) item = in.item(item, part);
  return item;
}

// Attribute access as filters do it; without an attribute the item itself.
class Getter {
 public:
  Getter(Interpreter& in, const Value* attribute) : in_(in) {
    if (attribute != nullptr && !attribute->is_none()) path_ = attribute_path(in, *attribute);
  }
  Value operator()(const Value& item) const { return follow(in_, item, path_); }

 private:
  Interpreter& in_;
  std::vector<Value> path_;
};

Value fold_case(Interpreter& in, const Value& value, bool case_sensitive) {
  return case_sensitive || !value.is_string() ? value
                                              : Value(change_case(in, value.text(), Case::lower));
}

Value filter_length(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  switch (self.kind()) {
    case Kind::undefined:
      return Value::integer(0);
    case Kind::string:
      in.meter.charge_bytes(2 * self.text().size());
      return Value::integer(static_cast<int64_t>(count_code_points(self.view())));
    case Kind::dict:
      return Value::integer(static_cast<int64_t>(self.dict()->entries.size()));
    case Kind::loop:
      return Value::integer(self.loop()->length());
    case Kind::sequence:
      if (self.sequence()->has_length())
        return Value::integer(static_cast<int64_t>(self.sequence()->items.size()));
      [[fallthrough]];
    default:
      in.fail("a {} has no length", type_name(self));
  }
}

Value filter_first(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const auto items = in.items(self);
  return items->items.empty() ? Value(Undefined{{}, "", "no first item, the sequence was empty"})
                              : items->items.front();
}

Value filter_last(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  if (self.is(Kind::sequence) && !self.sequence()->has_length())
    in.fail("a generator has no last item");
  const auto items = in.items(self);
  return items->items.empty() ? Value(Undefined{{}, "", "no last item, the sequence was empty"})
                              : items->items.back();
}

Value filter_list(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return in.list(in.items(self)->items);
}

Value filter_reverse(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const auto items = in.items(self);
  std::vector<Value> reversed(items->items.rbegin(), items->items.rend());
  if (!self.is_string()) return iterator(in, std::move(reversed));
  TextBuilder out;
  for (const Value& c : reversed) out.append(c.text());
  return out.finish();
}

Value filter_join(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"d", "attribute"});
  const Text by = given[0] == nullptr ? Text() : in.text(*given[0]);
  const Getter get(in, given[1]);
  TextBuilder out;
  bool first = true;
  const auto all = in.items(self);
  for (const Value& item : all->items) {
    const Text text = in.text(get(item));
    in.meter.charge_bytes(text.size() + by.size());
    in.meter.check_size(out.size() + text.size() + by.size());
    if (!first) out.append(by);
    out.append(text);
    first = false;
  }
  return out.finish();
}

Value filter_items(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  if (self.is_undefined()) return iterator(in, {});
  if (!self.is(Kind::dict)) in.fail("items needs a mapping, not {}", type_name(self));
  std::vector<Value> items;
  in.meter.charge(2 * self.dict()->entries.size());
  for (const auto& [key, value] : self.dict()->entries) {
    items.push_back(in.list({key, value}, SequenceType::tuple));
  }
  return iterator(in, std::move(items));
}

// Sorts by keys computed once; stable, also when reversed.
std::vector<Value> sorted_by(Interpreter& in,
                             const std::vector<Value>& items,
                             const std::vector<Value>& keys,
                             bool reverse) {
  in.meter.charge(items.size() * static_cast<size_t>(std::bit_width(items.size())));
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? less(keys[b], keys[a], in.meter) : less(keys[a], keys[b], in.meter);
  });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const size_t i : order) sorted.push_back(items[i]);
  return sorted;
}

Value filter_dictsort(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"case_sensitive", "by", "reverse"});
  const std::string_view by = given[1] == nullptr ? "key" : text_argument(in, *given[1]).view();
  if (by != "key" && by != "value") in.fail("dictsort sorts by \"key\" or \"value\"");
  if (!self.is(Kind::dict)) in.fail("dictsort needs a mapping, not {}", type_name(self));
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : self.dict()->entries) {
    keys.push_back(fold_case(in, by == "key" ? key : value, flag_argument(given[0], false)));
    items.push_back(in.list({key, value}, SequenceType::tuple));
  }
  return in.list(sorted_by(in, items, keys, flag_argument(given[2], false)));
}

Value filter_sort(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::vector<Value>> paths;
  if (given[2] != nullptr && given[2]->is_string()) {
    const Text& text = given[2]->text();
    for (size_t start = 0; start <= text.size();) {
      const size_t end = std::min(text.view().find(',', start), text.size());
      paths.push_back(attribute_path(in, text.slice(start, end - start)));
      start = end + 1;
    }
  } else {
    paths.emplace_back();
    if (given[2] != nullptr && !given[2]->is_none()) paths[0] = attribute_path(in, *given[2]);
  }
  const auto items = in.items(self);
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    std::vector<Value> key;
    for (const auto& path : paths) {
      key.push_back(fold_case(in, follow(in, item, path), flag_argument(given[1], false)));
    }
    // A list even of one: lists compare equal items before they order them, so None may meet None.
    keys.push_back(in.list(std::move(key)));
  }
  return in.list(sorted_by(in, items->items, keys, flag_argument(given[0], false)));
}

Value filter_unique(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"case_sensitive", "attribute"});
  const Getter get(in, given[1]);
  std::set<std::string> seen_text;
  std::vector<Value> seen;
  std::vector<Value> unique;
  const auto all = in.items(self);
  for (const Value& item : all->items) {
    const Value key = fold_case(in, get(item), flag_argument(given[0], false));
    if (key.is_string()) {
      in.meter.charge_bytes(16 * key.text().size());
      if (!seen_text.emplace(key.view()).second) continue;
    } else {
      if (!is_hashable(key)) in.fail("unique: a {} cannot be hashed", type_name(key));
      const auto is_known = [&](const Value& x) { return equal(x, key, in.meter); };
      if (std::any_of(seen.begin(), seen.end(), is_known)) continue;
      seen.push_back(key);
    }
    unique.push_back(item);
  }
  return iterator(in, std::move(unique));
}

template <bool Max>
Value filter_extreme(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"case_sensitive", "attribute"});
  const Getter get(in, given[1]);
  const auto items = in.items(self);
  if (items->items.empty()) return Undefined{{}, "", "no aggregated item, the sequence was empty"};
  const Value* best = nullptr;
  Value best_key;
  for (const Value& item : items->items) {
    Value key = fold_case(in, get(item), flag_argument(given[0], false));
    if (best != nullptr && !(Max ? less(best_key, key, in.meter) : less(key, best_key, in.meter)))
      continue;
    best = &item;
    best_key = std::move(key);
  }
  return *best;
}

Value filter_sum(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"attribute", "start"});
  const Getter get(in, given[0]);
  Value total = given[1] == nullptr ? Value::integer(0) : *given[1];
  if (total.is_string()) in.fail("sum does not join strings");
  const auto all = in.items(self);
  for (const Value& item : all->items) total = in.binary(Operator::add, total, get(item));
  return total;
}

// map("filter", args...) or map(attribute="a.b", default=x).
Value filter_map(Interpreter& in, const Value& self, Args& args) {
  std::vector<Value> mapped;
  if (!truthy(self)) return iterator(in, {});
  if (args.positional.empty() && !args.keywords.empty()) {
    const auto given = bind(in, args, {"attribute", "default"}, 1);
    const auto path = attribute_path(in, *given[0]);
    const auto all = in.items(self);
    for (const Value& item : all->items) {
      Value value = item;
      for (const Value& part : path) {
        value = in.item(value, part);
        if (value.is_undefined() && given[1] != nullptr && !given[1]->is_none()) value = *given[1];
      }
      mapped.push_back(std::move(value));
    }
    return iterator(in, std::move(mapped));
  }
  if (args.positional.empty()) in.fail("map needs the name of a filter or an attribute");
  const Text name = text_argument(in, args.positional[0]);
  const auto all = in.items(self);
  for (const Value& item : all->items) {
    Args rest{{args.positional.begin() + 1, args.positional.end()}, args.keywords};
    in.meter.charge(rest.positional.size() + rest.keywords.size());
    mapped.push_back(in.apply_filter(name.view(), item, rest));
  }
  return iterator(in, std::move(mapped));
}

// select, reject, selectattr, rejectattr: keep items whose test (or truth) is `Wanted`.
template <bool Wanted, bool ByAttribute>
Value filter_select(Interpreter& in, const Value& self, Args& args) {
  if (!truthy(self)) return iterator(in, {});
  size_t used = 0;
  std::vector<Value> path;
  if (ByAttribute) {
    if (args.positional.empty()) in.fail("the name of an attribute is missing");
    path = attribute_path(in, args.positional[0]);
    used = 1;
  }
  const bool has_test = args.positional.size() > used;
  const Text test = has_test ? text_argument(in, args.positional[used]) : Text();
  std::vector<Value> kept;
  const auto all = in.items(self);
  for (const Value& item : all->items) {
    const Value value = follow(in, item, path);
    bool passes = false;
    if (has_test) {
      Args rest{{args.positional.begin() + static_cast<ptrdiff_t>(used) + 1, args.positional.end()},
                args.keywords};
      in.meter.charge(rest.positional.size() + rest.keywords.size());
      passes = in.apply_test(test.view(), value, rest);
    } else {
      passes = truthy(value);
    }
    if (passes == Wanted) kept.push_back(item);
  }
  return iterator(in, std::move(kept));
}

// Lists of `linecount` items; the last one is filled up with fill_with.
Value filter_batch(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"linecount", "fill_with"}, 1);
  const int64_t size = integer_argument(in, given[0], 1);
  std::vector<Value> batches;
  std::vector<Value> batch;
  const auto all = in.items(self);
  for (const Value& item : all->items) {
    if (static_cast<int64_t>(batch.size()) == size)
      batches.push_back(in.list(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (given[1] != nullptr && !given[1]->is_none() && static_cast<int64_t>(batch.size()) < size) {
      in.meter.charge(static_cast<size_t>(size));
      batch.resize(static_cast<size_t>(size), *given[1]);
    }
    batches.push_back(in.list(std::move(batch)));
  }
  return iterator(in, std::move(batches));
}

// (value, items) pairs, sorted by the value.
Value filter_groupby(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"attribute", "default", "case_sensitive"}, 1);
  const auto path = attribute_path(in, *given[0]);
  const auto items = in.items(self);
  std::vector<Value> values;
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    Value value = follow(in, item, path);
    if (value.is_undefined() && given[1] != nullptr) value = *given[1];
    keys.push_back(fold_case(in, value, flag_argument(given[2], false)));
    values.push_back(in.list({value, keys.back(), item}, SequenceType::tuple));
  }
  std::vector<Value> groups;
  const std::vector<Value> sorted = sorted_by(in, values, keys, false);
  for (size_t start = 0; start < sorted.size();) {
    const auto& first = sorted[start].sequence()->items;
    std::vector<Value> group;
    size_t end = start;
    while (end < sorted.size() && equal(sorted[end].sequence()->items[1], first[1], in.meter)) {
      group.push_back(sorted[end++].sequence()->items[2]);
    }
    // NaN equals nothing, itself included.
    if (end == start) group.push_back(sorted[end++].sequence()->items[2]);
    groups.push_back(in.list({first[0], in.list(std::move(group))}, SequenceType::tuple));
    start = end;
  }
  return in.list(std::move(groups));
}

constexpr NamedFunction kSequenceFilters[] = {
    {"length", filter_length},
    {"count", filter_length},
    {"items", filter_items},
    {"first", filter_first},
    {"last", filter_last},
    {"list", filter_list},
    {"join", filter_join},
    {"reverse", filter_reverse},
    {"dictsort", filter_dictsort},
    {"sort", filter_sort},
    {"unique", filter_unique},
    {"min", filter_extreme<false>},
    {"max", filter_extreme<true>},
    {"sum", filter_sum},
    {"map", filter_map},
    {"select", filter_select<true, false>},
    {"reject", filter_select<false, false>},
    {"selectattr", filter_select<true, true>},
    {"rejectattr", filter_select<false, true>},
    {"batch", filter_batch},
    {"groupby", filter_groupby},
};

}  // namespace

std::span<const NamedFunction> sequence_filters() { return kSequenceFilters; }

}  // namespace qwen3::jinja
