// Attributes, indices, slices: what Jinja's sandboxed getattr and getitem return.
#include "chat/jinja/functions.h"
#include "chat/jinja/unicode.h"

namespace qwen3::jinja {
namespace {

class BoundMethod final : public Callable {
 public:
  BoundMethod(Value self, const NamedFunction& method) : self_(std::move(self)), method_(method) {
    depth = self_.depth() + 1;
  }
  Value call(Interpreter& in, Args& args) const override {
    return method_.function(in, self_, args);
  }
  std::string_view name() const override { return method_.name; }

 private:
  Value self_;
  const NamedFunction& method_;
};

Value loop_cycle(Interpreter& in, const Value& self, Args& args) {
  if (args.positional.empty() || !args.keywords.empty()) in.fail("loop.cycle() needs items");
  const auto at = static_cast<size_t>(self.loop()->index0) % args.positional.size();
  return args.positional[at];
}

Value loop_changed(Interpreter& in, const Value& self, Args& args) {
  Loop& loop = *self.loop();
  bool same = loop.was_changed && loop.changed.size() == args.positional.size();
  for (size_t i = 0; same && i < args.positional.size(); ++i) {
    same = equal(loop.changed[i], args.positional[i], in.meter);
  }
  // A finished loop keeps nothing: it could be asked to keep itself.
  if (!same && loop.fetch) {
    loop.changed = args.positional;
    loop.was_changed = true;
  }
  return Value(!same);
}

Value list_count(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  int64_t n = 0;
  for (const Value& item : self.sequence()->items) n += equal(item, *given[0], in.meter) ? 1 : 0;
  return Value::integer(n);
}

Value list_index(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  const auto& items = self.sequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(items[i], *given[0], in.meter)) return Value::integer(static_cast<int64_t>(i));
  }
  in.fail("the value is not in the list");
}

Value list_copy(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return self;
}

constexpr NamedFunction kTupleMethods[] = {{"count", list_count}, {"index", list_index}};
constexpr NamedFunction kListMethods[] = {{"count", list_count},
                                          {"index", list_index},
                                          {"copy", list_copy},
                                          {"append", nullptr},
                                          {"clear", nullptr},
                                          {"extend", nullptr},
                                          {"insert", nullptr},
                                          {"pop", nullptr},
                                          {"remove", nullptr},
                                          {"reverse", nullptr},
                                          {"sort", nullptr}};
constexpr NamedFunction kLoopMethods[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

const Value* loop_attribute(Loop& loop, std::string_view name, Value* out) {
  if (name == "index")
    *out = Value::integer(loop.index0 + 1);
  else if (name == "index0")
    *out = Value::integer(loop.index0);
  else if (name == "first")
    *out = Value(loop.index0 == 0);
  else if (name == "last")
    *out = Value(!loop.peek());
  else if (name == "length")
    *out = Value::integer(loop.length());
  else if (name == "revindex")
    *out = Value::integer(loop.length() - loop.index0);
  else if (name == "revindex0")
    *out = Value::integer(loop.length() - loop.index0 - 1);
  else if (name == "depth")
    *out = Value::integer(loop.nesting + 1);
  else if (name == "depth0")
    *out = Value::integer(loop.nesting);
  else if (name == "previtem") {
    *out = loop.index0 > 0 ? loop.previous : Value(Undefined{{}, "", "there is no previous item"});
  } else if (name == "nextitem") {
    *out = loop.peek() ? loop.ahead.back() : Value(Undefined{{}, "", "there is no next item"});
  } else {
    return nullptr;
  }
  return out;
}

// Python's rules for start, stop and step of a sequence of n elements.
struct Indices {
  int64_t start, stop;
  int64_t step;   // no larger than needed, so that products do not overflow
  int64_t given;  // the step as it was given
  size_t count;
};

int64_t slice_bound(
    Interpreter& in, const Value& value, int64_t fallback, int64_t n, bool backwards) {
  if (value.is_none()) return fallback;
  if (value.is_undefined()) in.fail("{}", undefined_message(value.undefined()));
  if (!value.is_integral()) in.fail("slice indices must be integers or None");
  const Int given = value.integral();
  const Int at = given < 0 ? given + n : given;
  const int64_t low = backwards ? -1 : 0;
  const int64_t high = backwards ? n - 1 : n;
  return at < low ? low : at > high ? high : static_cast<int64_t>(at);
}

Indices slice_indices(
    Interpreter& in, size_t size, const Value& start, const Value& stop, const Value& step) {
  const auto n = static_cast<int64_t>(size);
  Indices indices{};
  indices.step = integer_argument(in, &step, 1, true);
  indices.given = indices.step;
  if (indices.step == 0) in.fail("slice step cannot be zero");
  // A step beyond the length selects one element at most, however large it is.
  indices.step = std::clamp<int64_t>(indices.step, -n - 1, n + 1);
  const bool backwards = indices.step < 0;
  indices.start = slice_bound(in, start, backwards ? n - 1 : 0, n, backwards);
  indices.stop = slice_bound(in, stop, backwards ? -1 : n, n, backwards);
  const int64_t span = backwards ? indices.start - indices.stop : indices.stop - indices.start;
  const int64_t stride = backwards ? -indices.step : indices.step;
  indices.count = span <= 0 ? 0 : static_cast<size_t>((span + stride - 1) / stride);
  return indices;
}

Text slice_text(
    Interpreter& in, const Text& text, const Value& start, const Value& stop, const Value& step) {
  const std::string_view view = text.view();
  in.meter.charge_bytes(4 * view.size());
  const size_t n = count_code_points(view);
  const Indices indices = slice_indices(in, n, start, stop, step);
  if (indices.count == 0) return {};
  if (indices.step == 1) {
    const size_t begin = code_point_offset(view, static_cast<size_t>(indices.start));
    return text.slice(begin, code_point_offset(view.substr(begin), indices.count));
  }
  in.meter.charge(n);
  std::vector<size_t> offsets;
  offsets.reserve(n);
  for (size_t at = 0; at < view.size(); at += code_point_bytes(view, at)) offsets.push_back(at);
  TextBuilder out;
  for (size_t i = 0; i < indices.count; ++i) {
    const size_t at =
        offsets[static_cast<size_t>(indices.start + static_cast<int64_t>(i) * indices.step)];
    out.append(text.slice(at, code_point_bytes(view, at)));
  }
  return out.finish();
}

// Element `index` of a str, list, tuple or range; nothing when it is out of range.
Value index_value(Interpreter& in, const Value& object, Int index) {
  if (object.is_string()) {
    const std::string_view view = object.view();
    in.meter.charge_bytes(2 * view.size());
    if (index < 0) index += static_cast<Int>(count_code_points(view));
    if (index >= 0 && index < static_cast<Int>(view.size())) {
      const size_t at = code_point_offset(view, static_cast<size_t>(index));
      if (at < view.size()) return object.text().slice(at, code_point_bytes(view, at));
    }
  } else {
    const auto& items = object.sequence()->items;
    if (index < 0) index += static_cast<Int>(items.size());
    if (index >= 0 && index < static_cast<Int>(items.size()))
      return items[static_cast<size_t>(index)];
  }
  return Undefined{Text("index", true), type_name(object)};
}

}  // namespace

const NamedFunction* find_method(const Value& self, std::string_view name) {
  std::span<const NamedFunction> methods;
  switch (self.kind()) {
    case Kind::string:
      methods = string_methods();
      break;
    case Kind::dict:
      methods = dict_methods();
      break;
    case Kind::loop:
      methods = kLoopMethods;
      break;
    case Kind::sequence:
      if (self.sequence()->type == SequenceType::list) methods = kListMethods;
      if (self.sequence()->type == SequenceType::tuple) methods = kTupleMethods;
      break;
    default:
      break;
  }
  for (const NamedFunction& method : methods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

Value Interpreter::attribute(const Value& object, const Text& name) {
  meter.charge(1);
  const std::string_view key = name.view();
  if (key.starts_with("__")) {
    const bool internal = key.ends_with("__");
    if (internal) return Undefined{name, "", "access to an internal attribute is unsafe"};
  }
  if (object.is_undefined()) fail("{}", undefined_message(object.undefined()));
  if (const NamedFunction* method = find_method(object, key)) {
    if (method->function == nullptr) {
      return Undefined{name, "", "this attribute is not available in templates"};
    }
    auto bound = std::make_shared<BoundMethod>(object, *method);
    meter.check_depth(bound->depth);
    return Value(std::shared_ptr<const Callable>(std::move(bound)));
  }
  if (object.is(Kind::dict)) {
    if (const Value* value = object.dict()->find(key)) return *value;
  } else if (object.is(Kind::space)) {
    meter.charge(object.space()->attributes.size() / 4);
    if (const Value* value = object.space()->find(key)) return *value;
  } else if (object.is(Kind::loop)) {
    Value out;
    if (const Value* value = loop_attribute(*object.loop(), key, &out)) return *value;
  } else if (object.is(Kind::callable) && key == "name") {
    return Value(Text(std::string(object.callable()->name()), true));
  }
  return Undefined{name, type_name(object)};
}

Value Interpreter::item(const Value& object, const Value& index) {
  meter.charge(1);
  if (object.is_undefined()) fail("{}", undefined_message(object.undefined()));
  if (object.is(Kind::dict)) {
    if (is_hashable(index)) {
      if (const Value* value = object.dict()->find(index, meter)) return *value;
    }
  } else if (index.is_integral() && (object.is_string() || (object.is(Kind::sequence) &&
                                                            object.sequence()->is_indexable()))) {
    return index_value(*this, object, index.integral());
  }
  if (index.is_string()) return attribute(object, index.text());
  return Undefined{text(index), type_name(object)};
}

Value Interpreter::slice(const Value& object,
                         const Value& start,
                         const Value& stop,
                         const Value& step) {
  if (object.is_undefined()) fail("{}", undefined_message(object.undefined()));
  if (object.is_string()) return slice_text(*this, object.text(), start, stop, step);
  if (!object.is(Kind::sequence) || !object.sequence()->is_indexable()) {
    fail("a {} cannot be sliced", type_name(object));
  }
  const Sequence& from = *object.sequence();
  const Indices indices = slice_indices(*this, from.items.size(), start, stop, step);
  meter.charge(indices.count);
  auto part = std::make_shared<Sequence>();
  part->type = from.type;
  part->depth = from.depth;
  part->range_start = from.range_start + indices.start * from.range_step;
  part->range_step = from.range_step * indices.given;
  part->range_stop = from.range_start + indices.stop * from.range_step;
  part->items.reserve(indices.count);
  for (size_t i = 0; i < indices.count; ++i) {
    part->items.push_back(
        from.items[static_cast<size_t>(indices.start + static_cast<int64_t>(i) * indices.step)]);
  }
  return Value(std::shared_ptr<const Sequence>(std::move(part)));
}

int64_t integer_argument(Interpreter& in, const Value* value, int64_t fallback, bool none_allowed) {
  if (value == nullptr || (none_allowed && value->is_none())) return fallback;
  if (value->is_undefined()) in.fail("{}", undefined_message(value->undefined()));
  if (!value->is_integral()) in.fail("expected an integer, got {}", type_name(*value));
  const Int given = value->integral();
  if (given > INT64_MAX || given < INT64_MIN) in.fail("integer argument too large");
  return static_cast<int64_t>(given);
}

bool flag_argument(const Value* value, bool fallback) {
  return value == nullptr ? fallback : truthy(*value);
}

const Text& text_argument(Interpreter& in, const Value& value) {
  if (!value.is_string()) in.fail("expected a string, got {}", type_name(value));
  return value.text();
}

}  // namespace qwen3::jinja
