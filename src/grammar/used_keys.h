// UsedKeys: which keys an object has so far, and where the reading of the next one stands. A key is known by its
// bytes inside the quotes: each has one spelling (ByteForm::json_key).
//
// While a mask is made, the key that is being closed may be unknown: what stands before the token is no part of a
// configuration. It is then used as "some key", and what a second key in the same token may be is found out exactly
// (Matcher).
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

class UsedKeys {
 public:
  UsedKeys() { used_.emplace_back(); }  // number 0: none

  static constexpr int32_t kSomeKey = -1;
  static constexpr int32_t kNew = -1;  // of a track: begins like no used key of its kind

  // `used` and one more key; `key` from intern(), or kSomeKey.
  int32_t add(int32_t used, int32_t kind, int32_t key);
  int64_t count(int32_t used) const { return used_[at(used)].count; }
  bool holds_some_key(int32_t used) const { return used_[at(used)].holds_some_key; }
  bool holds(int32_t used, int32_t kind, std::string_view key) const;
  // Used keys of this kind that begin so.
  int64_t count_beginning(int32_t used, int32_t kind, std::string_view prefix) const;

  // What follows the prefix in them.
  std::bitset<256> bytes_behind(int32_t used, int32_t kind, std::string_view prefix) const;

  int32_t intern(std::string_view key);
  std::string_view key(int32_t id) const { return *keys_[at(id)]; }

  // A key of `kind` that is being read: the used ones before it, and its bytes so far while some used key of that
  // kind begins so.
  struct Track {
    int32_t used, prefix;
    auto operator<=>(const Track&) const = default;
  };
  int32_t track(int32_t used, int32_t kind, std::string_view prefix);
  const Track& track(int32_t id) const { return tracks_[at(id)]; }

  // The same in another object.
  int32_t copy_used(const UsedKeys& from, int32_t used);
  int32_t copy_track(const UsedKeys& from, int32_t track);

  int64_t bytes() const { return bytes_; }

 private:
  static size_t at(int32_t id) { return static_cast<size_t>(id); }
  int32_t track_id(const Track& track);

  struct Used {
    int32_t before = 0;
    int32_t kind = 0, key = 0;
    int32_t count = 0;
    bool holds_some_key = false;
  };
  std::vector<Used> used_;
  std::map<std::tuple<int32_t, int32_t, int32_t>, int32_t> used_ids_;
  std::map<std::string, int32_t, std::less<>> key_ids_;
  std::vector<const std::string*> keys_;
  std::vector<Track> tracks_;
  std::map<Track, int32_t> track_ids_;
  int64_t bytes_ = 0;
};

}  // namespace qwen3
