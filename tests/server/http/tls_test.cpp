// The same server through TLS, with a certificate made for the test.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "qwen3/error.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// A self-signed certificate and its key as PEM files.
void make_certificate(const std::string& certificate, const std::string& key) {
  EVP_PKEY* pair = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, pair);
  X509_NAME* name = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(
      name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x509, name);
  ASSERT_GT(X509_sign(x509, pair, EVP_sha256()), 0);
  const std::unique_ptr<std::FILE, FileCloser> certificate_file(
      std::fopen(certificate.c_str(), "w"));
  const std::unique_ptr<std::FILE, FileCloser> key_file(std::fopen(key.c_str(), "w"));
  ASSERT_EQ(PEM_write_X509(certificate_file.get(), x509), 1);
  ASSERT_EQ(PEM_write_PrivateKey(key_file.get(), pair, nullptr, nullptr, 0, nullptr, nullptr), 1);
  X509_free(x509);
  EVP_PKEY_free(pair);
}

class TlsClient {
 public:
  explicit TlsClient(uint16_t port) : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_.fd());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool connected() const { return connected_; }
  int n_certificates() const { return sk_X509_num(SSL_get_peer_cert_chain(ssl_)); }
  bool send(std::string_view bytes) {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }
  // Reads until `text` has come; "" when the connection ends before.
  std::string receive_until(std::string_view text) {
    char buffer[16384];
    while (received_.find(text) == std::string::npos) {
      const int n = SSL_read(ssl_, buffer, sizeof buffer);
      if (n <= 0) return "";
      received_.append(buffer, static_cast<size_t>(n));
    }
    return std::exchange(received_, {});
  }
  void close_notify() { SSL_shutdown(ssl_); }
  RawClient& socket() { return socket_; }

 private:
  RawClient socket_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
  std::string received_;
};

class HttpTls : public ::testing::Test {
 protected:
  HttpTls()
      : folder_(std::filesystem::temp_directory_path() /
                ("qwen3-tls-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    make_certificate(certificate(), key());
  }
  ~HttpTls() override { std::filesystem::remove_all(folder_); }

  std::string certificate() const { return (folder_ / "certificate.pem").string(); }
  std::string key() const { return (folder_ / "key.pem").string(); }
  HttpOptions options() const {
    HttpOptions out = test_options();
    out.tls_certificate = certificate();
    out.tls_key = key();
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(HttpTls, ServesRequestsOfAllSizes) {
  HttpServer server(options(), basic_routes());
  TlsClient client(server.port());
  ASSERT_TRUE(client.connected());
  ASSERT_TRUE(client.send(get(server.port(), "/health")));
  EXPECT_NE(client.receive_until(R"({"status":"ok"})").find("HTTP/1.1 200"), std::string::npos);
  // Many records each way, more than the sockets hold at once.
  const std::string body = std::string(3'000'000, 'x') + "END";
  ASSERT_TRUE(client.send(post(server.port(), "/v1/echo", body)));
  EXPECT_GT(client.receive_until("END").size(), body.size());
  ASSERT_TRUE(client.send(get(server.port(), "/v1/models/a") + get(server.port(), "/v1/models/b")));
  client.receive_until("\r\n\r\na");
  client.send(get(server.port(), "/health", "Connection: close\r\n"));
  EXPECT_NE(client.receive_until("ok"), "");
  EXPECT_EQ(client.receive_until("never"), "");
}

TEST_F(HttpTls, StreamsAndNoticesDepartures) {
  std::promise<std::shared_ptr<Exchange>> arrived;
  HttpServer server(options(),
                    routes_with([&](const HttpRequest&, std::shared_ptr<Exchange> exchange) {
                      arrived.set_value(std::move(exchange));
                    }));
  for (const bool notify : {true, false}) {
    arrived = {};
    TlsClient client(server.port());
    ASSERT_TRUE(client.send(get(server.port(), "/v1/stream")));
    const auto exchange = arrived.get_future().get();
    std::atomic<bool> left{false};
    exchange->on_disconnect([&] { left = true; });
    exchange->start_stream();
    for (int i = 0; i < 100; ++i) exchange->write("data: " + std::to_string(i) + "\n\n");
    EXPECT_NE(client.receive_until("data: 99\n\n"), "");
    if (notify) {
      client.close_notify();
    } else {
      client.socket().reset();
    }
    EXPECT_TRUE(wait_for([&] { return left.load(); }));
  }
}

TEST_F(HttpTls, ClosesOnWhatIsNoHandshake) {
  HttpServer server(options(), basic_routes());
  RawClient plain(server.port());
  plain.send(get(server.port(), "/health"));
  plain.receive_all();
  EXPECT_TRUE(plain.ended());
  EXPECT_EQ(plain.received().find("HTTP/1.1 200"), std::string::npos);
}

TEST_F(HttpTls, AHandshakeThatStopsIsClosedInTime) {
  HttpOptions hasty = options();
  hasty.limits.head_time = 100ms;
  HttpServer server(hasty, basic_routes());
  RawClient silent(server.port());
  silent.send("\x16\x03\x01");
  EXPECT_TRUE(silent.receive_all());
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(HttpTls, SendsTheWholeChain) {
  const std::string between = (folder_ / "between.pem").string();
  make_certificate(between, (folder_ / "unused.pem").string());
  HttpOptions chain = options();
  chain.tls_certificate = (folder_ / "chain.pem").string();
  const auto write = [&](const std::string& text) {
    std::ofstream(chain.tls_certificate, std::ios::binary) << text;
  };
  write(text_of(certificate()) + text_of(between) + "anything may follow\n");
  {
    HttpServer server(chain, basic_routes());
    const TlsClient client(server.port());
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.n_certificates(), 2);
  }
  const std::string cut = text_of(between);
  write(text_of(certificate()) + cut.substr(0, cut.size() / 2));
  try {
    HttpServer server(chain, basic_routes());
    FAIL() << "half a certificate was taken for none";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("expected a PEM certificate chain"),
              std::string::npos);
  }
}

TEST_F(HttpTls, RefusesFilesThatDoNotFit) {
  const auto refusal = [](HttpOptions changed) -> std::string {
    try {
      HttpServer server(changed, basic_routes());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  HttpOptions changed = options();
  changed.tls_certificate += ".missing";
  EXPECT_NE(refusal(changed).find("--tls-cert"), std::string::npos);
  const std::string fifo = (folder_ / "fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  changed.tls_certificate = fifo;
  EXPECT_NE(refusal(changed).find("--tls-cert " + fifo + ": expected a regular"),
            std::string::npos);
  changed = options();
  changed.tls_key = certificate();
  EXPECT_NE(refusal(changed).find("--tls-key"), std::string::npos);
  changed = options();
  changed.tls_key = (folder_ / "other.pem").string();
  make_certificate((folder_ / "unused.pem").string(), changed.tls_key);
  EXPECT_NE(refusal(changed).find("--tls-key"), std::string::npos);
}

}  // namespace
}  // namespace qwen3::server
