#include "eval/run/http.h"

#include "base/certificate_file.h"
#include "base/error.h"

namespace qwen3::eval {
namespace {

constexpr int64_t kMaxGetBytes = int64_t{4} << 20;

size_t on_body(char* data, size_t size, size_t n, void* user) {
  auto& reply = *static_cast<ReplyBody*>(user);
  const size_t bytes = size * n;
  if (static_cast<int64_t>(reply.text.size() + bytes) > reply.max_bytes) {
    reply.too_large = true;
    return 0;  // ends the transfer
  }
  reply.text.append(data, bytes);
  return bytes;
}

void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  QWEN3_CHECK(started == CURLE_OK, ErrorKind::io, "libcurl: cannot start");
}

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

}  // namespace

ServerAddress parse_server_address(const std::string& text, std::string_view option) {
  start_curl();
  const std::unique_ptr<CURLU, UrlFree> url(curl_url());
  const CURLUcode error = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME);
  const bool usable = error == CURLUE_OK && (scheme == "http" || scheme == "https") &&
                      url_part(url.get(), CURLUPART_QUERY).empty() &&
                      url_part(url.get(), CURLUPART_FRAGMENT).empty();
  ServerAddress address;
  const auto whole = [&] {
    std::string base = url_part(url.get(), CURLUPART_URL);
    while (base.ends_with('/')) base.pop_back();
    return base;
  };
  address.base = whole();
  curl_url_set(url.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(url.get(), CURLUPART_PASSWORD, nullptr, 0);
  address.shown = whole();
  // Not shown as it is: it may hold a password.
  QWEN3_CHECK(usable,
              ErrorKind::invalid_argument,
              "{}: expected an address such as http://127.0.0.1:8030/v1; got {}",
              option,
              address.shown.empty() ? "something else" : quote_for_message(address.shown));
  address.root = address.base;
  if (address.root.ends_with("/v1")) address.root.resize(address.root.size() - 3);
  const std::string host = url_part(url.get(), CURLUPART_HOST);
  address.loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
  return address;
}

CurlEasy make_request_handle(const ServerAddress& server,
                             const curl_slist* headers,
                             ReplyBody& reply) {
  start_curl();
  CurlEasy handle(curl_easy_init());
  QWEN3_CHECK(handle != nullptr, ErrorKind::io, "libcurl: cannot make a request");
  CURL* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  if (!certificate_file().empty())
    curl_easy_setopt(curl, CURLOPT_CAINFO, certificate_file().c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 30'000L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
  if (server.loopback) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  return handle;
}

CurlList request_headers(const std::string& api_key) {
  CurlList list;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    QWEN3_CHECK(longer != nullptr, ErrorKind::out_of_memory, "libcurl: no memory for headers");
    static_cast<void>(list.release());  // it is part of `longer`
    list.reset(longer);
  };
  QWEN3_CHECK(api_key.find_first_of("\r\n") == api_key.npos,
              ErrorKind::invalid_argument,
              "API key: expected one line; it holds a line end");
  add("Content-Type: application/json");
  if (!api_key.empty()) add("Authorization: Bearer " + api_key);
  add("Expect:");
  return list;
}

GetResult http_get(const ServerAddress& server,
                   const std::string& url,
                   const curl_slist* headers,
                   double timeout_seconds) {
  ReplyBody reply{.text = {}, .max_bytes = kMaxGetBytes};
  const CurlEasy handle = make_request_handle(server, headers, reply);
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_seconds * 1000));
  GetResult result;
  const CURLcode code = curl_easy_perform(handle.get());
  if (code != CURLE_OK) {
    result.error = curl_easy_strerror(code);
    if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_PEER_FAILED_VERIFICATION)
      result.error += certificate_remedy();
    return result;
  }
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  result.status = static_cast<int>(status);
  result.body = std::move(reply.text);
  return result;
}

}  // namespace qwen3::eval
