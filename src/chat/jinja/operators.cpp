// Arithmetic and comparison with Python's rules; ints are 128 bits wide and never wrap.
#include <cmath>

#include "chat/jinja/functions.h"

namespace qwen3::jinja {
namespace {

constexpr const char* kSymbols[] = {
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};

[[noreturn]] void bad_operands(Interpreter& in, Operator op, const Value& a, const Value& b) {
  if (a.is_undefined()) in.fail("{}", undefined_message(a.undefined()));
  if (b.is_undefined()) in.fail("{}", undefined_message(b.undefined()));
  in.fail("unsupported operands for {}: {} and {}",
          kSymbols[static_cast<size_t>(op)],
          type_name(a),
          type_name(b));
}

Int floor_div(Int a, Int b) { return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0); }

Int int_pow(Interpreter& in, Int base, Int exponent) {
  Int result = 1;
  while (exponent > 0) {
    in.meter.charge(1);
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      in.fail("integer too large");
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) in.fail("integer too large");
  }
  return result;
}

Value int_binary(Interpreter& in, Operator op, Int a, Int b) {
  const bool divides = op == Operator::div || op == Operator::floordiv || op == Operator::mod;
  if (divides && b == 0) in.fail("division by zero");
  // The one quotient that does not fit: the smallest integer by -1.
  if ((op == Operator::floordiv || op == Operator::mod) && b == -1) {
    if (op == Operator::mod) return Value(Int{0});
    op = Operator::mul;
  }
  Int result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::add:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::sub:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::mul:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::div:
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::floordiv:
      result = floor_div(a, b);
      break;
    case Operator::mod:
      result = a - floor_div(a, b) * b;
      break;
    default:
      if (b >= 0) {
        result = int_pow(in, a, b);
        break;
      }
      if (a == 0) in.fail("zero cannot be raised to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  if (overflow) in.fail("integer too large");
  return Value(result);
}

Value float_binary(Interpreter& in, Operator op, double a, double b) {
  const bool divides = op == Operator::div || op == Operator::floordiv || op == Operator::mod;
  if (divides && b == 0) in.fail("division by zero");
  switch (op) {
    case Operator::add:
      return Value(a + b);
    case Operator::sub:
      return Value(a - b);
    case Operator::mul:
      return Value(a * b);
    case Operator::div:
      return Value(a / b);
    case Operator::floordiv:
    case Operator::mod: {
      double rest = std::fmod(a, b);
      if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
      if (rest == 0) rest = std::copysign(0.0, b);
      if (op == Operator::mod) return Value(rest);
      const double quotient = (a - rest) / b;
      const double whole = std::floor(quotient);
      return Value(whole + (quotient - whole > 0.5 ? 1.0 : 0.0));
    }
    default:
      break;
  }
  if (a == 0 && b < 0) in.fail("zero cannot be raised to a negative power");
  if (a < 0 && b != std::floor(b)) in.fail("complex results are not supported");
  const double power = std::pow(a, b);
  if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) in.fail("float result too large");
  return Value(power);
}

Value repeat(Interpreter& in, const Value& what, Int times) {
  const size_t unit = what.is_string() ? what.text().size() : what.sequence()->items.size();
  if (times < 0 || unit == 0) times = 0;
  // Both factors are far below 2^63 once the first check has passed.
  if (times > in.meter.limits().max_output_bytes) in.meter.check_size(SIZE_MAX);
  const size_t total = unit * static_cast<size_t>(times);
  if (what.is_string()) {
    in.meter.check_size(total);
    in.meter.charge(1 + static_cast<size_t>(times));
    in.meter.charge_bytes(total);
    TextBuilder out;
    for (Int i = 0; i < times; ++i) out.append(what.text());
    return out.finish().marked_as(what.text());
  }
  in.meter.charge(2 * total);
  std::vector<Value> items;
  for (Int i = 0; i < times; ++i) {
    const auto& part = what.sequence()->items;
    items.insert(items.end(), part.begin(), part.end());
  }
  return in.list(std::move(items), what.sequence()->type);
}

bool is_repeatable(const Value& value) {
  return value.is_string() ||
         (value.is(Kind::sequence) && value.sequence()->type <= SequenceType::tuple);
}

Value join_lists(Interpreter& in, const Sequence& a, const Sequence& b) {
  in.meter.charge(2 * (a.items.size() + b.items.size()));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return in.list(std::move(items), a.type);
}

}  // namespace

Value Interpreter::binary(Operator op, const Value& left, const Value& right) {
  meter.charge(1);
  if (left.is_integral() && right.is_integral()) {
    return int_binary(*this, op, left.integral(), right.integral());
  }
  if (left.is_number() && right.is_number()) {
    return float_binary(*this, op, left.number(), right.number());
  }
  if (op == Operator::add && left.is_string() && right.is_string()) {
    if (left.text().is_markup() != right.text().is_markup()) {
      const Text a = escape_markup(*this, left.text());
      return binary(op, a, escape_markup(*this, right.text()));
    }
    meter.check_size(left.text().size() + right.text().size());
    meter.charge_bytes(right.text().size());
    return concat(left.text(), right.text());
  }
  if (op == Operator::add && is_repeatable(left) && is_repeatable(right) && !left.is_string() &&
      !right.is_string() && left.sequence()->type == right.sequence()->type) {
    return join_lists(*this, *left.sequence(), *right.sequence());
  }
  if (op == Operator::mul && is_repeatable(left) && right.is_integral()) {
    return repeat(*this, left, right.integral());
  }
  if (op == Operator::mul && left.is_integral() && is_repeatable(right)) {
    return repeat(*this, right, left.integral());
  }
  if (op == Operator::mod && left.is_string()) return format_percent(*this, left.text(), right);
  bad_operands(*this, op, left, right);
}

bool Interpreter::compare(Operator op, const Value& left, const Value& right) {
  switch (op) {
    case Operator::eq:
      return equal(left, right, meter);
    case Operator::ne:
      return !equal(left, right, meter);
    case Operator::in:
      return contains(right, left, meter);
    case Operator::not_in:
      return !contains(right, left, meter);
    default:
      break;
  }
  if (left.is_number() && right.is_number() && !(left.is_integral() && right.is_integral())) {
    // Written out because of NaN.
    const double a = left.number();
    const double b = right.number();
    return op == Operator::lt   ? a < b
           : op == Operator::le ? a <= b
           : op == Operator::gt ? a > b
                                : a >= b;
  }
  switch (op) {
    case Operator::lt:
      return less(left, right, meter);
    case Operator::gt:
      return less(right, left, meter);
    case Operator::le:
      return !less(right, left, meter);
    default:
      return !less(left, right, meter);
  }
}

}  // namespace qwen3::jinja
