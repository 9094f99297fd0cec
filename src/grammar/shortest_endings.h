// ShortestEndings: in how many bytes an answer can be whole, from where it stands. Every byte is a token, so what is
// to be whole within a number of tokens stays where its ending still fits.
//
// It may be more than the least, but not less, and some byte or added token always leads to where it is smaller.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "grammar/item_sets.h"
#include "grammar/used_keys.h"

namespace qwen3 {

class Grammar;
class ByteDfa;
struct Node;

class ShortestEndings {
 public:
  static constexpr int64_t kNever = int64_t{1} << 30;  // more bytes than any answer has

  // `grammar` must outlive it.
  explicit ShortestEndings(const Grammar& grammar);

  // To the end of the item's rule.
  int64_t of(const Item& item, const UsedKeys& keys) const;
  // The same behind any plain text that the item takes (Configurations::plain_room), at most.
  int64_t behind_plain(const Item& item, const UsedKeys& keys) const;

 private:
  struct Text {
    std::vector<int32_t> to_end;  // by state
    int32_t farthest = 0;         // of the states between code points
    int32_t code_point = 1;       // bytes that one takes, at most, where they are counted
  };
  struct Kind {
    Text key;
    std::vector<int64_t> n_up_to;  // keys of at most so many bytes; the last: of any number
  };
  using Object = std::vector<Kind>;

  static Text text_of(const ByteDfa& dfa);
  void find_nodes();
  std::vector<std::vector<int32_t>> users() const;
  int64_t of_node(int32_t id) const;
  int64_t of_rule(int32_t rule) const;
  int64_t of_rounds(const Node& node, int64_t n_before) const;
  int64_t of_text(int32_t index, int32_t state, int64_t length) const;
  int64_t of_key(const Item& item, const UsedKeys& keys) const;
  int64_t behind_key(const Item& item, const UsedKeys& keys) const;
  int64_t of_member(int32_t index, int64_t n_used) const;
  int64_t of_more_members(int32_t index, int64_t n_used) const;
  int64_t of_members(int32_t index, int64_t from, int64_t to) const;
  int64_t n_members_up_to(int32_t index, int64_t bytes) const;
  int64_t behind_members(const Node& node) const;

  const Grammar& grammar_;
  std::vector<Text> texts_;
  std::vector<Object> objects_;
  std::vector<int32_t> nodes_;  // from each to the end of its rule
};

// Of a grammar, worked out for the first answer that asks. Any thread.
class EndingsOfGrammar {
 public:
  const ShortestEndings& get(const Grammar& grammar);

 private:
  std::once_flag once_;
  std::unique_ptr<const ShortestEndings> endings_;
};

}  // namespace qwen3
