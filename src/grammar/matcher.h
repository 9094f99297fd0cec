// Matcher: the TokenConstraint of one answer under a Grammar.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grammar/configurations.h"
#include "grammar/grammar.h"
#include "grammar/token_trie_nodes.h"

namespace qwen3 {

struct MatcherOptions {
  bool slices = true;  // false: every mask is a walk of the whole tree, for tests
  bool cache = true;   // of masks
};

class Matcher final : public GrammarConstraint {
 public:
  Matcher(GrammarPtr grammar,
          std::shared_ptr<const TokenTrieNodes> trie,
          const MatcherOptions& options = {});
  ~Matcher() override;

  void accept(int32_t token_id) override;
  void rollback(int64_t n) override;
  Fill fill(std::span<uint64_t> allowed, int32_t& one) override;
  bool may_end() const override;
  bool exhausted() const override;
  int64_t bytes_to_end() override { return memory_->bytes_to_end(positions_.back().config); }
  void close_within(int64_t n_tokens) override { room_ = n_tokens; }

  // Tests: whether the token may come, by its bytes one after the other; and what masks have cost.
  bool allows(int32_t token_id);
  int64_t last_edges() const { return n_edges_; }  // of the trees, seen by the last fill
  int64_t memory() const { return memory_->bytes(); }

 private:
  // Where the answer stands behind a token.
  struct Position {
    int32_t token;
    int32_t config;
    int32_t generation;  // of the memory that `config` is of
    bool ended;          // by an end token
    int64_t text_size;
    int64_t key_begin;  // in text_: behind the last quote that began a key
  };

  struct Mask {
    int32_t config;
    std::shared_ptr<const std::vector<uint64_t>> allowed;
    int64_t
        most_to_end;  // bytes_to_end() behind any of the tokens, at most; kNoLimit: nobody asked
  };

  template <typename Work>
  void with_memory(Work work);  // restarts the memory once if it is full
  void restart();
  static int64_t share();  // of the memory of all matchers, in bytes
  [[noreturn]] static void refuse_step();
  bool advance(Position& position, std::string_view bytes);  // appends to text_; false: dead
  Position behind(int32_t token_id);
  void replay(size_t n_tokens);

  void make_mask(std::span<uint64_t> allowed);
  void walk_from_here(std::span<uint64_t> allowed);
  bool is_in_time(int32_t config);
  bool find_shared_mask(std::span<uint64_t> allowed);
  void keep_mask(Mask mask);
  void walk(const TokenTree& tree, std::span<uint64_t> allowed);
  void check_subtree(std::span<const TrieNode> nodes, std::span<uint64_t> allowed);

  const GrammarPtr grammar_;
  const std::shared_ptr<const TokenTrieNodes> trie_;
  const MatcherOptions options_;
  std::unique_ptr<Configurations> memory_;
  int32_t generation_ = 0;
  std::vector<Position> positions_;  // the first: before the answer
  std::string text_;                 // the bytes of the answer

  std::vector<Mask> masks_;
  size_t oldest_mask_ = 0;
  const std::shared_ptr<SharedMasks> shared_masks_;
  std::string place_;  // of the mask being made, for shared_masks_; "": it has none
  int64_t n_edges_ = 0;
  static constexpr int64_t kNoLimit = INT64_MAX;
  int64_t room_ = -1;             // tokens that are left; -1: any number
  int64_t limit_ = kNoLimit;      // of bytes_to_end() behind the tokens of the mask being made
  bool any_cut_ = false;          // it was above
  int64_t most_to_end_ = 0;       // and is, of tokens that are allowed, at most
  bool depends_on_text_ = false;  // the mask being made is no function of the configuration alone

  struct Step {
    size_t end;  // of the subtree
    int32_t config;
    const int32_t* row;
  };
  std::vector<Step> path_;  // of a walk
};

// Where its share is too small for one step, the step has what a matcher has alone: company decides what is
// remembered, never what is allowed.
template <typename Work>
void Matcher::with_memory(Work work) {
  memory_->limit(share());
  try {
    return work();
  } catch (const ArenaFull&) {
  }
  try {
    restart();
    work();
  } catch (const ArenaFull&) {
    refuse_step();
  }
}

}  // namespace qwen3
