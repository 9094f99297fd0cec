#include "chat/jinja/globals.h"

#include <ctime>

#include "chat/jinja/functions.h"

namespace qwen3::jinja {
namespace {

class Global final : public Callable {
 public:
  using Body = Value (*)(Interpreter&, Args&);
  Global(std::string_view name, Body body) : name_(name), body_(body) {}
  Value call(Interpreter& in, Args& args) const override { return body_(in, args); }
  std::string_view name() const override { return name_; }

 private:
  std::string_view name_;
  Body body_;
};

Value make_range(Interpreter& in, Args& args) {
  const auto given = bind(in, args, {"", "", ""}, 1);
  int64_t start = 0;
  int64_t stop = integer_argument(in, given[0], 0);
  if (given[1] != nullptr) {
    start = stop;
    stop = integer_argument(in, given[1], 0);
  }
  const int64_t step = integer_argument(in, given[2], 1);
  if (step == 0) in.fail("range() needs a step that is not zero");
  const Int span = step > 0 ? Int{stop} - start : Int{start} - stop;
  const Int stride = step > 0 ? Int{step} : -Int{step};
  const Int n = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (n > in.meter.limits().max_range) {
    in.fail("range() of more than {} elements", in.meter.limits().max_range);
  }
  in.meter.charge(static_cast<size_t>(n));
  auto range = std::make_shared<Sequence>();
  range->type = SequenceType::range;
  range->range_start = start;
  range->range_stop = stop;
  range->range_step = step;
  for (Int i = 0; i < n; ++i) range->items.emplace_back(start + i * step);
  return Value(std::shared_ptr<const Sequence>(std::move(range)));
}

// The arguments of dict() and namespace(): a mapping or pairs, then keywords.
std::vector<std::pair<Value, Value>> dict_entries(Interpreter& in, Args& args) {
  std::vector<std::pair<Value, Value>> entries;
  if (args.positional.size() > 1) in.fail("expected at most 1 argument");
  for (const Value& source : args.positional) {
    if (source.is(Kind::dict)) {
      entries = source.dict()->entries;
      continue;
    }
    const auto all = in.items(source);
    for (const Value& pair : all->items) {
      const auto parts = in.items(pair);
      if (parts->items.size() != 2) in.fail("dict() needs pairs");
      entries.emplace_back(parts->items[0], parts->items[1]);
    }
  }
  for (auto& [name, value] : args.keywords) entries.emplace_back(Text(name, true), value);
  return entries;
}

Value call_dict(Interpreter& in, Args& args) { return make_dict(dict_entries(in, args), in.meter); }

Value make_namespace(Interpreter& in, Args& args) {
  const Value initial = make_dict(dict_entries(in, args), in.meter);
  auto space = in.new_namespace();
  for (const auto& [name, value] : initial.dict()->entries) {
    const Text key = in.text(name);
    check_attribute_name(in.meter, key.view());
    space->attributes.emplace_back(std::string(key.view()), value);
  }
  return Value(std::move(space));
}

Value raise_exception(Interpreter& in, Args& args) {
  const auto given = bind(in, args, {"message"}, 1);
  throw Error(ErrorKind::invalid_argument, std::string(in.text(*given[0]).view()));
}

Value strftime_now(Interpreter& in, Args& args) {
  const auto given = bind(in, args, {"format"}, 1);
  const std::string format(text_argument(in, *given[0]).view());
  if (format.size() > 256) in.fail("strftime_now() takes a format of at most 256 bytes");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[1024];
  const size_t n = std::strftime(text, sizeof text, format.c_str(), &local);
  return Value(Text(utf8_lossy({text, n}), false));
}

}  // namespace

std::shared_ptr<const Callable> find_global(std::string_view name) {
  static constexpr std::pair<std::string_view, Global::Body> kGlobals[] = {
      {"range", make_range},
      {"dict", call_dict},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now}};
  for (const auto& [known, body] : kGlobals) {
    if (known == name) return std::make_shared<Global>(known, body);
  }
  return nullptr;
}

void check_attribute_name(const Meter& meter, std::string_view name) {
  if (name.starts_with('_')) {
    meter.fail("attribute '{}' of a namespace may not start with an underscore", name);
  }
}

}  // namespace qwen3::jinja
