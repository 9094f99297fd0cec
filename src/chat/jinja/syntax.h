// The syntax tree of a template. Chains such as a + b - c and a ~ b ~ c are one flat node, so that
// the depth of the tree is the nesting the author wrote; the parser bounds it.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace qwen3::jinja {

constexpr int kMaxSyntaxDepth = 64;
constexpr size_t kMaxTemplateBytes = 1 << 20;

enum class ExprKind : uint8_t {
  constant,  // value
  name,      // symbol
  tuple,
  list,        // parts
  dict,        // parts: key, value, key, value, ...
  concat,      // parts joined by ~
  arithmetic,  // parts[0] operators[0] parts[1] ..., from the left
  compare,     // the same, chained as in Python
  all_of,
  any_of,
  logical_not,  // and, or, not
  minus,
  plus,
  condition,  // parts: then, test, else (may be null)
  attribute,  // parts[0].text
  item,       // parts[0][parts[1]]
  slice,      // parts[0][parts[1]:parts[2]:parts[3]], the last three may be null
  call,       // parts[0](parts[1...], arguments)
  filter,
  test  // parts[0] | text(parts[1...]); parts[0] is null in a filter block
};

enum class Operator : uint8_t {
  add,
  sub,
  mul,
  div,
  floordiv,
  mod,
  pow,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  in,
  not_in
};

// Filters and methods: self, then arguments.
using Function = Value (*)(Interpreter& in, const Value& self, Args& args);
using Test = bool (*)(Interpreter& in, const Value& self, Args& args);

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct Expr {
  ExprKind kind = ExprKind::constant;
  int line = 1;
  int depth = 1;
  int symbol = -1;
  Value value;
  Text text;
  Function filter = nullptr;  // null when there is no filter of that name: an error when reached
  Test test = nullptr;        // likewise
  std::vector<ExprPtr> parts;
  std::vector<Operator> operators;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr star_args;    // f(*x)
  ExprPtr star_kwargs;  // f(**x)
};

// What `set` and `for` assign to.
struct Target {
  int symbol = -1;            // of the name, or of the namespace
  std::string attribute;      // namespace attribute when not empty
  std::vector<Target> parts;  // unpacking when not empty
};

enum class StmtKind : uint8_t {
  output,
  if_,
  for_,
  set,
  set_block,
  macro,
  call_block,
  filter_block,
  with,
  scope,
  break_,
  continue_
};

struct Stmt;
using Block = std::vector<std::unique_ptr<const Stmt>>;

struct Signature {
  std::string name;
  std::vector<int> parameters;
  std::vector<std::string> names;
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Stmt {
  StmtKind kind = StmtKind::output;
  int line = 1;
  // output: the pieces. if_: the tests. for_: iterable, filter (may be null). set: value.
  // set_block: filters (may be absent). call_block: the call. filter_block: filters. with: values.
  std::vector<ExprPtr> exprs;
  // if_: one block per test and perhaps one for else. for_: body and perhaps else. Others: body.
  std::vector<Block> blocks;
  std::vector<Target> targets;  // for_, set, set_block: one; with: one per value
  int symbol = -1;              // macro
  bool recursive = false;       // for_
  Signature signature;          // macro, call_block
};

struct Program {
  std::string where;
  std::string source;
  std::vector<std::string> names;            // by symbol
  std::set<std::string, std::less<>> reads;  // names that no earlier text of the template sets
  Block body;
  int loop = -1, caller = -1, varargs = -1, kwargs = -1;  // symbols with a meaning of their own
};

}  // namespace qwen3::jinja
