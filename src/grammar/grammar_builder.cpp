#include "grammar/grammar_builder.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/code_points.h"
#include "grammar/expressions.h"
#include "grammar/free_text.h"
#include "grammar/limits.h"

namespace qwen3 {

struct GrammarBuilder::Impl {
  explicit Impl(const GrammarBudget& budget) : spending(budget) {}

  Spending spending;
  Expressions expressions;
  const std::function<void(int64_t)> spend = [this](int64_t bytes) { spending.spend(bytes); };

  Expr add(Expression e) {
    for (const int32_t part : e.parts) {
      QWEN3_CHECK(part >= 0 && part < std::ssize(expressions.all),
                  ErrorKind::internal,
                  "an expression of another grammar");
      ++expressions.at(part).n_uses;
      e.depth = std::max(e.depth, expressions.at(part).depth + 1);
    }
    if (e.depth > kMaxExprDepth) {
      throw GrammarError(GrammarFault::too_complex, "", "too deeply nested");
    }
    spending.spend(static_cast<int64_t>(sizeof(Expression)) + std::ssize(e.parts) * 4 +
                   std::ssize(e.literal));
    expressions.all.push_back(std::move(e));
    return Expr{static_cast<int32_t>(expressions.all.size()) - 1};
  }

  Expr add(Expression::Kind kind) {
    Expression e;
    e.kind = kind;
    return add(std::move(e));
  }

  Expr add(Expression::Kind kind, const std::vector<Expr>& parts) {
    Expression e;
    e.kind = kind;
    for (const Expr part : parts) e.parts.push_back(static_cast<int32_t>(part));
    return add(std::move(e));
  }
};

GrammarBuilder::GrammarBuilder(const GrammarBudget& budget)
    : impl_(std::make_unique<Impl>(budget)) {}
GrammarBuilder::~GrammarBuilder() = default;

auto GrammarBuilder::nothing() -> Expr { return impl_->add(Expression::Kind::nothing); }
auto GrammarBuilder::empty() -> Expr { return impl_->add(Expression::Kind::empty); }

auto GrammarBuilder::bytes(std::string_view literal) -> Expr {
  if (literal.empty()) return empty();
  Expression e;
  e.kind = Expression::Kind::literal;
  e.literal = literal;
  return impl_->add(std::move(e));
}

auto GrammarBuilder::byte_range(uint8_t first, uint8_t last) -> Expr {
  Expression e;
  e.kind = Expression::Kind::byte_set;
  for (size_t byte = first; byte <= last; ++byte) e.byte_set.set(byte);
  return first > last ? nothing() : impl_->add(std::move(e));
}

auto GrammarBuilder::code_points(const std::vector<TextDfa::Edge>& ranges) -> Expr {
  std::vector<CodePoints::Range> set;
  for (const auto& range : ranges) set.push_back({range.first, range.last});
  std::vector<TextDfa::State> states(2);
  for (const auto& range : CodePoints(std::move(set)).ranges()) {
    states[0].edges.push_back({range.first, range.last, 1});
  }
  states[1].accepts = true;
  return text(TextDfa(std::move(states)), TextForm::raw);
}

auto GrammarBuilder::sequence(std::vector<Expr> parts) -> Expr {
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts[0];
  return impl_->add(Expression::Kind::sequence, parts);
}

auto GrammarBuilder::choice(std::vector<Expr> ways) -> Expr {
  if (ways.empty()) return nothing();
  if (ways.size() == 1) return ways[0];
  return impl_->add(Expression::Kind::choice, ways);
}

auto GrammarBuilder::repeat(Expr what, int64_t min, int64_t max) -> Expr {
  if (min > kMaxRepeat || max > kMaxRepeat) {
    throw GrammarError(GrammarFault::too_complex, "", "a repetition beyond 2^20");
  }
  QWEN3_CHECK(min >= 0, ErrorKind::internal, "a repetition of {} and more", min);
  if (max >= 0 && min > max) return nothing();
  Expression e;
  e.kind = Expression::Kind::repeat;
  e.parts = {static_cast<int32_t>(what)};
  e.min = min;
  e.max = max;
  return impl_->add(std::move(e));
}

auto GrammarBuilder::token(int32_t id) -> Expr {
  Expression e;
  e.kind = Expression::Kind::token;
  e.index = id;
  return impl_->add(std::move(e));
}

auto GrammarBuilder::text(TextDfa set, TextForm form, int64_t min_length, int64_t max_length)
    -> Expr {
  QWEN3_CHECK(
      min_length >= 0, ErrorKind::internal, "a text of {} code points and more", min_length);
  if (set.empty() || (max_length >= 0 && min_length > max_length)) return nothing();
  const bool universal = set.universal();
  if (universal) set = TextDfa::all();
  const ByteForm byte_form = form == TextForm::raw ? ByteForm::raw
                             : universal           ? ByteForm::json_any
                                                   : ByteForm::json;
  NetworkText text{ByteDfa(set, byte_form, impl_->spend), std::nullopt, -1, universal};
  if (min_length > 0 || max_length >= 0) {
    if (min_length > kMaxRepeat || max_length > kMaxRepeat) {
      throw GrammarError(GrammarFault::too_complex, "", "a length beyond 2^20");
    }
    text.lengths.emplace(set, min_length, max_length);
    if (!text.lengths->can_end(0, 0)) return nothing();
    impl_->spend(text.lengths->bytes());
    text.max_length = max_length;
  }
  if (!text.can_go_on(0, 0)) return empty();
  impl_->spend(text.dfa.bytes());
  impl_->expressions.grammar.texts.push_back(std::move(text));
  Expression e;
  e.kind = Expression::Kind::text;
  e.index = static_cast<int32_t>(impl_->expressions.grammar.texts.size()) - 1;
  return impl_->add(std::move(e));
}

auto GrammarBuilder::members(
    std::vector<Member> kinds, Expr colon, Expr comma, int64_t min, int64_t max) -> Expr {
  QWEN3_CHECK(min >= 0, ErrorKind::internal, "an object of {} members and more", min);
  if (max >= 0 && min > max) return nothing();
  NetworkMembers object;
  Expression e;
  e.kind = Expression::Kind::members;
  e.parts = {static_cast<int32_t>(colon), static_cast<int32_t>(comma)};
  e.min = min;
  e.max = max;
  for (Member& member : kinds) {
    if (member.key.empty()) continue;
    const bool universal = member.key.universal();
    ByteDfa key(universal ? TextDfa::all() : member.key, ByteForm::json_key, impl_->spend);
    std::vector<int64_t> n_keys = count_texts(key);
    impl_->spend(key.bytes() + std::ssize(n_keys) * 8);
    object.kinds.push_back({std::move(key), std::move(n_keys), 0, 0, 0});
    e.parts.push_back(static_cast<int32_t>(member.value));
  }
  e.index = static_cast<int32_t>(impl_->expressions.grammar.members.size());
  impl_->expressions.grammar.members.push_back(std::move(object));
  const Expr expr = impl_->add(std::move(e));
  // One network for every use: it is always called as a rule.
  impl_->expressions.at(static_cast<int32_t>(expr)).n_uses += 2;
  return expr;
}

auto GrammarBuilder::free_text_until(const std::vector<std::string>& triggers)
    -> std::vector<Expr> {
  std::vector<Expr> texts;
  for (size_t i = 0; i < triggers.size(); ++i) {
    texts.push_back(text(text_until(triggers, i), TextForm::raw));
  }
  return texts;
}

auto GrammarBuilder::free_text_without(const std::vector<std::string>& triggers) -> Expr {
  return text(text_without(triggers), TextForm::raw);
}

auto GrammarBuilder::declare() -> Rule {
  spend(64);
  impl_->expressions.bodies.push_back(-1);
  return Rule{static_cast<int32_t>(impl_->expressions.bodies.size()) - 1};
}

void GrammarBuilder::define(Rule rule, Expr body) {
  auto& bodies = impl_->expressions.bodies;
  const auto index = static_cast<int32_t>(rule);
  QWEN3_CHECK(index >= 0 && index < std::ssize(bodies) && bodies[static_cast<size_t>(index)] < 0,
              ErrorKind::internal,
              "a rule of another grammar, or one that is defined twice");
  bodies[static_cast<size_t>(index)] = static_cast<int32_t>(body);
  ++impl_->expressions.at(static_cast<int32_t>(body)).n_uses;
}

auto GrammarBuilder::call(Rule rule) -> Expr {
  Expression e;
  e.kind = Expression::Kind::call;
  e.index = static_cast<int32_t>(rule);
  return impl_->add(std::move(e));
}

void GrammarBuilder::spend(int64_t bytes) { impl_->spending.spend(bytes); }

GrammarPtr GrammarBuilder::build(Expr root) {
  for (const int32_t body : impl_->expressions.bodies) {
    QWEN3_CHECK(body >= 0, ErrorKind::internal, "a rule that is declared and not defined");
  }
  ++impl_->expressions.at(static_cast<int32_t>(root)).n_uses;
  analyze(impl_->expressions, impl_->spending);
  if (!impl_->expressions.at(static_cast<int32_t>(root)).productive) {
    throw GrammarError(GrammarFault::unsatisfiable_schema, "", "no answer can satisfy it");
  }
  return compile_network(impl_->expressions, static_cast<int32_t>(root), impl_->spending);
}

}  // namespace qwen3
