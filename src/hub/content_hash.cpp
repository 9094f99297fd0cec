#include "hub/content_hash.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace qwen3::hub {

struct ContentHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() { QWEN3_CHECK(context != nullptr, ErrorKind::out_of_memory, "no memory for a hash"); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

ContentHash::ContentHash(HashKind kind, int64_t size)
    : state_(std::make_unique<State>()), kind_(kind), size_(size) {
  restart();
}

ContentHash::~ContentHash() = default;

void ContentHash::restart() {
  const EVP_MD* kind = kind_ == HashKind::sha256 ? EVP_sha256() : EVP_sha1();
  QWEN3_CHECK(EVP_DigestInit_ex(state_->context, kind, nullptr) == 1,
              ErrorKind::io,
              "OpenSSL: it has no {} here",
              kind_ == HashKind::sha256 ? "SHA-256" : "SHA-1");
  if (kind_ != HashKind::git_blob) return;
  const std::string head = fmt::format("blob {}", size_);
  add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));  // with its NUL
}

void ContentHash::add(std::span<const std::byte> bytes) {
  QWEN3_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1,
              ErrorKind::internal,
              "OpenSSL: hashing failed");
}

std::string ContentHash::take() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int n = 0;
  QWEN3_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &n) == 1,
              ErrorKind::internal,
              "OpenSSL: hashing failed");
  std::string hex;
  for (unsigned int i = 0; i < n; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace qwen3::hub
