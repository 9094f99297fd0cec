// Recursive descent over the tokens, with Jinja's precedence (lowest first):
//   a if b else c | or | and | not | comparisons, in | + - | ~ | * / // % | ** | unary |
//   postfix .x [x] (x) | filters and tests
// Statements are parsed in parser_statements.cpp.
#include "chat/jinja/parser.h"

#include <algorithm>

#include "chat/jinja/functions.h"
#include "chat/jinja/parser_impl.h"

namespace qwen3::jinja {

Parser::Parser(std::string_view source, std::string_view where) : where_(where) {
  if (source.size() > kMaxTemplateBytes) {
    fail(ErrorKind::unsupported, "{}: template longer than {} bytes", where, kMaxTemplateBytes);
  }
  if (!utf8_valid(source)) {
    fail(ErrorKind::corrupt_file,
         "{}: the template is not valid UTF-8 at byte {}",
         where,
         utf8_first_invalid(source));
  }
  program_ = std::make_shared<Program>();
  program_->where = utf8_lossy(where);
  program_->source = source;
  program_->loop = symbol("loop");
  program_->caller = symbol("caller");
  program_->varargs = symbol("varargs");
  program_->kwargs = symbol("kwargs");
  set_ = {program_->loop, program_->caller, program_->varargs, program_->kwargs};
  tokens_ = tokenize(source, where_);
}

int Parser::symbol(const std::string& name) {
  const auto [at, is_new] = symbols_.try_emplace(name, static_cast<int>(program_->names.size()));
  if (is_new) program_->names.push_back(name);
  return at->second;
}

void Parser::error(const std::string& what) const { syntax_error(where_, peek().line, what); }

void Parser::unsupported(const std::string& what) const {
  throw Error(ErrorKind::unsupported,
              utf8_lossy(fmt::format("{}: line {}: {}", where_, peek().line, what)));
}

Token Parser::take() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::skip_op(std::string_view op) {
  if (!peek().is_op(op)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!peek().is_name(name)) return false;
  take();
  return true;
}

std::string Parser::describe(const Token& token) {
  switch (token.type) {
    case TokenType::data:
      return "template text";
    case TokenType::variable_begin:
      return "'{{'";
    case TokenType::variable_end:
      return "'}}'";
    case TokenType::block_begin:
      return "'{%'";
    case TokenType::block_end:
      return "'%}'";
    case TokenType::string:
      return "a string";
    case TokenType::integer:
    case TokenType::floating:
      return "a number";
    case TokenType::end:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) error(fmt::format("expected '{}', got {}", op, describe(peek())));
}

std::string Parser::expect_name() {
  if (!peek().is(TokenType::name)) error("expected a name, got " + describe(peek()));
  return take().text;
}

void Parser::expect(TokenType type, std::string_view what) {
  if (!peek().is(type)) error(fmt::format("expected {}, got {}", what, describe(peek())));
  take();
}

std::unique_ptr<Expr> Parser::make(ExprKind kind, int line) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

// Notes the depth; every finished node passes through here.
ExprPtr Parser::done(std::unique_ptr<Expr> expr) {
  int depth = 0;
  const auto look = [&](const ExprPtr& part) {
    if (part) depth = std::max(depth, part->depth);
  };
  for (const ExprPtr& part : expr->parts) look(part);
  for (const auto& keyword : expr->keywords) look(keyword.second);
  look(expr->star_args);
  look(expr->star_kwargs);
  expr->depth = depth + 1;
  if (expr->depth > kMaxSyntaxDepth) {
    unsupported(fmt::format("expression nested deeper than {}", kMaxSyntaxDepth));
  }
  return expr;
}

ExprPtr Parser::parse_expression(bool with_condition) {
  const Nested nested(*this);
  ExprPtr expr = parse_or();
  while (with_condition && peek().is_name("if")) {
    auto node = make(ExprKind::condition, take().line);
    ExprPtr test = parse_or();
    ExprPtr otherwise = skip_name("else") ? parse_expression() : nullptr;
    node->parts.push_back(std::move(expr));
    node->parts.push_back(std::move(test));
    node->parts.push_back(std::move(otherwise));
    expr = done(std::move(node));
  }
  return expr;
}

ExprPtr Parser::parse_logical(ExprKind kind, std::string_view word) {
  const auto operand = [&] { return kind == ExprKind::any_of ? parse_and() : parse_not(); };
  ExprPtr first = operand();
  if (!peek().is_name(word)) return first;
  auto node = make(kind, first->line);
  node->parts.push_back(std::move(first));
  while (skip_name(word)) node->parts.push_back(operand());
  return done(std::move(node));
}

ExprPtr Parser::parse_or() { return parse_logical(ExprKind::any_of, "or"); }
ExprPtr Parser::parse_and() { return parse_logical(ExprKind::all_of, "and"); }

ExprPtr Parser::parse_not() {
  if (!peek().is_name("not")) return parse_compare();
  const Nested nested(*this);
  auto node = make(ExprKind::logical_not, take().line);
  node->parts.push_back(parse_not());
  return done(std::move(node));
}

template <size_t N>
std::optional<Operator> Parser::take_operator(
    const std::pair<std::string_view, Operator> (&operators)[N]) {
  for (const auto& [spelling, op] : operators) {
    if (!peek().is_op(spelling)) continue;
    take();
    return op;
  }
  return std::nullopt;
}

std::optional<Operator> Parser::take_comparison() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {{"==", Operator::eq},
                                                                         {"!=", Operator::ne},
                                                                         {"<", Operator::lt},
                                                                         {"<=", Operator::le},
                                                                         {">", Operator::gt},
                                                                         {">=", Operator::ge}};
  if (skip_name("in")) return Operator::in;
  if (peek().is_name("not") && peek(1).is_name("in")) {
    take();
    take();
    return Operator::not_in;
  }
  return take_operator(kOperators);
}

ExprPtr Parser::parse_compare() {
  ExprPtr first = parse_sum();
  std::optional<Operator> op = take_comparison();
  if (!op) return first;
  auto node = make(ExprKind::compare, first->line);
  node->parts.push_back(std::move(first));
  for (; op; op = take_comparison()) {
    node->operators.push_back(*op);
    node->parts.push_back(parse_sum());
  }
  return done(std::move(node));
}

// One level of left-associative binary operators, as one flat node.
template <size_t N>
ExprPtr Parser::parse_chain(const std::pair<std::string_view, Operator> (&operators)[N],
                            ExprPtr (Parser::*operand)()) {
  ExprPtr first = (this->*operand)();
  std::optional<Operator> op = take_operator(operators);
  if (!op) return first;
  auto node = make(ExprKind::arithmetic, first->line);
  node->parts.push_back(std::move(first));
  for (; op; op = take_operator(operators)) {
    node->operators.push_back(*op);
    node->parts.push_back((this->*operand)());
  }
  return done(std::move(node));
}

ExprPtr Parser::parse_sum() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {{"+", Operator::add},
                                                                         {"-", Operator::sub}};
  return parse_chain(kOperators, &Parser::parse_concat);
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!peek().is_op("~")) return first;
  auto node = make(ExprKind::concat, first->line);
  node->parts.push_back(std::move(first));
  while (skip_op("~")) node->parts.push_back(parse_product());
  return done(std::move(node));
}

ExprPtr Parser::parse_product() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"*", Operator::mul}, {"/", Operator::div}, {"//", Operator::floordiv}, {"%", Operator::mod}};
  return parse_chain(kOperators, &Parser::parse_power);
}

ExprPtr Parser::parse_power() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {{"**", Operator::pow}};
  return parse_chain(kOperators, &Parser::parse_operand);
}

ExprPtr Parser::parse_operand() { return parse_unary(true); }

ExprPtr Parser::parse_unary(bool with_filters) {
  ExprPtr expr;
  if (peek().is_op("-") || peek().is_op("+")) {
    const Nested nested(*this);
    const Token sign = take();
    auto node = make(sign.text == "-" ? ExprKind::minus : ExprKind::plus, sign.line);
    node->parts.push_back(parse_unary(false));
    expr = done(std::move(node));
  } else {
    expr = parse_primary();
  }
  expr = parse_postfix(std::move(expr));
  return with_filters ? parse_filters_and_tests(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::parse_primary() {
  const Token token = take();
  auto node = make(ExprKind::constant, token.line);
  switch (token.type) {
    case TokenType::name:
      return parse_name(token);
    case TokenType::string: {
      std::string text = token.text;
      while (peek().is(TokenType::string)) text += take().text;
      node->value = Value(Text(std::move(text), true));
      return done(std::move(node));
    }
    case TokenType::integer:
      node->value = Value(token.integer);
      return done(std::move(node));
    case TokenType::floating:
      node->value = Value(token.floating);
      return done(std::move(node));
    case TokenType::op:
      if (token.text == "(") {
        ExprPtr inner = parse_tuple(true, true);
        expect_op(")");
        return inner;
      }
      if (token.text == "[") return parse_list(token.line);
      if (token.text == "{") return parse_dict(token.line);
      [[fallthrough]];
    default:
      syntax_error(where_, token.line, "unexpected " + describe(token));
  }
}

ExprPtr Parser::parse_name(const Token& token) {
  auto node = make(ExprKind::constant, token.line);
  const std::string& name = token.text;
  if (name == "true" || name == "True")
    node->value = Value(true);
  else if (name == "false" || name == "False")
    node->value = Value(false);
  else if (name != "none" && name != "None") {
    node->kind = ExprKind::name;
    node->symbol = symbol(name);
    if (!set_.contains(node->symbol)) program_->reads.insert(name);
    node->text = Text(name, true);
    for (Signature* macro : macros_) {
      macro->uses_caller |= name == "caller";
      macro->uses_varargs |= name == "varargs";
      macro->uses_kwargs |= name == "kwargs";
    }
  }
  return done(std::move(node));
}

ExprPtr Parser::parse_tuple(bool with_condition, bool in_parentheses) {
  const auto at_end = [&] {
    return peek().is(TokenType::variable_end) || peek().is(TokenType::block_end) ||
           peek().is_op(")") || (!with_condition && peek().is_name("recursive"));
  };
  const int line = peek().line;
  std::vector<ExprPtr> parts;
  bool is_tuple = false;
  while (!at_end()) {
    parts.push_back(parse_expression(with_condition));
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !parts.empty()) return std::move(parts[0]);
  if (!is_tuple && !in_parentheses) error("expected an expression, got " + describe(peek()));
  auto node = make(ExprKind::tuple, line);
  node->parts = std::move(parts);
  return done(std::move(node));
}

ExprPtr Parser::parse_list(int line) {
  auto node = make(ExprKind::list, line);
  while (!peek().is_op("]")) {
    node->parts.push_back(parse_expression());
    if (!skip_op(",")) break;
  }
  expect_op("]");
  return done(std::move(node));
}

ExprPtr Parser::parse_dict(int line) {
  auto node = make(ExprKind::dict, line);
  while (!peek().is_op("}")) {
    node->parts.push_back(parse_expression());
    expect_op(":");
    node->parts.push_back(parse_expression());
    if (!skip_op(",")) break;
  }
  expect_op("}");
  return done(std::move(node));
}

ExprPtr Parser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (peek().is_op("."))
      expr = parse_attribute(std::move(expr));
    else if (peek().is_op("["))
      expr = parse_subscript(std::move(expr));
    else if (peek().is_op("("))
      expr = parse_call(std::move(expr));
    else
      return expr;
  }
}

ExprPtr Parser::parse_attribute(ExprPtr object) {
  const int line = take().line;
  const Token name = take();
  const bool is_index = name.is(TokenType::integer);
  if (!is_index && !name.is(TokenType::name)) error("expected a name or number after '.'");
  auto node = make(is_index ? ExprKind::item : ExprKind::attribute, line);
  node->text = Text(name.text, true);
  node->parts.push_back(std::move(object));
  if (is_index) {
    auto index = make(ExprKind::constant, line);
    index->value = Value(name.integer);
    node->parts.push_back(done(std::move(index)));
  }
  return done(std::move(node));
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  auto node = make(ExprKind::item, take().line);
  node->parts.push_back(std::move(object));
  const auto bound = [&]() -> ExprPtr {
    return peek().is_op(":") || peek().is_op("]") ? nullptr : parse_expression();
  };
  node->parts.push_back(bound());
  if (peek().is_op(":")) {
    node->kind = ExprKind::slice;
    take();
    node->parts.push_back(bound());
    node->parts.push_back(skip_op(":") ? bound() : nullptr);
  } else if (!node->parts[1]) {
    error("expected an index between '[' and ']'");
  }
  if (peek().is_op(",")) unsupported("subscripts of several parts are not supported");
  expect_op("]");
  return done(std::move(node));
}

void Parser::parse_arguments(Expr& node) {
  expect_op("(");
  const auto ensure = [&](bool ok) {
    if (!ok) error("invalid order of arguments in a call");
  };
  while (!peek().is_op(")")) {
    if (skip_op("*")) {
      ensure(!node.star_args && !node.star_kwargs);
      node.star_args = parse_expression();
    } else if (skip_op("**")) {
      ensure(!node.star_kwargs);
      node.star_kwargs = parse_expression();
    } else if (peek().is(TokenType::name) && peek(1).is_op("=")) {
      ensure(!node.star_kwargs);
      std::string name = take().text;
      take();
      for (const auto& keyword : node.keywords) ensure(keyword.first != name);
      node.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(!node.star_args && !node.star_kwargs && node.keywords.empty());
      node.parts.push_back(parse_expression());
    }
    if (!skip_op(",")) break;
  }
  expect_op(")");
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  auto node = make(ExprKind::call, peek().line);
  node->parts.push_back(std::move(callee));
  parse_arguments(*node);
  return done(std::move(node));
}

ExprPtr Parser::parse_filter(ExprPtr input) {
  auto node = make(ExprKind::filter, peek().line);
  const std::string name = expect_name();
  node->text = Text(name, true);
  node->filter = find_filter(name);
  node->parts.push_back(std::move(input));
  if (peek().is_op("(")) parse_arguments(*node);
  return done(std::move(node));
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr expr) {
  while (true) {
    if (skip_op("|"))
      expr = parse_filter(std::move(expr));
    else if (peek().is_name("is"))
      expr = parse_test(std::move(expr));
    else if (peek().is_op("("))
      expr = parse_call(std::move(expr));
    else
      return expr;
  }
}

ExprPtr Parser::parse_test(ExprPtr input) {
  auto node = make(ExprKind::test, take().line);
  const int line = node->line;
  const bool negated = skip_name("not");
  const std::string name = expect_name();
  node->text = Text(name, true);
  node->test = find_test(name);
  node->parts.push_back(std::move(input));
  const Token& next = peek();
  if (next.is_op("(")) {
    parse_arguments(*node);
  } else if (next.is_name("is")) {
    error("tests cannot be chained with 'is'");
  } else if ((next.is(TokenType::name) && next.text != "else" && next.text != "or" &&
              next.text != "and") ||
             next.is(TokenType::string) || next.is(TokenType::integer) ||
             next.is(TokenType::floating) || next.is_op("[") || next.is_op("{")) {
    const Nested nested(*this);
    node->parts.push_back(parse_postfix(parse_primary()));
  }
  ExprPtr test = done(std::move(node));
  if (!negated) return test;
  auto inverted = make(ExprKind::logical_not, line);
  inverted->parts.push_back(std::move(test));
  return done(std::move(inverted));
}

std::shared_ptr<const Program> parse_template(std::string_view source, std::string_view where) {
  return Parser(source, where).parse();
}

}  // namespace qwen3::jinja
