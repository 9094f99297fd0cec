// The parser's class, shared by parser.cpp (expressions) and parser_statements.cpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/lexer.h"
#include "chat/jinja/syntax.h"

namespace qwen3::jinja {

class Parser {
 public:
  Parser(std::string_view source, std::string_view where);

  std::shared_ptr<const Program> parse();

 private:
  // One level of nesting while alive; input never drives recursion deeper than kMaxSyntaxDepth.
  struct Nested {
    explicit Nested(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxSyntaxDepth) {
        parser.unsupported(fmt::format("syntax nested deeper than {}", kMaxSyntaxDepth));
      }
    }
    ~Nested() { --parser.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    Parser& parser;
  };

  // Tokens.
  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token take();
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  std::string expect_name();
  void expect(TokenType type, std::string_view what);
  static std::string describe(const Token& token);
  [[noreturn]] void error(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what) const;
  int symbol(const std::string& name);

  // Expressions.
  static std::unique_ptr<Expr> make(ExprKind kind, int line);
  ExprPtr done(std::unique_ptr<Expr> expr);
  ExprPtr parse_expression(bool with_condition = true);
  ExprPtr parse_logical(ExprKind kind, std::string_view word);
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  template <size_t N>
  std::optional<Operator> take_operator(
      const std::pair<std::string_view, Operator> (&operators)[N]);
  std::optional<Operator> take_comparison();
  ExprPtr parse_compare();
  template <size_t N>
  ExprPtr parse_chain(const std::pair<std::string_view, Operator> (&operators)[N],
                      ExprPtr (Parser::*operand)());
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_operand();
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();
  ExprPtr parse_name(const Token& token);
  // `with_condition` false: `a if b` ends the expression before `if`, as in for and if tags.
  ExprPtr parse_tuple(bool with_condition, bool in_parentheses = false);
  ExprPtr parse_list(int line);
  ExprPtr parse_dict(int line);
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_attribute(ExprPtr object);
  ExprPtr parse_subscript(ExprPtr object);
  void parse_arguments(Expr& node);
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filter(ExprPtr input);
  ExprPtr parse_filters_and_tests(ExprPtr expr);
  ExprPtr parse_test(ExprPtr input);

  // Statements.
  using Ends = std::vector<std::string_view>;
  Block parse_block(const Ends& ends);
  Block parse_body(const Ends& ends);
  std::unique_ptr<Stmt> parse_statement();
  std::unique_ptr<Stmt> parse_if(int line);
  void note_set(const Target& target);
  std::unique_ptr<Stmt> parse_for(int line);
  std::unique_ptr<Stmt> parse_set(int line);
  std::unique_ptr<Stmt> parse_with(int line);
  std::unique_ptr<Stmt> parse_macro(int line);
  std::unique_ptr<Stmt> parse_call_block(int line);
  std::unique_ptr<Stmt> parse_filter_block(int line);
  std::unique_ptr<Stmt> parse_print(int line);
  std::unique_ptr<Stmt> parse_loop_control(StmtKind kind, int line);
  void parse_signature(Signature& signature);
  Target parse_target(bool with_attribute, bool allow_tuple = true);
  Target parse_single_target(bool with_attribute);
  Block parse_macro_body(Signature& signature, std::string_view end);

  std::string where_;
  std::shared_ptr<Program> program_;
  std::map<std::string, int> symbols_;
  std::set<int> set_;  // symbols that the template has set so far
  std::vector<Token> tokens_;
  std::vector<Signature*> macros_;  // being parsed, outermost first
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // enclosing for loops of the current macro
};

}  // namespace qwen3::jinja
