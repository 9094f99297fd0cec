#include "grammar/free_text.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

// Aho and Corasick 1975: a state for every beginning of a trigger, the longest that the text ends with.
class TriggerStates {
 public:
  explicit TriggerStates(const std::vector<std::string>& triggers) {
    states_.emplace_back();
    for (size_t i = 0; i < triggers.size(); ++i) add(triggers[i], i);
    link();
  }

  // -1: no trigger ends there; the first of them in the list else.
  TextDfa make(int64_t accepted) const {
    std::vector<TextDfa::State> dfa(states_.size());
    for (size_t i = 0; i < states_.size(); ++i) {
      dfa[i].accepts = states_[i].trigger == accepted;
      if (states_[i].trigger >= 0) continue;
      char32_t next = 0;
      for (const auto& [c, to] : states_[i].to) {
        if (c > next) dfa[i].edges.push_back({next, c - 1, 0});
        dfa[i].edges.push_back({c, c, to});
        next = c + 1;
      }
      dfa[i].edges.push_back({next, 0x10FFFF, 0});
    }
    return TextDfa(std::move(dfa));
  }

 private:
  struct State {
    std::map<char32_t, int32_t> to;  // others lead to the first state
    int32_t shorter = 0;             // the longest other beginning that the text ends with
    int64_t trigger = -1;
  };

  State& at(int32_t id) { return states_[static_cast<size_t>(id)]; }

  void add(const std::string& trigger, size_t index) {
    QWEN3_CHECK(!trigger.empty() && utf8_valid(trigger),
                ErrorKind::invalid_argument,
                "a trigger: expected UTF-8 that is not empty");
    int32_t state = 0;
    for (size_t pos = 0; pos < trigger.size();) {
      const char32_t c = utf8_decode(trigger, pos);
      const auto [entry, is_new] =
          at(state).to.try_emplace(c, static_cast<int32_t>(states_.size()));
      const int32_t next = entry->second;
      if (is_new) {
        if (std::ssize(states_) >= kMaxDfaStates) {
          throw GrammarError(GrammarFault::too_complex, "", "the triggers are too long together");
        }
        states_.emplace_back();
      }
      state = next;
    }
    if (at(state).trigger < 0) at(state).trigger = static_cast<int64_t>(index);
  }

  void link() {
    std::vector<int32_t> order{0};  // by length
    for (size_t i = 0; i < order.size(); ++i) {
      const int32_t state = order[i];
      for (const auto& [c, to] : at(state).to) {
        order.push_back(to);
        if (state == 0) continue;
        const auto& shorter = at(at(state).shorter).to;
        const auto found = shorter.find(c);
        at(to).shorter = found == shorter.end() ? 0 : found->second;
      }
      if (state == 0) continue;
      const State& shorter = at(at(state).shorter);
      if (at(state).trigger < 0) at(state).trigger = shorter.trigger;
      at(state).to.insert(shorter.to.begin(), shorter.to.end());  // keeps its own
    }
  }

  std::vector<State> states_;
};

}  // namespace

TextDfa text_until(const std::vector<std::string>& triggers, size_t which) {
  return TriggerStates(triggers).make(static_cast<int64_t>(which));
}

TextDfa text_without(const std::vector<std::string>& triggers) {
  return TriggerStates(triggers).make(-1);
}

}  // namespace qwen3
