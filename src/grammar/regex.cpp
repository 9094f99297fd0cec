#include "grammar/regex.h"

#include <string>

#include "grammar/limits.h"
#include "grammar/regex_tree.h"

namespace qwen3 {
namespace {

// Thompson's construction. The depth of the tree is bounded by kMaxRegexDepth.
class Construction {
 public:
  explicit Construction(const RegexTree& tree) : tree_(tree) {}

  Nfa run(RegexMatch match) {
    const int32_t begin = nfa_.add_state();
    int32_t from = begin;
    if (match == RegexMatch::search) {
      // Apart from the first state, which alone stands where the text begins.
      from = nfa_.add_state();
      const int32_t skipped = nfa_.add_state();
      const int32_t any = nfa_.add_set(CodePoints::all());
      nfa_.add_free(begin, from);
      nfa_.add_step(begin, any, skipped);
      nfa_.add_step(skipped, any, skipped);
      nfa_.add_free(skipped, from);
    }
    const int32_t end = add(tree_.root, from);
    if (match == RegexMatch::search) {
      const int32_t rest = nfa_.add_state();
      nfa_.add_free(end, rest);
      nfa_.add_step(rest, nfa_.add_set(CodePoints::all()), rest);
      nfa_.accept(rest);
    } else {
      nfa_.accept(end);
    }
    return std::move(nfa_);
  }

 private:
  // Adds the texts of `node` behind the state `from`; the state behind them. Nothing leads back to `from`.
  int32_t add(int32_t node_id, int32_t from) {
    const RegexNode& node = tree_.nodes[static_cast<size_t>(node_id)];
    switch (node.kind) {
      case RegexNode::Kind::empty:
        return from;
      case RegexNode::Kind::set: {
        const int32_t to = nfa_.add_state();
        nfa_.add_step(from, nfa_.add_set(node.set), to);
        return to;
      }
      case RegexNode::Kind::sequence:
        for (const int32_t part : node.parts) from = add(part, from);
        return from;
      case RegexNode::Kind::choice: {
        const int32_t to = nfa_.add_state();
        for (const int32_t part : node.parts) {
          const int32_t way = nfa_.add_state();
          nfa_.add_free(from, way);
          nfa_.add_free(add(part, way), to);
        }
        return to;
      }
      case RegexNode::Kind::repeat:
        return add_repeat(node, from);
      case RegexNode::Kind::at_begin:
      case RegexNode::Kind::at_end: {
        const int32_t to = nfa_.add_state();
        nfa_.add_free(
            from,
            to,
            node.kind == RegexNode::Kind::at_begin ? Nfa::When::at_begin : Nfa::When::at_end);
        return to;
      }
    }
    return from;
  }

  int32_t add_repeat(const RegexNode& node, int32_t from) {
    for (int64_t i = 0; i < node.min; ++i) from = add_copy(node.parts[0], from);
    if (node.max < 0) {
      const int32_t loop = nfa_.add_state();
      nfa_.add_free(from, loop);
      const int32_t body = nfa_.add_state();
      nfa_.add_free(loop, body);
      nfa_.add_free(add(node.parts[0], body), loop);
      const int32_t end = nfa_.add_state();
      nfa_.add_free(loop, end);
      return end;
    }
    const int32_t end = nfa_.add_state();
    for (int64_t i = node.min; i < node.max; ++i) {
      nfa_.add_free(from, end);
      from = add_copy(node.parts[0], from);
    }
    nfa_.add_free(from, end);
    return end;
  }

  // A state for each copy, so that copies of nothing count too.
  int32_t add_copy(int32_t node, int32_t from) {
    const int32_t copy = nfa_.add_state();
    nfa_.add_free(from, copy);
    return add(node, copy);
  }

  const RegexTree& tree_;
  Nfa nfa_;
};

TextDfa determinize(std::string_view regex, RegexMatch match, std::string_view place) {
  try {
    return regex_nfa(regex, match, place).determinize();
  } catch (const GrammarError& e) {
    if (e.fault() != GrammarFault::too_complex || !e.place().empty()) throw;
    throw GrammarError(GrammarFault::too_complex, std::string(place), e.what());
  }
}

}  // namespace

Nfa tree_nfa(const RegexTree& tree, RegexMatch match) { return Construction(tree).run(match); }

Nfa regex_nfa(std::string_view regex, RegexMatch match, std::string_view place) {
  return tree_nfa(parse_regex(regex, place), match);
}

TextDfa TextDfa::full_match(std::string_view regex, std::string_view place) {
  return determinize(regex, RegexMatch::whole, place);
}

TextDfa TextDfa::search(std::string_view regex, std::string_view place) {
  return determinize(regex, RegexMatch::search, place);
}

}  // namespace qwen3
