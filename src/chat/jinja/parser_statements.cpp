#include <algorithm>

#include "chat/jinja/parser_impl.h"

namespace qwen3::jinja {

std::shared_ptr<const Program> Parser::parse() {
  program_->body = parse_block({});
  return program_;
}

// Statements up to one of `ends`, whose name is left as the current token; or up to the end of the
// template when `ends` is empty.
Block Parser::parse_block(const Ends& ends) {
  const Nested nested(*this);
  Block block;
  std::unique_ptr<Stmt> output;
  const auto add_output = [&](ExprPtr expr) {
    if (!output) {
      output = std::make_unique<Stmt>();
      output->line = expr->line;
    }
    output->exprs.push_back(std::move(expr));
  };
  const auto flush = [&] {
    if (output) block.push_back(std::move(output));
    output = nullptr;
  };
  while (!peek().is(TokenType::end)) {
    const Token token = take();
    if (token.is(TokenType::data)) {
      auto data = make(ExprKind::constant, token.line);
      data->value = Value(Text(token.text, true));
      add_output(done(std::move(data)));
    } else if (token.is(TokenType::variable_begin)) {
      add_output(parse_tuple(true));
      expect(TokenType::variable_end, "'}}'");
    } else {
      flush();
      if (peek().is(TokenType::name) &&
          std::find(ends.begin(), ends.end(), peek().text) != ends.end()) {
        return block;
      }
      block.push_back(parse_statement());
      expect(TokenType::block_end, "'%}'");
    }
  }
  if (!ends.empty()) error(fmt::format("the template ends, but '{}' is missing", ends.back()));
  flush();
  return block;
}

Block Parser::parse_body(const Ends& ends) {
  skip_op(":");
  expect(TokenType::block_end, "'%}'");
  return parse_block(ends);
}

std::unique_ptr<Stmt> Parser::parse_statement() {
  const int line = peek().line;
  if (!peek().is(TokenType::name)) error("expected the name of a tag, got " + describe(peek()));
  const std::string name = take().text;
  if (name == "if") return parse_if(line);
  if (name == "for") return parse_for(line);
  if (name == "set") return parse_set(line);
  if (name == "with") return parse_with(line);
  if (name == "macro") return parse_macro(line);
  if (name == "call") return parse_call_block(line);
  if (name == "filter") return parse_filter_block(line);
  if (name == "print") return parse_print(line);
  if (name == "break") return parse_loop_control(StmtKind::break_, line);
  if (name == "continue") return parse_loop_control(StmtKind::continue_, line);
  if (name == "generation") {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = StmtKind::scope;
    stmt->line = line;
    stmt->blocks.push_back(parse_body({"endgeneration"}));
    take();
    return stmt;
  }
  for (const std::string_view refused :
       {"include", "import", "from", "extends", "block", "autoescape"}) {
    if (name == refused) {
      unsupported(fmt::format("'{}' is not supported in chat templates", name));
    }
  }
  error(fmt::format("unknown tag '{}'", name));
}

std::unique_ptr<Stmt> Parser::parse_if(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::if_;
  stmt->line = line;
  while (true) {
    stmt->exprs.push_back(parse_tuple(false));
    stmt->blocks.push_back(parse_body({"elif", "else", "endif"}));
    const Token word = take();
    if (word.text == "elif") continue;
    if (word.text == "else") {
      stmt->blocks.push_back(parse_body({"endif"}));
      take();
    }
    return stmt;
  }
}

void Parser::note_set(const Target& target) {
  if (target.attribute.empty() && target.symbol >= 0) set_.insert(target.symbol);
  for (const Target& part : target.parts) note_set(part);
}

std::unique_ptr<Stmt> Parser::parse_for(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::for_;
  stmt->line = line;
  stmt->targets.push_back(parse_target(false));
  if (stmt->targets[0].symbol == program_->loop) error("cannot assign to the variable 'loop'");
  if (!skip_name("in")) error("expected 'in', got " + describe(peek()));
  stmt->exprs.push_back(parse_tuple(false));
  note_set(stmt->targets[0]);
  stmt->exprs.push_back(skip_name("if") ? parse_expression() : nullptr);
  stmt->recursive = skip_name("recursive");
  ++loops_;
  stmt->blocks.push_back(parse_body({"else", "endfor"}));
  --loops_;
  if (take().text == "else") {
    stmt->blocks.push_back(parse_body({"endfor"}));
    take();
  }
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_set(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::set;
  stmt->line = line;
  stmt->targets.push_back(parse_target(true));
  if (skip_op("=")) {
    stmt->exprs.push_back(parse_tuple(true));
    note_set(stmt->targets[0]);
    return stmt;
  }
  stmt->kind = StmtKind::set_block;
  ExprPtr filters;
  while (skip_op("|")) filters = parse_filter(std::move(filters));
  if (filters) stmt->exprs.push_back(std::move(filters));
  stmt->blocks.push_back(parse_body({"endset"}));
  take();
  note_set(stmt->targets[0]);
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_with(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::with;
  stmt->line = line;
  while (!peek().is(TokenType::block_end)) {
    if (!stmt->targets.empty()) expect_op(",");
    stmt->targets.push_back(parse_target(false, false));
    expect_op("=");
    stmt->exprs.push_back(parse_expression());
    note_set(stmt->targets.back());
  }
  stmt->blocks.push_back(parse_body({"endwith"}));
  take();
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_macro(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::macro;
  stmt->line = line;
  stmt->signature.name = expect_name();
  stmt->symbol = symbol(stmt->signature.name);
  set_.insert(stmt->symbol);
  parse_signature(stmt->signature);
  stmt->blocks.push_back(parse_macro_body(stmt->signature, "endmacro"));
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_call_block(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::call_block;
  stmt->line = line;
  stmt->signature.name = "caller";
  if (peek().is_op("(")) parse_signature(stmt->signature);
  stmt->exprs.push_back(parse_expression());
  if (stmt->exprs[0]->kind != ExprKind::call) error("'call' needs a call of a macro");
  stmt->blocks.push_back(parse_macro_body(stmt->signature, "endcall"));
  return stmt;
}

// The body of a macro. A name counts as special (caller, varargs, kwargs) only where it is not a
// parameter.
Block Parser::parse_macro_body(Signature& signature, std::string_view end) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&signature);
  Block body = parse_body({end});
  macros_.pop_back();
  loops_ = outer_loops;
  take();
  const auto is_parameter = [&](std::string_view name) {
    return std::find(signature.names.begin(), signature.names.end(), name) != signature.names.end();
  };
  signature.uses_caller &= !is_parameter("caller");
  signature.uses_varargs &= !is_parameter("varargs");
  signature.uses_kwargs &= !is_parameter("kwargs");
  return body;
}

void Parser::parse_signature(Signature& signature) {
  expect_op("(");
  while (!peek().is_op(")")) {
    const std::string name = expect_name();
    signature.parameters.push_back(symbol(name));
    set_.insert(signature.parameters.back());
    signature.names.push_back(name);
    if (skip_op("="))
      signature.defaults.push_back(parse_expression());
    else if (!signature.defaults.empty())
      error("a parameter without default follows one with");
    if (!skip_op(",")) break;
  }
  expect_op(")");
}

std::unique_ptr<Stmt> Parser::parse_filter_block(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = StmtKind::filter_block;
  stmt->line = line;
  ExprPtr filters = parse_filter(nullptr);
  while (skip_op("|")) filters = parse_filter(std::move(filters));
  stmt->exprs.push_back(std::move(filters));
  stmt->blocks.push_back(parse_body({"endfilter"}));
  take();
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_print(int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->line = line;
  while (!peek().is(TokenType::block_end)) {
    if (!stmt->exprs.empty()) expect_op(",");
    stmt->exprs.push_back(parse_expression());
  }
  return stmt;
}

std::unique_ptr<Stmt> Parser::parse_loop_control(StmtKind kind, int line) {
  if (loops_ == 0) error("'break' and 'continue' belong inside a for loop");
  auto stmt = std::make_unique<Stmt>();
  stmt->kind = kind;
  stmt->line = line;
  return stmt;
}

Target Parser::parse_single_target(bool with_attribute) {
  if (skip_op("(")) {
    const Nested nested(*this);
    Target target = parse_target(with_attribute);
    expect_op(")");
    return target;
  }
  Target target;
  const std::string name = expect_name();
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) error(fmt::format("cannot assign to '{}'", name));
  }
  target.symbol = symbol(name);
  if (with_attribute && skip_op(".")) target.attribute = expect_name();
  return target;
}

Target Parser::parse_target(bool with_attribute, bool allow_tuple) {
  Target first = parse_single_target(with_attribute);
  if (!allow_tuple || !peek().is_op(",")) return first;
  Target tuple;
  tuple.parts.push_back(std::move(first));
  while (skip_op(",")) {
    if (!peek().is(TokenType::name) && !peek().is_op("(")) break;
    if (peek().is_name("in")) break;
    tuple.parts.push_back(parse_single_target(with_attribute));
  }
  return tuple;
}

}  // namespace qwen3::jinja
