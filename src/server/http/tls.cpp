#include "server/http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/error.h"
#include "base/input_file.h"

namespace qwen3::server {

namespace {

constexpr size_t kMaxPemBytes = 1024 * 1024;

std::string last_error() {
  char text[256] = "unknown";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

int clamp_size(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL, so a reset would raise SIGPIPE.
int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* bytes, int n) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(fd_of(bio), bytes, static_cast<size_t>(n), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* into, int n) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(fd_of(bio), into, static_cast<size_t>(n), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "qwen3 socket");
    if (made != nullptr) {
      BIO_meth_set_write(made, bio_write);
      BIO_meth_set_read(made, bio_read);
      BIO_meth_set_ctrl(made, bio_control);
    }
    return made;
  }();
  return method;
}

class TlsTransport final : public Transport {
 public:
  // Owns `ssl`.
  explicit TlsTransport(SSL* ssl) : ssl_(ssl) {}
  ~TlsTransport() override { SSL_free(ssl_); }

  IoResult read(std::span<char> into) override {
    ERR_clear_error();
    return result_of(SSL_read(ssl_, into.data(), clamp_size(into.size())));
  }

  IoResult write(std::string_view bytes) override {
    ERR_clear_error();
    return result_of(SSL_write(ssl_, bytes.data(), clamp_size(bytes.size())));
  }

  bool pending() const override { return SSL_pending(ssl_) > 0; }

  void shutdown_write() override {
    if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    ERR_clear_error();
    ::shutdown(fd_of(SSL_get_wbio(ssl_)), SHUT_WR);
  }

 private:
  IoResult result_of(int n) {
    if (n > 0) return {IoResult::State::done, static_cast<size_t>(n)};
    const int reason = SSL_get_error(ssl_, n);
    ERR_clear_error();
    switch (reason) {
      case SSL_ERROR_WANT_READ:
        return {IoResult::State::wait_readable, 0};
      case SSL_ERROR_WANT_WRITE:
        return {IoResult::State::wait_writable, 0};
      case SSL_ERROR_ZERO_RETURN:
        return {IoResult::State::end, 0};
      default:
        return {IoResult::State::failed, 0};
    }
  }

  SSL* ssl_;
};

SSL_CTX* context_of(void* context) { return static_cast<SSL_CTX*>(context); }

// Asking at a terminal is no way to start a server.
int no_passphrase(char*, int, int, void*) { return 0; }

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

// Reads `text`, which must outlive it. OpenSSL opens no file itself: it would wait for a FIFO.
BioPtr reader_of(const std::string& text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), clamp_size(text.size())));
  QWEN3_CHECK(bio != nullptr, ErrorKind::out_of_memory, "TLS: no memory to read a file");
  return bio;
}

// As SSL_CTX_use_certificate_chain_file: the server's own certificate, then those between it and
// one that clients know.
bool use_chain(SSL_CTX* context, const std::string& pem) {
  ERR_clear_error();
  const BioPtr bio = reader_of(pem);
  X509* const own = PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr);
  const bool used = own != nullptr && SSL_CTX_use_certificate(context, own) == 1;
  X509_free(own);
  if (!used) return false;
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) == 1) continue;  // owned by the context now
    X509_free(next);
    return false;
  }
  const unsigned long why = ERR_peek_last_error();  // the end of the text is not an error
  return ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
}

bool use_key(SSL_CTX* context, const std::string& pem) {
  const BioPtr bio = reader_of(pem);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr);
  const bool used = key != nullptr && SSL_CTX_use_PrivateKey(context, key) == 1;
  EVP_PKEY_free(key);
  return used;
}

std::string read_pem(const char* option, const std::string& path) {
  try {
    return read_text_file(path, kMaxPemBytes);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{} {}", option, error.what()));
  }
}

void load_files(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  QWEN3_CHECK(use_chain(context, read_pem("--tls-cert", certificate)),
              ErrorKind::invalid_argument,
              "--tls-cert {}: expected a PEM certificate chain: {}",
              certificate,
              last_error());
  ERR_clear_error();
  std::string secret = read_pem("--tls-key", key);
  const bool used = use_key(context, secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  QWEN3_CHECK(used,
              ErrorKind::invalid_argument,
              "--tls-key {}: expected a PEM key without a passphrase: {}",
              key,
              last_error());
  QWEN3_CHECK(SSL_CTX_check_private_key(context) == 1,
              ErrorKind::invalid_argument,
              "--tls-key {}: is not the key of --tls-cert {}",
              key,
              certificate);
}

}  // namespace

TlsContext::TlsContext(const std::string& certificate, const std::string& key)
    : context_(SSL_CTX_new(TLS_server_method())) {
  QWEN3_CHECK(context_ != nullptr && socket_method() != nullptr,
              ErrorKind::out_of_memory,
              "TLS: cannot start: {}",
              last_error());
  SSL_CTX* const context = context_of(context_);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                       SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  try {
    load_files(context, certificate, key);
  } catch (...) {
    SSL_CTX_free(context);
    throw;
  }
}

TlsContext::~TlsContext() { SSL_CTX_free(context_of(context_)); }

std::unique_ptr<Transport> TlsContext::make_transport(int fd) const {
  SSL* const ssl = SSL_new(context_of(context_));
  BIO* const bio = BIO_new(socket_method());
  if (ssl == nullptr || bio == nullptr) {
    SSL_free(ssl);
    BIO_free(bio);
    fail(ErrorKind::out_of_memory, "TLS: no memory for a connection");
  }
  // OpenSSL keeps a pointer for us; a number fits into it.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return std::make_unique<TlsTransport>(ssl);
}

}  // namespace qwen3::server
