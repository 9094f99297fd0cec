#include "chat/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "chat/jinja/unicode.h"

namespace qwen3::jinja {
namespace {

int depth_of(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth + 1;
}

// The smallest position in dict.by_name whose key is not less than `key`.
std::vector<uint32_t>::const_iterator lower_name(const Dict& dict, std::string_view key) {
  return std::lower_bound(
      dict.by_name.begin(), dict.by_name.end(), key, [&](uint32_t at, std::string_view k) {
        return dict.entries[at].first.view() < k;
      });
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b, Meter& meter) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i], meter)) return false;
  }
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b, Meter& meter) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key, meter);
    if (other == nullptr || !equal(value, *other, meter)) return false;
  }
  return true;
}

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integral() == b.integral();
  return a.number() == b.number();
}

bool equal_sequences(const Sequence& a, const Sequence& b, Meter& meter) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case SequenceType::iterator:
    case SequenceType::dict_values:
      return &a == &b;
    default:
      return equal_items(a.items, b.items, meter);
  }
}

}  // namespace

int Value::depth() const {
  switch (kind()) {
    case Kind::sequence:
      return sequence()->depth;
    case Kind::dict:
      return dict()->depth;
    case Kind::callable:
      return callable()->depth;
    case Kind::loop:
      return loop()->depth;
    default:
      return 0;
  }
}

const Value* Dict::find(std::string_view key) const {
  const auto at = lower_name(*this, key);
  if (at == by_name.end() || entries[*at].first.view() != key) return nullptr;
  return &entries[*at].second;
}

const Value* Dict::find(const Value& key, Meter& meter) const {
  if (key.is_string()) return find(key.view());
  if (by_name.size() == entries.size()) return nullptr;
  meter.charge(entries.size());
  for (const auto& [k, value] : entries) {
    if (equal(k, key, meter)) return &value;
  }
  return nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

bool Loop::peek() {
  if (!ahead.empty()) return true;
  Value item;
  if (!fetch || !fetch(&item)) return false;
  ahead.push_back(std::move(item));
  return true;
}

int64_t Loop::length() {
  if (known_length >= 0) return known_length;
  std::vector<Value> rest(ahead.rbegin(), ahead.rend());
  Value item;
  while (fetch && fetch(&item)) rest.push_back(std::move(item));
  known_length = index0 + 1 + static_cast<int64_t>(rest.size());
  ahead.assign(rest.rbegin(), rest.rend());
  return known_length;
}

Value make_list(std::vector<Value> items, Meter& meter, SequenceType type) {
  meter.charge(items.size());
  auto list = std::make_shared<Sequence>();
  list->type = type;
  list->depth = depth_of(items);
  meter.check_depth(list->depth);
  list->items = std::move(items);
  return Value(std::shared_ptr<const Sequence>(std::move(list)));
}

Value make_dict(std::vector<std::pair<Value, Value>>&& entries, Meter& meter) {
  meter.charge(2 * entries.size());
  auto dict = std::make_shared<Dict>();
  int depth = 0;
  for (auto& [key, value] : entries) {
    depth = std::max({depth, key.depth(), value.depth()});
    if (!is_hashable(key)) meter.fail("a {} cannot be the key of a dict", type_name(key));
    if (key.is_string()) {
      const auto at = lower_name(*dict, key.view());
      if (at != dict->by_name.end() && dict->entries[*at].first.view() == key.view()) {
        dict->entries[*at].second = std::move(value);
        continue;
      }
      // Sorting as we go moves 4 bytes per element; charged like every copy.
      meter.charge_bytes(static_cast<size_t>(dict->by_name.end() - at) * sizeof(uint32_t));
      dict->by_name.insert(at, static_cast<uint32_t>(dict->entries.size()));
    } else if (const Value* old = dict->find(key, meter)) {
      for (auto& entry : dict->entries) {
        if (&entry.second != old) continue;
        entry.second = std::move(value);
        break;
      }
      continue;
    }
    dict->entries.emplace_back(std::move(key), std::move(value));
  }
  dict->depth = depth + 1;
  meter.check_depth(dict->depth);
  return Value(std::shared_ptr<const Dict>(std::move(dict)));
}

Value from_json(const Json& json, Meter& meter, int depth) {
  meter.check_depth(depth);
  switch (json.type()) {
    case Json::value_t::null:
      return {};
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(Int{json.get<int64_t>()});
    case Json::value_t::number_unsigned:
      return Value(Int{json.get<uint64_t>()});
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (!utf8_valid(text)) meter.fail("a string of the context is not valid UTF-8");
      return Value(Text(text, false));
    }
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(item, meter, depth + 1));
      return make_list(std::move(items), meter);
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const auto& [key, value] : json.items()) {
        if (!utf8_valid(key)) meter.fail("a key of the context is not valid UTF-8");
        entries.emplace_back(Text(key, false), from_json(value, meter, depth + 1));
      }
      return make_dict(std::move(entries), meter);
    }
    default:
      meter.fail("the context holds a value that is not JSON");
  }
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean();
    case Kind::integer:
      return value.integral() != 0;
    case Kind::floating:
      return value.number() != 0;
    case Kind::string:
      return !value.text().empty();
    case Kind::sequence:
      return !value.sequence()->has_length() || !value.sequence()->items.empty();
    case Kind::dict:
      return !value.dict()->entries.empty();
    case Kind::loop:
      return value.loop()->length() != 0;
    case Kind::space:
    case Kind::callable:
      return true;
  }
  return false;
}

bool equal(const Value& a, const Value& b, Meter& meter) {
  meter.charge(1);
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      meter.charge_bytes(std::min(a.text().size(), b.text().size()));
      return a.view() == b.view();
    case Kind::sequence:
      return equal_sequences(*a.sequence(), *b.sequence(), meter);
    case Kind::dict:
      return equal_dicts(*a.dict(), *b.dict(), meter);
    case Kind::space:
      return a.space() == b.space();
    case Kind::callable:
      return a.callable() == b.callable();
    case Kind::loop:
      return a.loop() == b.loop();
    default:
      return false;
  }
}

bool less(const Value& a, const Value& b, Meter& meter) {
  meter.charge(1);
  if (a.is_integral() && b.is_integral()) return a.integral() < b.integral();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is_string() && b.is_string()) {
    meter.charge_bytes(std::min(a.text().size(), b.text().size()));
    return a.view() < b.view();  // UTF-8 sorts like code points
  }
  if (a.is(Kind::sequence) && b.is(Kind::sequence) && a.sequence()->type == b.sequence()->type &&
      a.sequence()->type <= SequenceType::tuple) {
    const auto& x = a.sequence()->items;
    const auto& y = b.sequence()->items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(x[i], y[i], meter)) return less(x[i], y[i], meter);
    }
    return x.size() < y.size();
  }
  if (a.is_undefined()) meter.fail("{}", undefined_message(a.undefined()));
  if (b.is_undefined()) meter.fail("{}", undefined_message(b.undefined()));
  meter.fail("cannot order {} and {}", type_name(a), type_name(b));
}

const char* type_name(const Value& value) {
  static constexpr const char* kSequences[] = {
      "list", "tuple", "range", "generator", "dict_keys", "dict_values", "dict_items"};
  switch (value.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::floating:
      return "float";
    case Kind::string:
      return "str";
    case Kind::sequence:
      return kSequences[static_cast<size_t>(value.sequence()->type)];
    case Kind::dict:
      return "dict";
    case Kind::space:
      return "Namespace";
    case Kind::callable:
      return "function";
    case Kind::loop:
      return "LoopContext";
  }
  return "?";
}

std::string undefined_message(const Undefined& undefined) {
  if (undefined.hint[0] != '\0') return undefined.hint;
  if (undefined.of[0] == '\0') return fmt::format("'{}' is undefined", undefined.name.view());
  return fmt::format("'{} object' has no attribute '{}'", undefined.of, undefined.name.view());
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::string:
    case Kind::sequence:
    case Kind::dict:
    case Kind::loop:
      return true;
    default:
      return false;
  }
}

bool is_hashable(const Value& value) {
  if (value.is(Kind::dict)) return false;
  if (!value.is(Kind::sequence)) return true;
  switch (value.sequence()->type) {
    case SequenceType::list:
    case SequenceType::dict_keys:
    case SequenceType::dict_items:
      return false;
    case SequenceType::tuple: {
      const auto& items = value.sequence()->items;
      return std::all_of(items.begin(), items.end(), is_hashable);
    }
    default:
      return true;
  }
}

std::shared_ptr<const Sequence> iterate(const Value& value, Meter& meter) {
  auto items = std::make_shared<Sequence>();
  switch (value.kind()) {
    case Kind::undefined:
      return items;
    case Kind::sequence: {
      const auto& sequence = value.sequence();
      meter.charge(sequence->items.size());
      if (sequence->type != SequenceType::iterator) return sequence;
      if (sequence->consumed) return items;
      sequence->consumed = true;
      return sequence;
    }
    case Kind::string: {
      const std::string_view view = value.view();
      meter.charge(view.size());
      for (size_t at = 0; at < view.size();) {
        const size_t n = code_point_bytes(view, at);
        items->items.emplace_back(value.text().slice(at, n));
        at += n;
      }
      return items;
    }
    case Kind::dict: {
      meter.charge(value.dict()->entries.size());
      items->depth = value.depth();
      for (const auto& entry : value.dict()->entries) items->items.push_back(entry.first);
      return items;
    }
    default:
      meter.fail("a {} cannot be iterated over", type_name(value));
  }
}

bool contains(const Value& container, const Value& item, Meter& meter) {
  switch (container.kind()) {
    case Kind::string:
      if (!item.is_string()) {
        meter.fail("'in' of a string needs a string on its left, not {}", type_name(item));
      }
      meter.charge_bytes(container.text().size());
      return find_text(container.view(), item.view()) != std::string_view::npos;
    case Kind::dict:
      if (!is_hashable(item)) meter.fail("a {} cannot be the key of a dict", type_name(item));
      return container.dict()->find(item, meter) != nullptr;
    case Kind::undefined:
      return false;
    case Kind::sequence: {
      if (container.sequence()->type == SequenceType::dict_keys && !is_hashable(item)) {
        meter.fail("a {} cannot be the key of a dict", type_name(item));
      }
      const auto items = iterate(container, meter);
      return std::any_of(items->items.begin(), items->items.end(), [&](const Value& x) {
        return equal(x, item, meter);
      });
    }
    default:
      meter.fail("a {} is not a container for 'in'", type_name(container));
  }
}

}  // namespace qwen3::jinja
