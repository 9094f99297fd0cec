#include "grammar/schema_writer.h"

#include <algorithm>
#include <string>

namespace qwen3 {
namespace {

constexpr int64_t kChainLength = 64;
constexpr int64_t kMaxMemberStates = 100'000;  // of an object: keys times members so far

int64_t less_than_no_limit(int64_t max, int64_t n) {
  return max < 0 ? -1 : std::max<int64_t>(max - n, 0);
}

}  // namespace

SchemaWriter::Expr SchemaWriter::value(Goal goal) {
  const auto found = values_.find(goal);
  if (found != values_.end()) return found->second;
  const Shape& shape = reader_.shape(goal);
  Expr expr{};
  if (shape.scalar()) {
    std::vector<Expr> ways;
    add_scalars(ways, shape);
    expr = builder_.choice(std::move(ways));
  } else {
    const Rule rule = builder_.declare();
    unwritten_.emplace_back(goal, rule);
    expr = builder_.call(rule);
  }
  values_.emplace(goal, expr);
  return expr;
}

void SchemaWriter::finish() {
  while (!unwritten_.empty()) {
    const auto [goal, rule] = unwritten_.back();
    unwritten_.pop_back();
    builder_.spend();
    const Shape& shape = reader_.shape(goal);
    std::vector<Expr> ways;
    add_scalars(ways, shape);
    for (const ObjectShape& one : shape.objects) ways.push_back(object(one));
    for (const ArrayShape& one : shape.arrays) ways.push_back(array(one));
    builder_.define(rule, builder_.choice(std::move(ways)));
  }
}

bool SchemaWriter::has_value(Goal goal) { return goal != kNothing && !reader_.shape(goal).empty(); }

void SchemaWriter::add_scalars(std::vector<Expr>& ways, const Shape& shape) {
  if (!shape.strings.empty()) ways.push_back(text_.quoted(strings(shape.strings)));
  if (!shape.numbers.empty()) ways.push_back(numbers(shape.numbers));
  if (shape.yes) ways.push_back(builder_.bytes("true"));
  if (shape.no) ways.push_back(builder_.bytes("false"));
  if (shape.null) ways.push_back(builder_.bytes("null"));
}

SchemaWriter::Expr SchemaWriter::numbers(const NumberSet& numbers) {
  const auto known = numbers_.find(numbers.identity());
  if (known != numbers_.end()) return known->second;
  const Expr expr = numbers.universal() ? text_.any_number() : text_.numbers(numbers.written());
  numbers_.emplace(numbers.identity(), expr);
  return expr;
}

SchemaWriter::Expr SchemaWriter::strings(const TextUnion& strings) {
  std::vector<Expr> ways;
  for (const SizedTexts& part : strings.parts()) {
    const std::tuple key(static_cast<const void*>(part.set.get()), part.min, part.max);
    auto known = texts_.find(key);
    if (known == texts_.end()) {
      const Expr text =
          builder_.text(*part.set, GrammarBuilder::TextForm::json, part.min, part.max);
      known = texts_.emplace(key, text).first;
    }
    ways.push_back(known->second);
  }
  return builder_.choice(std::move(ways));
}

// Long chains of expressions are broken up by rules, for their depth is limited.
SchemaWriter::Expr SchemaWriter::as_rule(Expr expr) {
  const Rule rule = builder_.declare();
  builder_.define(rule, expr);
  return builder_.call(rule);
}

SchemaWriter::Expr SchemaWriter::array(const ArrayShape& array) {
  if (array.unique && (array.max < 0 || array.max > 1)) return unique_array(array);
  if (!array.counts.empty()) return counted_array(array);
  const auto n_prefix = static_cast<int64_t>(array.prefix.size());
  // From the last item that has a schema of its own to the first; what may follow n items.
  const int64_t least = std::max<int64_t>(array.min - n_prefix, 0);
  const int64_t most = less_than_no_limit(array.max, n_prefix);
  const auto more = [&](int64_t n, int64_t min, int64_t max) {  // min to max items behind n
    if (max == 0) return min == 0 ? builder_.empty() : builder_.nothing();
    const Expr item = value(array.rest);
    const Expr next = builder_.sequence({text_.comma(), item});
    if (n > 0) return builder_.repeat(next, min, max);
    const Expr items = builder_.sequence(
        {text_.blanks(),
         item,
         builder_.repeat(next, std::max<int64_t>(min - 1, 0), max < 0 ? -1 : max - 1)});
    return min == 0 ? builder_.optional(items) : items;
  };
  Expr rest = more(n_prefix, least, most);
  for (int64_t i = n_prefix - 1; i >= 0; --i) {
    builder_.spend();
    const Expr next = builder_.sequence({i == 0 ? text_.blanks() : text_.comma(),
                                         value(array.prefix[static_cast<size_t>(i)]),
                                         rest});
    rest = i >= array.min ? builder_.optional(next) : next;
    if (i % kChainLength == kChainLength - 1) rest = as_rule(rest);
  }
  return builder_.sequence({text_.open_array(), rest, text_.close_array()});
}

std::optional<SchemaWriter::Members> SchemaWriter::writable(const ObjectShape& object) {
  Members out;
  out.min = object.min;
  out.max = object.max;
  int64_t n_keys = 0;
  for (const KeyShape& key : object.keys) n_keys += key.value != kNothing ? 1 : 0;
  const bool closed = !options_.open_objects && object.has_properties && !object.says_others &&
                      object.min <= n_keys;
  std::vector<std::string> names;
  int64_t n_required = 0;
  for (const bool declared : {true, false}) {
    for (const KeyShape& key : object.keys) {
      if (key.declared != declared) continue;
      names.push_back(key.name);
      const bool left_out = closed && !key.declared && !key.asked_for;
      if (key.required && (left_out || !has_value(key.value))) return std::nullopt;
      if (left_out || !has_value(key.value)) continue;
      out.keys.push_back(key);
      n_required += key.required ? 1 : 0;
    }
  }
  if (!closed) {
    for (const KeyClass& others : object.classes) {
      if (!has_value(others.value)) continue;
      builder_.spend();
      std::vector<std::string> taken;
      for (const std::string& name : names) {
        if (others.names->contains(name)) taken.push_back(name);
      }
      TextDfa free =
          taken.empty() ? *others.names : *others.names & TextDfa::of(taken).complement();
      if (!free.empty()) out.others.emplace_back(std::move(free), others.value);
    }
  }
  const auto n_named = static_cast<int64_t>(out.keys.size());
  if (out.max >= 0 && (n_required > out.max || out.min > out.max)) return std::nullopt;
  if (out.others.empty() && out.min > n_named) return std::nullopt;
  if (out.min <= n_required) out.min = 0;
  if (out.others.empty() && out.max >= n_named) out.max = -1;
  return out;
}

// What may come behind n named members: others, and the end.
SchemaWriter::Expr SchemaWriter::other_members(const Members& members, int64_t n_before) {
  const int64_t min = std::max<int64_t>(members.min - n_before, 0);
  const int64_t max = less_than_no_limit(members.max, n_before);
  if (members.others.empty() || max == 0) {
    return min == 0 ? text_.close_object() : builder_.nothing();
  }
  std::vector<GrammarBuilder::Member> kinds;
  for (const auto& [names, goal] : members.others) kinds.push_back({names, value(goal)});
  const Expr some = builder_.sequence(
      {n_before == 0 ? text_.blanks() : text_.comma(),
       builder_.members(
           std::move(kinds), text_.colon(), text_.comma(), std::max<int64_t>(min, 1), max)});
  return builder_.sequence({min == 0 ? builder_.optional(some) : some, text_.close_object()});
}

// Key by key from the last to the first. follow[n]: what may come behind n members, as far as n matters.
SchemaWriter::Expr SchemaWriter::object(const ObjectShape& object) {
  const std::optional<Members> members = writable(object);
  if (!members) return builder_.nothing();
  const int64_t n_counted = std::max<int64_t>({members->min, members->max, 1});
  const auto n_keys = static_cast<int64_t>(members->keys.size());
  const int64_t last = std::min(n_counted, std::max<int64_t>(n_keys, 1));
  if ((n_keys + 1) * (last + 1) > kMaxMemberStates) {
    fail_schema(GrammarFault::too_complex, "", "too many properties to be counted");
  }
  std::vector<Expr> follow;
  for (int64_t n = 0; n <= last; ++n) follow.push_back(other_members(*members, n));
  for (int64_t i = n_keys - 1; i >= 0; --i) {
    builder_.spend();
    const KeyShape& key = members->keys[static_cast<size_t>(i)];
    const Expr member = builder_.sequence({text_.key(key.name), text_.colon(), value(key.value)});
    std::vector<Expr> before;
    for (int64_t n = 0; n <= std::min(last, i); ++n) {
      std::vector<Expr> ways;
      if (members->max < 0 || n < members->max) {
        ways.push_back(builder_.sequence({n == 0 ? text_.blanks() : text_.comma(),
                                          member,
                                          follow[static_cast<size_t>(std::min(n + 1, last))]}));
      }
      if (!key.required) ways.push_back(follow[static_cast<size_t>(n)]);
      before.push_back(builder_.choice(std::move(ways)));
    }
    follow = std::move(before);
    if (i % kChainLength != kChainLength - 1) continue;
    for (Expr& expr : follow) expr = as_rule(expr);
  }
  return builder_.sequence({text_.open_object(), follow[0]});
}

SchemaValue SchemaWriter::schema_value(Goal goal) {
  const Shape& shape = reader_.shape(goal);
  SchemaValue out = {value(goal), {}, false};
  for (const SizedTexts& part : shape.strings.parts()) {
    out.texts.push_back({*part.set, part.min, part.max});
  }
  out.only_strings = shape.scalar() && !shape.null && !shape.no && !shape.yes &&
                     shape.numbers.empty() && !shape.strings.empty();
  return out;
}

std::optional<SchemaObject> SchemaWriter::members(const ObjectShape& object) {
  const std::optional<Members> members = writable(object);
  if (!members) return std::nullopt;
  if (members->min > 0 || members->max >= 0) {
    fail_schema(
        GrammarFault::unsupported_schema,
        "",
        "minProperties and maxProperties are not enforced where members are written one by one");
  }
  SchemaObject out;
  for (const KeyShape& key : members->keys) {
    out.properties.push_back({key.name, key.required, schema_value(key.value)});
  }
  for (const auto& [names, goal] : members->others) {
    out.others.push_back({names, schema_value(goal)});
  }
  return out;
}

}  // namespace qwen3
