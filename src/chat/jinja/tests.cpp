// Tests: what may follow `is`.
#include <algorithm>

#include "chat/jinja/functions.h"
#include "chat/jinja/unicode.h"

namespace qwen3::jinja {
namespace {

template <bool (*Check)(const Value&)>
bool plain(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return Check(self);
}

template <Operator Op>
bool comparison(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  return in.compare(Op, self, *given[0]);
}

bool is_sequence(const Value& v) {
  return v.is_string() || v.is(Kind::dict) || v.is_undefined() ||
         (v.is(Kind::sequence) && v.sequence()->is_indexable());
}

Int remainder(Interpreter& in, const Value& self, const Value& by) {
  return in.binary(Operator::mod, self, by).integral();
}

bool test_parity(Interpreter& in, const Value& self, Args& args, Int wanted) {
  no_arguments(in, args);
  if (self.is(Kind::floating)) {
    return in.binary(Operator::mod, self, Value::integer(2)).number() ==
           static_cast<double>(wanted);
  }
  if (!self.is_integral()) in.fail("odd and even need a number, not {}", type_name(self));
  return remainder(in, self, Value::integer(2)) == wanted;
}

bool test_odd(Interpreter& in, const Value& self, Args& args) {
  return test_parity(in, self, args, 1);
}
bool test_even(Interpreter& in, const Value& self, Args& args) {
  return test_parity(in, self, args, 0);
}

bool test_divisibleby(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"num"}, 1);
  if (!self.is_number() || !given[0]->is_number()) in.fail("divisibleby needs numbers");
  return in.binary(Operator::mod, self, *given[0]).number() == 0;
}

bool test_in(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"seq"}, 1);
  return contains(*given[0], self, in.meter);
}

// Identity: small scalars are one object in Python; equal strings need not be, so are not.
bool test_sameas(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"other"}, 1);
  const Value& other = *given[0];
  if (self.kind() != other.kind()) return false;
  switch (self.kind()) {
    case Kind::sequence:
      return self.sequence() == other.sequence();
    case Kind::dict:
      return self.dict() == other.dict();
    case Kind::undefined:
      return false;
    default:
      return equal(self, other, in.meter);
  }
}

template <bool (*Wanted)(char32_t), bool (*Unwanted)(char32_t)>
bool test_case(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const Text text = in.text(self);
  in.meter.charge_bytes(8 * text.size());
  const std::string_view view = text.view();
  bool any = false;
  for (size_t at = 0; at < view.size();) {
    const char32_t c = utf8_decode(view, at);
    if (Unwanted(c)) return false;
    any |= Wanted(c);
  }
  return any;
}

bool test_filter_name(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  if (!is_hashable(self)) in.fail("a {} is not the name of a filter", type_name(self));
  return self.is_string() && find_filter(self.view()) != nullptr;
}

bool test_test_name(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  if (!is_hashable(self)) in.fail("a {} is not the name of a test", type_name(self));
  return self.is_string() && find_test(self.view()) != nullptr;
}

constexpr NamedTest kTests[] = {
    {"defined", plain<[](const Value& v) { return !v.is_undefined(); }>},
    {"undefined", plain<[](const Value& v) { return v.is_undefined(); }>},
    {"none", plain<[](const Value& v) { return v.is_none(); }>},
    {"boolean", plain<[](const Value& v) { return v.is(Kind::boolean); }>},
    {"true", plain<[](const Value& v) { return v.is(Kind::boolean) && v.boolean(); }>},
    {"false", plain<[](const Value& v) { return v.is(Kind::boolean) && !v.boolean(); }>},
    {"integer", plain<[](const Value& v) { return v.is(Kind::integer); }>},
    {"float", plain<[](const Value& v) { return v.is(Kind::floating); }>},
    {"number", plain<[](const Value& v) { return v.is_number(); }>},
    {"string", plain<[](const Value& v) { return v.is_string(); }>},
    {"mapping", plain<[](const Value& v) { return v.is(Kind::dict); }>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<is_iterable>},
    // An Undefined has __call__, which raises.
    {"callable", plain<[](const Value& v) {
       return v.is(Kind::callable) || v.is(Kind::loop) || v.is_undefined();
     }>},
    {"escaped", plain<[](const Value& v) { return v.is_string() && v.text().is_markup(); }>},
    {"odd", test_odd},
    {"even", test_even},
    {"divisibleby", test_divisibleby},
    {"in", test_in},
    {"sameas", test_sameas},
    {"lower", test_case<is_lower, is_upper>},
    {"upper", test_case<is_upper, is_lower>},
    {"filter", test_filter_name},
    {"test", test_test_name},
    {"eq", comparison<Operator::eq>},
    {"==", comparison<Operator::eq>},
    {"equalto", comparison<Operator::eq>},
    {"ne", comparison<Operator::ne>},
    {"!=", comparison<Operator::ne>},
    {"lt", comparison<Operator::lt>},
    {"<", comparison<Operator::lt>},
    {"lessthan", comparison<Operator::lt>},
    {"le", comparison<Operator::le>},
    {"<=", comparison<Operator::le>},
    {"gt", comparison<Operator::gt>},
    {">", comparison<Operator::gt>},
    {"greaterthan", comparison<Operator::gt>},
    {"ge", comparison<Operator::ge>},
    {">=", comparison<Operator::ge>},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const NamedTest& test : kTests) {
    if (test.name == name) return test.test;
  }
  return nullptr;
}

}  // namespace qwen3::jinja
