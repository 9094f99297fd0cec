#include "grammar/used_keys.h"

#include <algorithm>

namespace qwen3 {
namespace {

constexpr int64_t kNodeBytes = 64;  // of a map, and the entry itself

}  // namespace

int32_t UsedKeys::add(int32_t used, int32_t kind, int32_t key) {
  const auto [entry, is_new] =
      used_ids_.try_emplace({used, kind, key}, static_cast<int32_t>(used_.size()));
  if (is_new) {
    const Used& before = used_[at(used)];
    const bool some = before.holds_some_key || key == kSomeKey;
    used_.push_back({used, kind, key, before.count + 1, some});
    bytes_ += kNodeBytes + static_cast<int64_t>(sizeof(Used));
  }
  return entry->second;
}

bool UsedKeys::holds(int32_t used, int32_t kind, std::string_view wanted) const {
  for (; used != 0; used = used_[at(used)].before) {
    const Used& entry = used_[at(used)];
    if (entry.kind == kind && entry.key != kSomeKey && key(entry.key) == wanted) return true;
  }
  return false;
}

int64_t UsedKeys::count_beginning(int32_t used, int32_t kind, std::string_view prefix) const {
  int64_t n = 0;
  for (; used != 0; used = used_[at(used)].before) {
    const Used& entry = used_[at(used)];
    if (entry.kind == kind && entry.key != kSomeKey && key(entry.key).starts_with(prefix)) ++n;
  }
  return n;
}

std::bitset<256> UsedKeys::bytes_behind(int32_t used, int32_t kind, std::string_view prefix) const {
  std::bitset<256> bytes;
  for (; used != 0; used = used_[at(used)].before) {
    const Used& entry = used_[at(used)];
    if (entry.kind != kind || entry.key == kSomeKey) continue;
    const std::string_view text = key(entry.key);
    if (text.size() > prefix.size() && text.starts_with(prefix)) {
      bytes.set(static_cast<uint8_t>(text[prefix.size()]));
    }
  }
  return bytes;
}

int32_t UsedKeys::intern(std::string_view key) {
  const auto found = key_ids_.find(key);
  if (found != key_ids_.end()) return found->second;
  const auto id = static_cast<int32_t>(keys_.size());
  keys_.push_back(&key_ids_.emplace(key, id).first->first);
  bytes_ += kNodeBytes + 40 + std::ssize(key);
  return id;
}

int32_t UsedKeys::track(int32_t used, int32_t kind, std::string_view prefix) {
  return track_id({used, count_beginning(used, kind, prefix) == 0 ? kNew : intern(prefix)});
}

int32_t UsedKeys::track_id(const Track& track) {
  const auto [entry, is_new] = track_ids_.try_emplace(track, static_cast<int32_t>(tracks_.size()));
  if (is_new) {
    tracks_.push_back(track);
    bytes_ += kNodeBytes;
  }
  return entry->second;
}

int32_t UsedKeys::copy_used(const UsedKeys& from, int32_t used) {
  std::vector<const Used*> chain;  // the latest first
  for (; used != 0; used = from.used_[at(used)].before) chain.push_back(&from.used_[at(used)]);
  int32_t copy = 0;
  for (size_t i = chain.size(); i-- > 0;) {
    const int32_t key = chain[i]->key == kSomeKey ? kSomeKey : intern(from.key(chain[i]->key));
    copy = add(copy, chain[i]->kind, key);
  }
  return copy;
}

int32_t UsedKeys::copy_track(const UsedKeys& from, int32_t track) {
  const Track& old = from.track(track);
  return track_id(
      {copy_used(from, old.used), old.prefix == kNew ? kNew : intern(from.key(old.prefix))});
}

}  // namespace qwen3
