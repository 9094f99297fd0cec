// libcurl, owned: handles that free themselves, and the settings that every request of ours has.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3::eval {

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }  // CURL is void
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct CurlMultiFree {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
using CurlEasy = std::unique_ptr<CURL, CurlFree>;
using CurlMulti = std::unique_ptr<CURLM, CurlMultiFree>;
using CurlList = std::unique_ptr<curl_slist, CurlFree>;

// Where a server is.
struct ServerAddress {
  std::string base;   // "http://127.0.0.1:8030/v1", without a slash at the end
  std::string shown;  // the same without a user and password: for messages and files
  std::string root;   // without "/v1" at the end
  bool loopback = false;
};
// Throws Error{invalid_argument} for anything but http:// and https:// with a host; `option` gave it.
ServerAddress parse_server_address(const std::string& url, std::string_view option = "base_url");

// The body of a reply in progress, bounded.
struct ReplyBody {
  std::string text;
  int64_t max_bytes = 0;
  bool too_large = false;
};

// A handle for requests to `server`: no redirections, HTTP only, no proxy for loopback. `headers`
// and `reply` must outlive its transfers. Throws Error{io} when libcurl cannot start.
CurlEasy make_request_handle(const ServerAddress& server,
                             const curl_slist* headers,
                             ReplyBody& reply);

// The headers of every request; the key, if any, goes to the servers alone and is never shown.
CurlList request_headers(const std::string& api_key);

// One GET that waits for its reply.
struct GetResult {
  int status = 0;     // 0: none came
  std::string error;  // why
  std::string body;
};
GetResult http_get(const ServerAddress& server,
                   const std::string& url,
                   const curl_slist* headers,
                   double timeout_seconds);

}  // namespace qwen3::eval
