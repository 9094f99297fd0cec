#include "chat/jinja/interpreter.h"

#include "chat/jinja/functions.h"
#include "chat/jinja/globals.h"

namespace qwen3::jinja {
namespace {

// Levels of evaluation per level of macro recursion: what keeps the C++ stack bounded. A level
// takes at most about 1 KiB without sanitizers.
constexpr int kLevelsPerDepth = 16;

class Macro final : public Callable {
 public:
  Macro(const Signature& signature, const Block& body, Scope* scope)
      : signature_(signature), body_(body), scope_(scope) {}
  Value call(Interpreter& in, Args& args) const override {
    return in.call_macro(signature_, body_, scope_, args);
  }
  std::string_view name() const override { return signature_.name; }

 private:
  const Signature& signature_;
  const Block& body_;
  Scope* scope_;
};

}  // namespace

class Interpreter::Nested {
 public:
  explicit Nested(Interpreter& in) : in_(in) {
    if (++in.nesting_ > kLevelsPerDepth * in.meter.limits().max_depth) {
      in.fail("evaluation nested too deeply");
    }
  }
  ~Nested() { --in_.nesting_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Interpreter& in_;
};

class Interpreter::OpenScope {
 public:
  OpenScope(Interpreter& in, Scope* parent) : in_(in), before_(in.scope_), scope_(new Scope) {
    in.meter.charge(4);
    scope_->parent = parent;
    in.scope_ = scope_.get();
  }
  ~OpenScope() {
    in_.scope_ = before_;
    if (!scope_->captured) return;
    scope_->next_kept = in_.kept_;
    in_.kept_ = scope_.release();
  }
  OpenScope(const OpenScope&) = delete;
  OpenScope& operator=(const OpenScope&) = delete;

 private:
  Interpreter& in_;
  Scope* before_;
  std::unique_ptr<Scope> scope_;
};

Interpreter::Interpreter(const Program& program, const TemplateLimits& limits)
    : meter(program.where, limits), program_(program) {
  root_.parent = &globals_;
}

Interpreter::~Interpreter() {
  // Namespaces may refer to themselves and to each other; all are alive here, so emptying one
  // cannot destroy another one inside of it.
  for (const auto& space : namespaces_) space->attributes.clear();
  while (kept_ != nullptr) delete std::exchange(kept_, kept_->next_kept);
}

Text Interpreter::render(const Json& context) {
  define_globals(context);
  return capture([&] { run(program_.body); });
}

// Only names that the template mentions are converted.
void Interpreter::define_globals(const Json& context) {
  for (size_t i = 0; i < program_.names.size(); ++i) {
    const std::string& name = program_.names[i];
    if (const auto given = context.find(name); given != context.end()) {
      root_.variables.emplace_back(static_cast<int>(i), from_json(*given, meter));
    } else if (const auto global = find_global(name)) {
      globals_.variables.emplace_back(static_cast<int>(i), Value(global));
    }
  }
}

std::shared_ptr<Namespace> Interpreter::new_namespace() {
  meter.charge(4);
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

template <typename F>
Text Interpreter::capture(F&& body) {
  TextBuilder builder;
  TextBuilder* const before = std::exchange(out_, &builder);
  body();
  out_ = before;
  return builder.finish();
}

void Interpreter::print(const Value& value) {
  const auto append = [&](const Text& text) {
    meter.check_size(out_->size() + text.size());
    meter.charge_bytes(text.size());
    out_->append(text);
  };
  if (value.is_string())
    append(value.text());
  else
    append(text(value));
}

const Value* Interpreter::lookup(int symbol) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) {
      if (name == symbol) return &value;
    }
  }
  return nullptr;
}

void Interpreter::assign(int symbol, Value value) {
  for (auto& [name, old] : scope_->variables) {
    if (name == symbol) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(symbol, std::move(value));
}

void Interpreter::assign(const Target& target, const Value& value) {
  meter.charge(1);
  if (!target.parts.empty()) {
    const auto parts = items(value);
    if (parts->items.size() != target.parts.size()) {
      fail("cannot unpack {} values into {} names", parts->items.size(), target.parts.size());
    }
    for (size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], parts->items[i]);
    return;
  }
  if (target.attribute.empty()) return assign(target.symbol, value);
  const Value* space = lookup(target.symbol);
  if (space == nullptr || !space->is(Kind::space)) {
    fail("attributes can only be set on a namespace, not on '{}'",
         program_.names[static_cast<size_t>(target.symbol)]);
  }
  check_attribute_name(meter, target.attribute);
  meter.charge(space->space()->attributes.size());
  space->space()->set(target.attribute, value);
}

Scope* Interpreter::capture_scope() {
  for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
  return scope_;
}

Interpreter::Flow Interpreter::run(const Block& block) {
  for (const auto& stmt : block) {
    if (const Flow flow = run(*stmt); flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Stmt& stmt) {
  const Nested nested(*this);
  meter.charge(1);
  meter.line = stmt.line;
  switch (stmt.kind) {
    case StmtKind::output:
      for (const ExprPtr& expr : stmt.exprs) print(eval(*expr));
      return Flow::normal;
    case StmtKind::if_:
      return run_if(stmt);
    case StmtKind::for_:
      run_for(stmt, eval(*stmt.exprs[0]), scope_, 0);
      return Flow::normal;
    case StmtKind::set:
      assign(stmt.targets[0], eval(*stmt.exprs[0]));
      return Flow::normal;
    case StmtKind::set_block:
    case StmtKind::filter_block: {
      Value text = capture([&] {
        const OpenScope scope(*this, scope_);
        run(stmt.blocks[0]);
      });
      if (!stmt.exprs.empty()) text = eval_filter(*stmt.exprs[0], &text);
      if (stmt.kind == StmtKind::filter_block)
        print(text);
      else
        assign(stmt.targets[0], text);
      return Flow::normal;
    }
    case StmtKind::macro:
      run_macro_definition(stmt);
      return Flow::normal;
    case StmtKind::call_block:
      run_call_block(stmt);
      return Flow::normal;
    case StmtKind::with: {
      std::vector<Value> values;
      for (const ExprPtr& expr : stmt.exprs) values.push_back(eval(*expr));
      const OpenScope scope(*this, scope_);
      for (size_t i = 0; i < values.size(); ++i) assign(stmt.targets[i], values[i]);
      return run(stmt.blocks[0]);
    }
    case StmtKind::scope: {
      const OpenScope scope(*this, scope_);
      return run(stmt.blocks[0]);
    }
    case StmtKind::break_:
      return Flow::break_;
    case StmtKind::continue_:
      return Flow::continue_;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_if(const Stmt& stmt) {
  for (size_t i = 0; i < stmt.exprs.size(); ++i) {
    if (truthy(eval(*stmt.exprs[i]))) return run(stmt.blocks[i]);
  }
  return stmt.blocks.size() > stmt.exprs.size() ? run(stmt.blocks.back()) : Flow::normal;
}

// `outer` is the scope around the loop: a recursive call may come from further inside.
void Interpreter::run_for(const Stmt& stmt, const Value& iterable, Scope* outer, int nesting) {
  const auto source = items(iterable);
  auto loop = std::make_shared<Loop>();
  loop->depth = source->depth + 1;
  meter.check_depth(loop->depth);
  loop->nesting = nesting;
  size_t next = 0;
  loop->fetch = [&](Value* item) {
    while (next < source->items.size()) {
      *item = source->items[next++];
      if (!stmt.exprs[1]) return true;
      const OpenScope scope(*this, outer);
      assign(stmt.targets[0], *item);
      if (truthy(eval(*stmt.exprs[1]))) return true;
    }
    return false;
  };
  if (stmt.recursive) {
    capture_scope();
    loop->recurse = [&](const Value& inner) {
      if (++macro_depth_ > meter.limits().max_depth)
        fail("recursion deeper than {}", meter.limits().max_depth);
      Value text = capture([&] { run_for(stmt, inner, outer, nesting + 1); });
      --macro_depth_;
      return text;
    };
  }
  // The loop object may outlive the loop; what refers to this frame must not.
  struct Finish {
    Loop& loop;
    ~Finish() {
      loop.fetch = nullptr;
      loop.recurse = nullptr;
      loop.changed.clear();
    }
  } const finish{*loop};
  const bool completed_one = visit_items(stmt, *loop, Value(loop), outer);
  if (!completed_one && stmt.blocks.size() > 1) {
    const OpenScope scope(*this, outer);
    run(stmt.blocks[1]);
  }
}

// True when the body ran to its end once; Jinja's else branch depends on that, not on the items.
bool Interpreter::visit_items(const Stmt& stmt, Loop& loop, const Value& loop_value, Scope* outer) {
  bool completed_one = false;
  while (loop.peek()) {
    ++loop.index0;
    loop.previous = std::exchange(loop.current, std::move(loop.ahead.back()));
    loop.ahead.pop_back();
    const OpenScope scope(*this, outer);
    assign(program_.loop, loop_value);
    assign(stmt.targets[0], loop.current);
    const Flow flow = run(stmt.blocks[0]);
    if (flow == Flow::break_) break;
    completed_one |= flow == Flow::normal;
  }
  return completed_one;
}

void Interpreter::run_macro_definition(const Stmt& stmt) {
  Scope* scope = capture_scope();
  assign(stmt.symbol,
         Value(std::shared_ptr<const Callable>(
             std::make_shared<Macro>(stmt.signature, stmt.blocks[0], scope))));
}

void Interpreter::run_call_block(const Stmt& stmt) {
  const Value caller(std::shared_ptr<const Callable>(
      std::make_shared<Macro>(stmt.signature, stmt.blocks[0], capture_scope())));
  print(eval_call(*stmt.exprs[0], &caller));
}

Value Interpreter::call_macro(const Signature& signature,
                              const Block& body,
                              Scope* scope,
                              Args& args) {
  if (++macro_depth_ > meter.limits().max_depth) {
    fail("macro '{}' recurses deeper than {}", signature.name, meter.limits().max_depth);
  }
  const auto take_keyword = [&](std::string_view name, Value* out) {
    for (auto at = args.keywords.begin(); at != args.keywords.end(); ++at) {
      if (at->first != name) continue;
      *out = std::move(at->second);
      args.keywords.erase(at);
      return true;
    }
    return false;
  };
  const size_t n = signature.parameters.size();
  const OpenScope open(*this, scope);
  const size_t first_default = n - signature.defaults.size();
  for (size_t i = 0; i < n; ++i) {
    Value value = Undefined{Text(signature.names[i], true)};
    const bool given = i < args.positional.size();
    if (given)
      value = args.positional[i];
    else if (!take_keyword(signature.names[i], &value) && i >= first_default) {
      value = eval(*signature.defaults[i - first_default]);
    }
    assign(signature.parameters[i], std::move(value));
  }
  if (signature.uses_caller) {
    Value caller = Undefined{Text("caller", true)};
    take_keyword("caller", &caller);
    assign(program_.caller, std::move(caller));
  }
  if (signature.uses_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : args.keywords) entries.emplace_back(Text(name, true), value);
    assign(program_.kwargs, make_dict(std::move(entries), meter));
  } else if (!args.keywords.empty()) {
    fail("macro '{}' takes no keyword argument '{}'", signature.name, args.keywords[0].first);
  }
  if (signature.uses_varargs) {
    std::vector<Value> rest;
    for (size_t i = n; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
    assign(program_.varargs, list(std::move(rest), SequenceType::tuple));
  } else if (args.positional.size() > n) {
    fail("macro '{}' takes not more than {} arguments", signature.name, n);
  }
  Value text = capture([&] { run(body); });
  --macro_depth_;
  return text;
}

Value Interpreter::eval(const Expr& expr) {
  const Nested nested(*this);
  meter.charge(1);
  meter.line = expr.line;
  switch (expr.kind) {
    case ExprKind::constant:
      return expr.value;
    case ExprKind::name: {
      const Value* value = lookup(expr.symbol);
      return value != nullptr ? *value : Value(Undefined{expr.text});
    }
    case ExprKind::tuple:
    case ExprKind::list: {
      std::vector<Value> values;
      for (const ExprPtr& part : expr.parts) values.push_back(eval(*part));
      return list(std::move(values),
                  expr.kind == ExprKind::tuple ? SequenceType::tuple : SequenceType::list);
    }
    case ExprKind::dict: {
      std::vector<std::pair<Value, Value>> entries;
      for (size_t i = 0; i < expr.parts.size(); i += 2) {
        Value key = eval(*expr.parts[i]);
        entries.emplace_back(std::move(key), eval(*expr.parts[i + 1]));
      }
      return make_dict(std::move(entries), meter);
    }
    case ExprKind::concat: {
      Text joined;
      for (const ExprPtr& part : expr.parts) {
        const Text next = text(eval(*part));
        meter.check_size(joined.size() + next.size());
        meter.charge_bytes(joined.empty() ? 0 : next.size());
        joined = concat(joined, next);
      }
      return joined.as_plain();  // without autoescape ~ joins str
    }
    case ExprKind::arithmetic: {
      Value value = eval(*expr.parts[0]);
      for (size_t i = 0; i < expr.operators.size(); ++i) {
        value = binary(expr.operators[i], value, eval(*expr.parts[i + 1]));
      }
      return value;
    }
    case ExprKind::compare:
      return eval_compare(expr);
    case ExprKind::all_of:
    case ExprKind::any_of: {
      Value value = eval(*expr.parts[0]);
      for (size_t i = 1; i < expr.parts.size(); ++i) {
        if (truthy(value) == (expr.kind == ExprKind::any_of)) break;
        value = eval(*expr.parts[i]);
      }
      return value;
    }
    case ExprKind::logical_not:
      return Value(!truthy(eval(*expr.parts[0])));
    case ExprKind::minus:
    case ExprKind::plus:
      return eval_unary(expr);
    case ExprKind::condition:
      if (truthy(eval(*expr.parts[1]))) return eval(*expr.parts[0]);
      if (expr.parts[2]) return eval(*expr.parts[2]);
      return Undefined{Text(), "", "the inline if-expression evaluated to false and has no else"};
    case ExprKind::attribute:
      return attribute(eval(*expr.parts[0]), expr.text);
    case ExprKind::item: {
      const Value object = eval(*expr.parts[0]);
      return item(object, eval(*expr.parts[1]));
    }
    case ExprKind::slice: {
      const Value object = eval(*expr.parts[0]);
      const Value start = eval_optional(expr.parts[1]);
      const Value stop = eval_optional(expr.parts[2]);
      return slice(object, start, stop, eval_optional(expr.parts[3]));
    }
    case ExprKind::call:
      return eval_call(expr);
    case ExprKind::filter:
      return eval_filter(expr, nullptr);
    case ExprKind::test: {
      const Value value = eval(*expr.parts[0]);
      if (expr.test == nullptr) fail("there is no test named '{}'", expr.text.view());
      Args args = eval_arguments(expr);
      meter.line = expr.line;
      return Value(expr.test(*this, value, args));
    }
  }
  return {};
}

Value Interpreter::eval_compare(const Expr& expr) {
  Value left = eval(*expr.parts[0]);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = eval(*expr.parts[i + 1]);
    if (!compare(expr.operators[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::eval_unary(const Expr& expr) {
  const Value value = eval(*expr.parts[0]);
  const bool negate = expr.kind == ExprKind::minus;
  if (value.is_integral()) {
    Int result = value.integral();
    if (negate && __builtin_sub_overflow(Int{0}, result, &result)) fail("integer too large");
    return Value(result);
  }
  if (value.is(Kind::floating)) return Value(negate ? -value.number() : value.number());
  if (value.is_undefined()) fail("{}", undefined_message(value.undefined()));
  fail("bad operand for unary {}: {}", negate ? '-' : '+', type_name(value));
}

Args Interpreter::eval_arguments(const Expr& expr) {
  Args args;
  for (size_t i = 1; i < expr.parts.size(); ++i) args.positional.push_back(eval(*expr.parts[i]));
  for (const auto& [name, value] : expr.keywords) args.keywords.emplace_back(name, eval(*value));
  if (expr.star_args) {
    const auto more = items(eval(*expr.star_args));
    args.positional.insert(args.positional.end(), more->items.begin(), more->items.end());
  }
  if (expr.star_kwargs) {
    const Value more = eval(*expr.star_kwargs);
    if (!more.is(Kind::dict)) fail("** needs a mapping, not {}", type_name(more));
    // Duplicates are searched linearly.
    meter.charge(more.dict()->entries.size() * (more.dict()->entries.size() + 1));
    for (const auto& [name, value] : more.dict()->entries) {
      if (!name.is_string()) fail("keywords must be strings");
      for (const auto& given : args.keywords) {
        if (given.first == name.view()) fail("argument '{}' given twice", name.view());
      }
      args.keywords.emplace_back(std::string(name.view()), value);
    }
  }
  return args;
}

Value Interpreter::eval_call(const Expr& expr, const Value* caller) {
  const auto arguments = [&] {
    Args args = eval_arguments(expr);
    if (caller != nullptr) args.keywords.emplace_back("caller", *caller);
    meter.line = expr.line;
    return args;
  };
  const Expr& callee = *expr.parts[0];
  if (callee.kind != ExprKind::attribute) {
    const Value function = eval(callee);
    Args args = arguments();
    return call(function, args);
  }
  // x.method(...): without making a value of the method.
  const Value object = eval(*callee.parts[0]);
  const NamedFunction* method = find_method(object, callee.text.view());
  if (method != nullptr && method->function != nullptr) {
    Args args = arguments();
    const Value result = method->function(*this, object, args);
    if (!object.is_string() || !result.is_string()) return result;
    return result.text().marked_as(object.text());
  }
  const Value function = attribute(object, callee.text);
  Args args = arguments();
  return call(function, args);
}

Value Interpreter::eval_filter(const Expr& expr, const Value* block_text) {
  const Nested nested(*this);
  const Expr* input = expr.parts[0].get();
  const Value value = input == nullptr        ? *block_text
                      : block_text != nullptr ? eval_filter(*input, block_text)
                                              : eval(*input);
  if (expr.filter == nullptr) fail("there is no filter named '{}'", expr.text.view());
  Args args = eval_arguments(expr);
  meter.line = expr.line;
  return expr.filter(*this, value, args);
}

Value Interpreter::call(const Value& callee, Args& args) {
  meter.charge(2);
  switch (callee.kind()) {
    case Kind::callable:
      return callee.callable()->call(*this, args);
    case Kind::loop: {
      const auto& loop = callee.loop();
      if (!loop->recurse) fail("a loop needs the 'recursive' marker to be called");
      const auto given = bind(*this, args, {"iterable"}, 1);
      return loop->recurse(*given[0]);
    }
    case Kind::undefined:
      fail("{}", undefined_message(callee.undefined()));
    default:
      fail("a {} cannot be called", type_name(callee));
  }
}

Value Interpreter::apply_filter(std::string_view name, const Value& value, Args& args) {
  const Function filter = find_filter(name);
  if (filter == nullptr) fail("there is no filter named '{}'", name);
  meter.charge(8);
  return filter(*this, value, args);
}

bool Interpreter::apply_test(std::string_view name, const Value& value, Args& args) {
  const Test test = find_test(name);
  if (test == nullptr) fail("there is no test named '{}'", name);
  meter.charge(8);
  return test(*this, value, args);
}

}  // namespace qwen3::jinja
