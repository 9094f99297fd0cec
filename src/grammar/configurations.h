// Configurations: where an answer stands in a Grammar. A configuration is the set of all ways in which the answer
// so far may be read, interned; the next one is found by byte and remembered.
//
// Stacks of rules are shared: a frame is the set of items behind a rule, and all calls of one rule at one position
// have one frame. So ambiguous grammars stay flat.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/item_sets.h"
#include "grammar/limits.h"
#include "grammar/network.h"
#include "grammar/used_keys.h"

namespace qwen3 {

// Thrown where the memory of a matcher is full: it restarts from the configuration it stands at.
struct ArenaFull {};

class Configurations {
 public:
  // `grammar` must outlive it.
  explicit Configurations(const Grammar& grammar);

  // Configurations; 0 is the dead one: nothing is alive.
  static constexpr int32_t kDead = 0;
  int32_t start() const { return start_; }

  // Behind one more byte. `key`: the bytes of the key that the answer is in, if it is in one; null: not known,
  // and the key is used as "some key". Throws ArenaFull, Error{unsupported} (kTooComplex).
  int32_t next(int32_t config, uint8_t byte, const std::string_view* key) {
    const auto i = static_cast<size_t>(config);
    if ((facts_[i].depends_on_bytes) || (key != nullptr && byte == '"' && facts_[i].in_new_key)) {
      return step(config, byte, key);
    }
    if (rows_[i] != nullptr) {
      const int32_t known = rows_[i][grammar_.byte_class[byte]];
      if (known >= 0) return known;
    }
    return remember(config, byte);
  }
  // Behind an added token.
  int32_t next_token(int32_t config, int32_t token);

  // By byte class: known successors, -1 for unknown ones; null if there are none, or if they must not be
  // remembered.
  const int32_t* row(int32_t config) const { return rows_[static_cast<size_t>(config)]; }

  struct Facts {
    bool may_end = false;
    bool exhausted = false;
    bool opens_key = false;         // a quote begins a key
    bool in_new_key = false;        // of which no used key is the beginning
    bool depends_on_bytes = false;  // in a key that begins as a used one: no two bytes are alike
    bool behind_some_key = false;   // in a key, and the one before it was not known
    bool has_tokens = false;        // added tokens may come
  };
  const Facts& facts(int32_t config) const { return facts_[static_cast<size_t>(config)]; }
  std::span<const Item> items(int32_t config) const { return sets_.items(config); }
  const Grammar& grammar() const { return grammar_; }

  // How many plain code points (no `"`, `\` and controls) may come next whatever they are; -1: without end.
  int64_t plain_room(int32_t config) const;

  // In so many bytes the answer can be whole (ShortestEndings); 0 where it is.
  int64_t bytes_to_end(int32_t config);
  // The same behind any plain text for which there is room. REQUIRES: bytes_to_end() was asked for.
  int64_t bytes_behind_plain(int32_t config) const;

  // Appends the configuration in words that are the same in every memory. False: it is too large, or depends on keys
  // that have come.
  bool describe(std::string& out, int32_t config) const;

  // The same configuration in another memory.
  int32_t copy_from(const Configurations& from, int32_t config);

  int64_t bytes() const;

  // Beyond this many bytes: ArenaFull. At first kMaxMatcherBytes.
  void limit(int64_t bytes) { max_bytes_ = bytes; }

  // What following steps may cost, in ways to read that are looked at. Beyond: Error{unsupported}, which begins with
  // kTooComplex. At first without limit.
  void allow_work(int64_t n) { work_left_ = n; }
  int64_t work_left() const { return work_left_; }
  void spend(int64_t work);

 private:
  bool describe(std::string& out, int32_t set, int& n_left) const;
  int32_t step(int32_t config, uint8_t byte, const std::string_view* key);
  int32_t remember(int32_t config, uint8_t byte);
  void step_item(const Item& item, uint8_t byte, const std::string_view* key);
  void step_text(const Node& node, Item item, uint8_t byte);
  void step_key(const Node& node, Item item, uint8_t byte, const std::string_view* key);
  void open_key(const Node& node, const Item& item);
  void close_key(const Node& node, const Item& item, const std::string_view* key);

  int32_t close();
  void push(const Item& item);
  void drain(bool fresh);
  void expand(const Item& item, bool fresh);
  void call(int32_t rule, const Item& behind);
  int32_t intern(std::vector<Item>& items);
  Facts facts_of(std::span<const Item> items) const;

  const Grammar& grammar_;
  ItemSets sets_;
  UsedKeys keys_;
  std::vector<Facts> facts_;      // by set; of frames without meaning
  std::vector<int32_t*> rows_;    // by set
  std::vector<int32_t> endings_;  // bytes_to_end() by set, as far as it was asked for; else -1
  std::vector<std::unique_ptr<int32_t[]>> row_blocks_;
  int32_t n_rows_ = 0;
  int32_t start_ = 0;
  int64_t work_left_ = INT64_MAX;
  int64_t max_bytes_ = kMaxMatcherBytes;

  // Of the closure at work.
  std::vector<Item> open_, stable_;
  SeenItems seen_;
  struct Call {
    int32_t rank, rule;
    std::vector<Item> behind;
  };
  std::vector<Call> calls_;
  std::vector<int32_t> call_of_rule_;  // index in calls_, or -1
};

}  // namespace qwen3
