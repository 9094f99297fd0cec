// Grammar: a recursive transition network over bytes. Immutable.
//
// An answer is followed through nodes; node 0 ends a rule (and, in the first rule, the answer). Every node can
// reach the end, so what is alive always has a next byte or token, or may end.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/byte_dfa.h"
#include "grammar/shared_masks.h"
#include "grammar/shortest_endings.h"
#include "grammar/text_lengths.h"

namespace qwen3 {

struct Node {
  enum class Kind : uint8_t {
    end,         // of the rule
    literal,     // arg, arg2: offset and length in `literals`
    bytes,       // arg: one byte of byte_sets
    split,       // arg, arg2: offset and length in `targets`; no `next`
    call,        // arg: rule
    repeat,      // arg: in `repeats`
    text,        // arg: in `texts`
    token,       // arg: id
    members,     // arg: in `members`; so for all below
    key_open,    // the quote before a key
    key,         // arg2: kind; the key and the quote behind it
    key_value,   // arg2: kind; behind the colon
    member_end,  // behind the value
  };
  Kind kind = Kind::end;
  int32_t next = 0;
  int32_t arg = 0;
  int32_t arg2 = 0;
  auto operator<=>(const Node&) const = default;
};

struct NetworkRule {
  int32_t entry = 0;
  bool nullable = false;  // matches the empty text
  int32_t rank = 0;  // of rules that can be called at one position, the caller has the lower one
};

struct NetworkRepeat {
  int32_t rule;  // never empty where min > 0
  int64_t min, max;
};

struct NetworkText {
  ByteDfa dfa;
  std::optional<TextLengths> lengths;
  int64_t max_length = -1;  // where the set is universal: plain code points fit up to here; else -1
  bool is_universal = false;

  // Whether a text can go on inside of the text behind this one, `length` code points lying before the one that is
  // begun in `state`.
  bool can_go_on(int32_t state, int64_t length) const;
};

struct NetworkMembers {
  static constexpr int64_t kUnlimited = int64_t{1} << 40;  // texts: as good as infinitely many

  struct Kind {
    ByteDfa key;
    std::vector<int64_t> n_keys;  // by state of `key`: texts that follow, at most kUnlimited
    int32_t value;                // rule
    int32_t key_node, value_node;
  };
  std::vector<Kind> kinds;
  int32_t colon = 0, comma = 0;  // rules
  int32_t open_node = 0, end_node = 0, next = 0;
  int64_t min = 0, max = 0;
};

class Grammar {
 public:
  std::vector<Node> nodes{Node{}};
  std::string literals;
  std::vector<std::bitset<256>> byte_sets;
  std::vector<int32_t> targets;
  std::vector<NetworkText> texts;
  std::vector<NetworkRepeat> repeats;
  std::vector<NetworkMembers> members;
  std::vector<NetworkRule> rules;  // the first is the answer

  // Bytes that every node treats alike.
  std::array<uint8_t, 256> byte_class{};
  int32_t n_classes = 1;

  // What an answer may begin with takes too long to work out: found once for all that are held to it.
  std::shared_ptr<std::atomic<bool>> start_is_too_complex =
      std::make_shared<std::atomic<bool>>(false);

  // Of its answers.
  std::shared_ptr<SharedMasksOfGrammar> shared_masks = std::make_shared<SharedMasksOfGrammar>();
  std::shared_ptr<EndingsOfGrammar> endings = std::make_shared<EndingsOfGrammar>();

  const Node& node(int32_t id) const { return nodes[static_cast<size_t>(id)]; }
  int64_t bytes() const;  // that it takes in memory
};

// How many texts follow from every state; at most NetworkMembers::kUnlimited.
std::vector<int64_t> count_texts(const ByteDfa& dfa);

// Fills byte_class.
void classify_bytes(Grammar& grammar);

// Fills the ranks. False: some rule can call itself where it begins.
bool rank_rules(Grammar& grammar);

}  // namespace qwen3
