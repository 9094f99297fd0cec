#include "eval/run/sample_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/sha256.h"

namespace qwen3::eval {
namespace {

uint64_t from_hex(std::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    value = value << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return value;
}

uint64_t random_salt() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

std::string row_key(std::string_view identity, std::string_view row_fingerprint) {
  return sha256_hex(fmt::format("qwen3-eval-row-1\n{}\n{}", identity, row_fingerprint));
}

std::string sample_key(std::string_view row, int64_t sample) {
  return sha256_hex(fmt::format("{}:{}", row, sample));
}

bool is_key(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

ShortKey short_key(std::string_view key) {
  return {from_hex(key.substr(0, 16)), from_hex(key.substr(16, 16))};
}

ShortKey short_hash_of(std::string_view any_text) { return short_key(sha256_hex(any_text)); }

std::array<uint8_t, 32> bytes_of_key(std::string_view key) {
  std::array<uint8_t, 32> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(from_hex(key.substr(2 * i, 2)));
  }
  return bytes;
}

std::string key_of_bytes(const std::array<uint8_t, 32>& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string key;
  key.reserve(64);
  for (const uint8_t byte : bytes) {
    key += kDigits[byte >> 4];
    key += kDigits[byte & 15];
  }
  return key;
}

KeyCounts::KeyCounts() : slots_(1024), salt_(random_salt()) {}

size_t KeyCounts::find(const ShortKey& key) const {
  const size_t mask = slots_.size() - 1;
  uint64_t mixed = (key.high ^ salt_) * 0x9E3779B97F4A7C15u + key.low;
  mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93u;
  size_t slot = (mixed ^ mixed >> 32) & mask;
  while (slots_[slot].used && !(slots_[slot].key == key)) slot = (slot + 1) & mask;
  return slot;
}

uint32_t& KeyCounts::operator[](const ShortKey& key) {
  size_t slot = find(key);
  if (slots_[slot].used) return slots_[slot].count;
  if (static_cast<size_t>(n_used_ + 1) * 4 > slots_.size() * 3) {
    grow();
    slot = find(key);
  }
  slots_[slot] = {key, 0, true};
  ++n_used_;
  return slots_[slot].count;
}

uint32_t KeyCounts::count(const ShortKey& key) const {
  const Slot& slot = slots_[find(key)];
  return slot.used ? slot.count : 0;
}

void KeyCounts::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  std::swap(old, slots_);
  for (const Slot& slot : old) {
    if (slot.used) slots_[find(slot.key)] = slot;
  }
}

}  // namespace qwen3::eval
