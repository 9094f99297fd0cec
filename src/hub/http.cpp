#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <exception>

#include "base/certificate_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3::hub {
namespace {

constexpr int kMaxRedirects = 10;
constexpr long kListSeconds = 300;   // for an answer that is no file
constexpr size_t kMaxHeaders = 256;  // of one chain of answers; a header is at most 100 kB to curl

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;
using List = std::unique_ptr<curl_slist, ListFree>;

std::string part_of(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

// Null unless the text is an address of http or https.
Url parse_url(const std::string& text) {
  Url url(curl_url());
  QWEN3_CHECK(url != nullptr, ErrorKind::out_of_memory, "libcurl: no memory for an address");
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return nullptr;
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return nullptr;
  return url;
}

// "https://host:443": what a token is given to.
std::string origin_of(const Url& url) {
  return part_of(url, CURLUPART_SCHEME) + "://" + ascii_lower(part_of(url, CURLUPART_HOST)) + ":" +
         part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

// Without what may be a secret: a password, a signature.
std::string shown_url(const std::string& text) {
  const Url url = parse_url(text);
  if (url == nullptr) return "no address";
  for (const CURLUPart part :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    curl_url_set(url.get(), part, nullptr, 0);
  }
  return part_of(url, CURLUPART_URL);
}

bool is_loopback(const Url& url) {
  const std::string host = part_of(url, CURLUPART_HOST);
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void append(List& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  QWEN3_CHECK(longer != nullptr, ErrorKind::out_of_memory, "libcurl: no memory for headers");
  static_cast<void>(list.release());  // it is part of `longer`
  list.reset(longer);
}

// <https://…>; rel="next"
std::string next_link(std::string_view link) {
  const size_t rel = link.find("rel=\"next\"");
  if (rel == link.npos) return {};
  const size_t open = link.rfind('<', rel);
  const size_t close = link.find('>', open == link.npos ? link.size() : open);
  if (open == link.npos || close == link.npos || close > rel) return {};
  return std::string(link.substr(open + 1, close - open - 1));
}

// What one answer is collected into, by curl's callbacks.
struct Collector {
  HttpReply* reply = nullptr;
  BodyReceiver* receiver = nullptr;
  size_t max_body = 0;
  const std::atomic<bool>* stop = nullptr;
  bool begun = false, too_long = false;
  std::exception_ptr thrown;  // C may not see it pass

  void header(std::string_view line) {
    line = trim(line, " \t\r\n");
    if (line.starts_with("HTTP/")) {
      const size_t space = line.find(' ');
      reply->status = 0;
      for (size_t i = space + 1; space != line.npos && i < std::min(line.size(), space + 4); ++i) {
        const bool digit = line[i] >= '0' && line[i] <= '9';
        reply->status = reply->status * 10 + (digit ? line[i] - '0' : 0);
      }
      return;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    QWEN3_CHECK(reply->headers.size() < kMaxHeaders,
                ErrorKind::io,
                "{}: the answer has more than {} headers",
                reply->url,
                kMaxHeaders);
    reply->headers.emplace_back(ascii_lower(line.substr(0, colon)),
                                std::string(trim(line.substr(colon + 1))));
  }

  void body(std::string_view bytes) {
    const bool wanted = reply->status == 200 || reply->status == 206;
    if (receiver != nullptr && wanted) {
      if (!begun) receiver->begin(*reply);
      begun = true;
      return receiver->add(std::as_bytes(std::span(bytes)));
    }
    // Of an error its beginning is enough; half a list is none.
    const size_t room = max_body - std::min(max_body, reply->body.size());
    reply->body += bytes.substr(0, room);
    too_long = too_long || bytes.size() > room;
  }
};

size_t take(Collector& collector, const char* data, size_t n, bool header) {
  try {
    const std::string_view bytes(data, n);
    if (header) {
      collector.header(bytes);
    } else {
      collector.body(bytes);
    }
    return collector.too_long ? 0 : n;
  } catch (...) {
    collector.thrown = std::current_exception();
    return 0;
  }
}

size_t on_header(char* data, size_t size, size_t n, void* to) {
  return take(*static_cast<Collector*>(to), data, size * n, true);
}
size_t on_body(char* data, size_t size, size_t n, void* to) {
  return take(*static_cast<Collector*>(to), data, size * n, false);
}
int on_progress(void* of, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return *static_cast<const Collector*>(of)->stop ? 1 : 0;
}

bool may_work_later(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_WRITE_ERROR:
    case CURLE_OUT_OF_MEMORY:
      return false;
    default:
      return true;
  }
}

}  // namespace

struct HttpSession::Curl {
  CURL* handle = curl_easy_init();
  ~Curl() { curl_easy_cleanup(handle); }
};

void check_server(const HubServer& server) {
  const Url url = parse_url(server.endpoint);
  const bool usable = url != nullptr && !part_of(url, CURLUPART_HOST).empty() &&
                      part_of(url, CURLUPART_QUERY).empty() &&
                      part_of(url, CURLUPART_FRAGMENT).empty();
  QWEN3_CHECK(usable,
              ErrorKind::invalid_argument,
              "the hub's address: expected one such as https://huggingface.co; got {}",
              url != nullptr ? shown_url(server.endpoint)
              : server.endpoint.find_first_of("@?") == std::string::npos
                  ? quote_for_message(server.endpoint)
                  : "another, perhaps with a password");
  const auto printable = [](char c) { return c > 0x20 && c < 0x7F; };
  QWEN3_CHECK(std::all_of(server.token.begin(), server.token.end(), printable),
              ErrorKind::invalid_argument,
              "the hub's token: expected one word of ASCII characters; it is not shown here");
}

std::string_view HttpReply::header(std::string_view name) const {
  for (auto it = headers.rbegin(); it != headers.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return {};
}

HttpSession::HttpSession(HubServer server, const std::atomic<bool>& stop)
    : server_(std::move(server)), stop_(stop) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  QWEN3_CHECK(started == CURLE_OK, ErrorKind::io, "libcurl: cannot start");
  check_server(server_);
  origin_ = origin_of(parse_url(server_.endpoint));
  curl_ = std::make_unique<Curl>();
  QWEN3_CHECK(curl_->handle != nullptr, ErrorKind::io, "libcurl: cannot make a request");
}

HttpSession::~HttpSession() = default;

void HttpSession::get_once(HttpReply& reply,
                           const std::string& url,
                           BodyReceiver* receiver,
                           int64_t from,
                           size_t max_body) {
  reply.url = shown_url(url);
  const Url parsed = parse_url(url);
  if (parsed == nullptr) {
    reply.error = "expected an address of http or https";
    return;
  }
  List headers;
  append(headers, "User-Agent: qwen3.cpp");
  append(headers, "Accept-Encoding: identity");  // bytes as they are hashed
  if (!server_.token.empty() && origin_of(parsed) == origin_) {
    append(headers, "Authorization: Bearer " + server_.token);
  }
  if (from > 0) append(headers, fmt::format("Range: bytes={}-", from));
  Collector collector;
  collector.reply = &reply;
  collector.receiver = receiver;
  collector.max_body = max_body;
  collector.stop = &stop_;
  CURL* curl = curl_->handle;
  curl_easy_reset(curl);  // the connection stays
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  if (!certificate_file().empty())
    curl_easy_setopt(curl, CURLOPT_CAINFO, certificate_file().c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(server_.stall_seconds));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &collector);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &collector);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &collector);
  if (receiver == nullptr) curl_easy_setopt(curl, CURLOPT_TIMEOUT, kListSeconds);
  if (is_loopback(parsed)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  const CURLcode code = curl_easy_perform(curl);
  if (collector.thrown) std::rethrow_exception(collector.thrown);
  if (collector.too_long && reply.status == 200) {
    reply.error = fmt::format("the answer is longer than {} bytes", max_body);
  } else if (code != CURLE_OK && !collector.too_long) {
    reply.error = stop_ ? "stopped" : curl_easy_strerror(code);
    reply.may_work_later = may_work_later(code) && !stop_;
  }
}

HttpReply HttpSession::get(const std::string& url,
                           BodyReceiver* receiver,
                           int64_t from,
                           size_t max_body) {
  std::string at = url;
  HttpReply reply;
  for (int i = 0;; ++i) {
    HttpReply next;
    next.headers = std::move(reply.headers);
    std::erase_if(next.headers, [](const auto& header) {
      return header.first == "location" || header.first == "link";
    });
    reply = std::move(next);
    get_once(reply, at, receiver, from, max_body);
    const std::string location(reply.header("location"));
    reply.next = next_link(reply.header("link"));
    const bool goes_on = is_redirect(reply.status) && !location.empty() && !stop_;
    if (!goes_on) return reply;
    reply.error.clear();  // a body that nobody wants may break off
    const Url to = parse_url(at);
    const bool usable = curl_url_set(to.get(), CURLUPART_URL, location.c_str(), 0) == CURLUE_OK;
    const std::string scheme = part_of(to, CURLUPART_SCHEME);
    if (!usable || (scheme != "https" && scheme != "http")) {
      reply.error = "it redirects to what is no address of http or https";
    } else if (at.starts_with("https:") && scheme != "https") {
      reply.error = "it redirects from https to http";
    } else if (i == kMaxRedirects) {
      reply.error = fmt::format("more than {} redirects", kMaxRedirects);
    }
    if (!reply.error.empty()) return reply;
    at = part_of(to, CURLUPART_URL);
  }
}

std::string percent_encoded(std::string_view text, bool slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (slashes && c == '/');
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace qwen3::hub
