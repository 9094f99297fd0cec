// Requests to a hub: one at a time on a connection that is kept, redirects followed by hand, so that a token goes to
// the hub and to nobody else. TLS certificates are verified, proxies are those of curl's environment variables.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qwen3::hub {

// Where requests go and who they are from.
struct HubServer {
  std::string endpoint;    // "https://huggingface.co", without a slash at its end
  std::string token;       // "": nobody's
  int stall_seconds = 30;  // so long nothing may come before a connection is given up
};

// Throws Error{invalid_argument} unless the endpoint is http:// or https:// with a host, and the token, if any, can
// stand in a header.
void check_server(const HubServer& server);

struct HttpReply {
  int status = 0;
  std::string url;    // that was answered, without its query: queries of redirects hold signatures
  std::string error;  // not empty: the connection failed, perhaps in the middle of a body
  bool may_work_later = false;  // of `error`
  std::string body;             // unless a receiver took it
  std::string next;             // the address of the next page (Link: …; rel="next"), if any

  // Of all answers on the way, redirects too: the last of a name counts. Lower-case names.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view header(std::string_view name) const;  // "" without one
};

// Takes the body of an answer of 200 or 206.
class BodyReceiver {
 public:
  virtual ~BodyReceiver() = default;
  // Before the first byte. Either may throw, which ends the request and is thrown by get().
  virtual void begin(const HttpReply& head) = 0;
  virtual void add(std::span<const std::byte> bytes) = 0;
};

// One thread at a time.
class HttpSession {
 public:
  // `stop` ends a request that is under way, as an error that will not work later. It must outlive the session.
  HttpSession(HubServer server, const std::atomic<bool>& stop);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  // GET. `from` > 0 asks for the bytes from there on. A body without a receiver is kept, up to `max_body` bytes.
  HttpReply get(const std::string& url,
                BodyReceiver* receiver = nullptr,
                int64_t from = 0,
                size_t max_body = size_t{1} << 16);

  const HubServer& server() const { return server_; }
  bool stopped() const { return stop_; }

 private:
  struct Curl;
  // One answer; `reply` has the headers of those before it.
  void get_once(HttpReply& reply,
                const std::string& url,
                BodyReceiver* receiver,
                int64_t from,
                size_t max_body);

  const HubServer server_;
  const std::atomic<bool>& stop_;
  std::string origin_;
  std::unique_ptr<Curl> curl_;
};

// One part of a path as it stands in an address: everything but letters, digits and "-._~" escaped, and "/" too
// unless `slashes` stay.
std::string percent_encoded(std::string_view text, bool slashes);

}  // namespace qwen3::hub
