// Walks the syntax tree. One Interpreter serves one render and is thrown away.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/syntax.h"

namespace qwen3::jinja {

// Variables of one block. Kept alive to the end of the render when a macro was defined inside,
// because the macro looks them up whenever it is called.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int, Value>> variables;
  bool captured = false;
  Scope* next_kept = nullptr;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const TemplateLimits& limits);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Text render(const Json& context);

  // For filters, tests, methods and operators.
  Value call(const Value& callee, Args& args);
  // env.getattr: methods first, then dict keys. env.getitem: keys and indices first.
  Value attribute(const Value& object, const Text& name);
  Value item(const Value& object, const Value& index);
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  Value apply_filter(std::string_view name, const Value& value, Args& args);
  bool apply_test(std::string_view name, const Value& value, Args& args);
  Value binary(Operator op, const Value& left, const Value& right);
  bool compare(Operator op, const Value& left, const Value& right);
  Text text(const Value& value) { return to_text(value, meter); }
  std::shared_ptr<const Sequence> items(const Value& value) { return iterate(value, meter); }
  Value list(std::vector<Value> v, SequenceType type = SequenceType::list) {
    return make_list(std::move(v), meter, type);
  }
  std::shared_ptr<Namespace> new_namespace();
  Value call_macro(const Signature& signature, const Block& body, Scope* scope, Args& args);

  template <typename... T>
  [[noreturn]] void fail(fmt::format_string<T...> format, T&&... args) const {
    meter.fail(format, std::forward<T>(args)...);
  }

  Meter meter;

 private:
  enum class Flow { normal, break_, continue_ };
  class Nested;     // one level of evaluation
  class OpenScope;  // a scope for the length of a block

  Flow run(const Block& block);
  Flow run(const Stmt& stmt);
  Flow run_if(const Stmt& stmt);
  void run_for(const Stmt& stmt, const Value& iterable, Scope* outer, int nesting);
  bool visit_items(const Stmt& stmt, Loop& loop, const Value& loop_value, Scope* outer);
  void run_macro_definition(const Stmt& stmt);
  void run_call_block(const Stmt& stmt);
  void print(const Value& value);
  template <typename F>
  Text capture(F&& body);

  Value eval(const Expr& expr);
  Value eval_compare(const Expr& expr);
  Value eval_call(const Expr& expr, const Value* caller = nullptr);
  Value eval_filter(const Expr& expr, const Value* block_text);
  Value eval_unary(const Expr& expr);
  Args eval_arguments(const Expr& expr);
  Value eval_optional(const ExprPtr& expr) { return expr ? eval(*expr) : Value(); }

  void assign(int symbol, Value value);
  void assign(const Target& target, const Value& value);
  const Value* lookup(int symbol) const;
  Scope* capture_scope();
  void define_globals(const Json& context);

  const Program& program_;
  Scope globals_;
  Scope root_;
  Scope* scope_ = &root_;
  Scope* kept_ = nullptr;  // captured scopes that are closed
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  TextBuilder* out_ = nullptr;
  int nesting_ = 0;
  int macro_depth_ = 0;
};

}  // namespace qwen3::jinja
