#include "server/http/auth.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "server/http/response.h"

namespace qwen3::server {

namespace {

constexpr size_t kMaxNetworks = 4096;

std::string random_hex() {
  std::array<unsigned char, 32> bytes{};
  QWEN3_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1,
              ErrorKind::io,
              "no random bytes from the system");
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

// "" unless there is exactly one credential of the kind that counts.
std::string_view presented_key(const RequestHead& head) {
  if (const size_t n = head.count("authorization"); n > 0) {
    static constexpr std::string_view kScheme = "bearer ";
    const std::string_view value = head.value("authorization");
    if (n > 1 || value.size() <= kScheme.size()) return {};
    if (!equals_ignoring_case(value.substr(0, kScheme.size()), kScheme)) return {};
    return trim(value.substr(kScheme.size()));
  }
  return head.count("x-api-key") == 1 ? head.value("x-api-key") : std::string_view();
}

}  // namespace

KeyRing::KeyRing(std::vector<ApiKey> keys) {
  const std::string secret = random_hex();  // of this process: salts cannot be computed outside
  for (ApiKey& key : keys) {
    Client client{.name = std::move(key.name), .salt = sha256_hex(secret + key.digest)};
    keys_.push_back({std::move(key.digest), std::move(client)});
  }
}

std::optional<Client> KeyRing::identify(const RequestHead& head) const {
  const std::string_view key = presented_key(head);
  if (key.empty()) return std::nullopt;
  return identify(key);
}

std::optional<Client> KeyRing::identify(std::string_view key) const {
  const std::string digest = sha256_hex(key);
  const Client* owner = nullptr;
  for (const Entry& entry : keys_) {
    if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) {
      owner = &entry.client;
    }
  }
  if (owner == nullptr) return std::nullopt;
  return *owner;
}

int FailureLimiter::record(const std::string& network, std::chrono::steady_clock::time_point now) {
  constexpr std::chrono::seconds kWindow{60};
  const std::lock_guard lock(mutex_);
  if (windows_.size() >= kMaxNetworks && now >= next_purge_) {
    next_purge_ = now + std::chrono::seconds(1);  // so that a flood does not pay for it each time
    std::erase_if(windows_, [&](const auto& item) { return now - item.second.start >= kWindow; });
  }
  // When the table is full of live windows, the newcomers share one.
  const bool full = windows_.size() >= kMaxNetworks && !windows_.contains(network);
  Window& window = windows_[full ? std::string() : network];
  if (window.failures == 0 || now - window.start >= kWindow) window = {now, 0};
  if (window.failures < per_minute_) {
    ++window.failures;
    return 0;
  }
  const auto left = std::chrono::ceil<std::chrono::seconds>(window.start + kWindow - now);
  return std::max(1, static_cast<int>(left.count()));
}

}  // namespace qwen3::server
