// Filters, tests and methods by name, and help for writing them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/syntax.h"

namespace qwen3::jinja {

struct NamedFunction {
  std::string_view name;
  Function function;  // null: Python has it, but it changes its object or is not offered here
};

struct NamedTest {
  std::string_view name;
  Test test;
};

Function find_filter(std::string_view name);
Test find_test(std::string_view name);
// The method of the value's type; null when the type has no attribute of that name.
const NamedFunction* find_method(const Value& self, std::string_view name);

std::span<const NamedFunction> text_filters();
std::span<const NamedFunction> number_filters();
std::span<const NamedFunction> sequence_filters();
std::span<const NamedFunction> string_methods();
std::span<const NamedFunction> dict_methods();

// What escape of markupsafe makes of a text: Markup, which it leaves alone.
Text escape_markup(Interpreter& in, const Text& text);

// `template % args` of Python (also the filter "format"), and str.format.
Text format_percent(Interpreter& in, const Text& format, const Value& arguments);
Text format_braces(Interpreter& in, const Text& format, Args& args);

// Matches arguments with parameter names, as Python does; a parameter that was not given is null.
// A parameter named "" cannot be given by keyword. The first n_required must be given.
template <size_t N>
std::array<const Value*, N> bind(Interpreter& in,
                                 const Args& args,
                                 const char* const (&names)[N],
                                 size_t n_required = 0) {
  std::array<const Value*, N> bound{};
  if (args.positional.size() > N) {
    in.fail("expected at most {} arguments, got {}", N, args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) bound[i] = &args.positional[i];
  for (const auto& [name, value] : args.keywords) {
    size_t i = 0;
    while (i < N && name != names[i]) ++i;
    if (i == N) in.fail("unexpected keyword argument '{}'", name);
    if (bound[i] != nullptr) in.fail("argument '{}' given twice", name);
    bound[i] = &value;
  }
  for (size_t i = 0; i < n_required; ++i) {
    if (bound[i] == nullptr) in.fail("argument {} ('{}') is missing", i + 1, names[i]);
  }
  return bound;
}

// For functions without parameters.
inline void no_arguments(Interpreter& in, const Args& args) {
  if (!args.empty()) in.fail("expected no arguments");
}

// An int argument in the range of int64; `fallback` when it was not given. None counts as not
// given only where `none_allowed`.
int64_t integer_argument(Interpreter& in,
                         const Value* value,
                         int64_t fallback,
                         bool none_allowed = false);
bool flag_argument(const Value* value, bool fallback);
const Text& text_argument(Interpreter& in, const Value& value);  // fails unless it is a str

}  // namespace qwen3::jinja
