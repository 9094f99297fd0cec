#include "grammar/expressions.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/time_slice.h"

namespace qwen3 {
namespace {

class Analysis {
 public:
  Analysis(Expressions& expressions, Spending& spending)
      : expressions_(expressions), spending_(spending) {}

  // Parts stand before the whole, so that only calls make more than one pass necessary.
  void run() {
    fix([this](Expression& e) { return productive(e); }, &Expression::productive);
    for (Expression& e : expressions_.all) {
      if (e.kind == Expression::Kind::members) drop_dead_kinds(e);
    }
    fix([this](Expression& e) { return e.productive && nullable(e); }, &Expression::nullable);
  }

 private:
  template <typename Rule>
  void fix(Rule rule, bool Expression::*flag) {
    bool forward = true;
    for (bool changed = true; changed; forward = !forward) {
      changed = false;
      spending_.spend(0);
      for (size_t i = 0; i < expressions_.all.size(); ++i) {
        Expression& e = expressions_.all[forward ? i : expressions_.all.size() - 1 - i];
        if (e.*flag || !rule(e)) continue;
        e.*flag = true;
        changed = true;
      }
    }
  }

  bool is_productive(int32_t id) { return expressions_.at(id).productive; }
  bool is_nullable(int32_t id) { return expressions_.at(id).nullable; }
  int32_t body(const Expression& e) { return expressions_.bodies[static_cast<size_t>(e.index)]; }

  bool productive(const Expression& e) {
    switch (e.kind) {
      case Expression::Kind::nothing:
        return false;
      case Expression::Kind::sequence:
        return std::all_of(
            e.parts.begin(), e.parts.end(), [&](int32_t p) { return is_productive(p); });
      case Expression::Kind::choice:
        return std::any_of(
            e.parts.begin(), e.parts.end(), [&](int32_t p) { return is_productive(p); });
      case Expression::Kind::repeat:
        return e.min == 0 || is_productive(e.parts[0]);
      case Expression::Kind::members:
        return e.min == 0 || e.min <= most_members(e);
      case Expression::Kind::call:
        return is_productive(body(e));
      default:
        return true;
    }
  }

  bool nullable(const Expression& e) {
    switch (e.kind) {
      case Expression::Kind::empty:
        return true;
      case Expression::Kind::sequence:
        return std::all_of(
            e.parts.begin(), e.parts.end(), [&](int32_t p) { return is_nullable(p); });
      case Expression::Kind::choice:
        return std::any_of(
            e.parts.begin(), e.parts.end(), [&](int32_t p) { return is_nullable(p); });
      case Expression::Kind::repeat:
        return e.min == 0 || is_nullable(e.parts[0]);
      case Expression::Kind::text: {
        const NetworkText& text = expressions_.grammar.texts[static_cast<size_t>(e.index)];
        return text.dfa.accepts(0) && (!text.lengths || text.lengths->may_end_now(0));
      }
      case Expression::Kind::members:
        return e.min == 0;
      case Expression::Kind::call:
        return is_nullable(body(e));
      default:
        return false;
    }
  }

  // How many different members there can be.
  int64_t most_members(const Expression& e) {
    const NetworkMembers& object = expressions_.grammar.members[static_cast<size_t>(e.index)];
    int64_t sum = 0;
    for (size_t i = 0; i < object.kinds.size(); ++i) {
      if (is_productive(e.parts[i + 2])) sum += object.kinds[i].n_keys[0];
    }
    if (!is_productive(e.parts[0])) return 0;                         // no colon
    if (!is_productive(e.parts[1])) sum = std::min<int64_t>(sum, 1);  // no comma
    sum = std::min(sum, NetworkMembers::kUnlimited);
    return e.max < 0 ? sum : std::min(sum, e.max);
  }

  void drop_dead_kinds(Expression& e) {
    NetworkMembers& object = expressions_.grammar.members[static_cast<size_t>(e.index)];
    object.min = e.min;
    object.max = most_members(e);
    std::vector<NetworkMembers::Kind> kinds;
    std::vector<int32_t> parts{e.parts[0], e.parts[1]};
    for (size_t i = 0; i < object.kinds.size(); ++i) {
      if (!is_productive(e.parts[i + 2])) continue;
      kinds.push_back(std::move(object.kinds[i]));
      parts.push_back(e.parts[i + 2]);
    }
    object.kinds = std::move(kinds);
    e.parts = std::move(parts);
  }

  Expressions& expressions_;
  Spending& spending_;
};

}  // namespace

Spending::Spending(const GrammarBudget& budget) : budget_(budget), begin_(thread_time()) {}

void Spending::spend(int64_t bytes) {
  bytes_ += bytes;
  if (bytes_ > budget_.bytes) {
    throw GrammarError(GrammarFault::too_complex,
                       "",
                       fmt::format("takes more than {} MiB to compile", budget_.bytes >> 20));
  }
  // The clock is a call of the kernel; readers that call with 0 bytes do so seldom.
  if (bytes > 0 && ++n_calls_ % 16 != 0) return;
  TimeSlice::check();
  if (thread_time() - begin_ > budget_.time) {
    throw GrammarError(GrammarFault::too_complex,
                       "",
                       fmt::format("takes longer than {} ms to compile", budget_.time.count()));
  }
}

void analyze(Expressions& expressions, Spending& spending) {
  Analysis(expressions, spending).run();
}

}  // namespace qwen3
