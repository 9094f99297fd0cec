// Which sample is which. A run is resumed by the set of samples that are there, never by their
// number or order, because answers arrive in any order.
//
//   row key     SHA-256 of: identity of the run, the row and how many equal rows stand before it
//   sample key  SHA-256 of: row key ":" index of the sample
//
// The identity covers all that shapes an answer (eval/run/manifest.h). The clock is not in it, nor are
// the servers' addresses or the number of samples, so that a run may move and grow.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3::eval {

// 64 lower-case hexadecimal digits each.
std::string row_key(std::string_view identity, std::string_view row_fingerprint);
std::string sample_key(std::string_view row_key, int64_t sample);

bool is_key(std::string_view text);

// The first half of a key: enough to tell a million samples apart (chance of a clash 1e-27).
struct ShortKey {
  uint64_t high = 0, low = 0;
  bool operator==(const ShortKey&) const = default;
};
ShortKey short_key(std::string_view key);           // REQUIRES: is_key(key)
ShortKey short_hash_of(std::string_view any_text);  // of the text's SHA-256

// A key as its 32 bytes, for tables. REQUIRES: is_key(key)
std::array<uint8_t, 32> bytes_of_key(std::string_view key);
std::string key_of_bytes(const std::array<uint8_t, 32>& bytes);

// How often each key was seen: an open table of 24 bytes an entry, because a run has millions.
class KeyCounts {
 public:
  KeyCounts();
  uint32_t& operator[](const ShortKey& key);
  uint32_t count(const ShortKey& key) const;  // 0: never seen
  int64_t size() const { return n_used_; }

 private:
  struct Slot {
    ShortKey key;
    uint32_t count = 0;
    bool used = false;
  };
  size_t find(const ShortKey& key) const;
  void grow();

  std::vector<Slot> slots_;
  int64_t n_used_ = 0;
  uint64_t salt_;  // keys come from files: nobody can choose them to collide
};

}  // namespace qwen3::eval
