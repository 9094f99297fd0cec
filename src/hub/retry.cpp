#include "hub/retry.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <thread>

#include "base/certificate_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3::hub {
namespace {

std::optional<int> whole_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// How long the server wants us to wait: `Retry-After: 30`, or `RateLimit: "api";r=0;t=55`.
std::optional<std::chrono::seconds> asked_wait(const HttpReply& reply) {
  if (const auto seconds = whole_number(reply.header("retry-after"))) {
    return std::chrono::seconds(*seconds);
  }
  const std::string_view limit = reply.header("ratelimit");
  const size_t left = limit.find("r=0;"), time = limit.find("t=");
  if (reply.status != 429 || left == limit.npos || time == limit.npos) return std::nullopt;
  const std::string_view rest = limit.substr(time + 2);
  if (const auto seconds = whole_number(trim(rest.substr(0, rest.find(';'))))) {
    return std::chrono::seconds(*seconds + 1);  // it is rounded down
  }
  return std::nullopt;
}

// What the server says of its refusal, fit for a line, and never with our own token in it.
std::string words_of_server(const HttpReply& reply, const HubServer& server) {
  std::string words(reply.header("x-error-message"));
  for (size_t at; !server.token.empty() && (at = words.find(server.token)) != words.npos;) {
    words.replace(at, server.token.size(), "…");
  }
  return words.empty() ? "" : fmt::format(" (\"{}\")", quote_for_message(words, 200));
}

bool says(const HttpReply& reply, std::string_view code) {
  return reply.header("x-error-code") == code;
}

}  // namespace

bool may_pass(const HttpReply& reply) {
  if (!reply.error.empty()) return reply.may_work_later;
  const int s = reply.status;
  return s == 408 || s == 429 || s == 500 || s == 502 || s == 503 || s == 504;
}

bool wait_for_attempt(const HttpSession& session,
                      const RetryPolicy& policy,
                      int attempt,
                      const HttpReply& reply) {
  if (attempt >= policy.attempts) return false;
  auto wait = policy.first_wait;
  for (int i = 1; i < attempt && wait < policy.longest_wait; ++i) wait *= 2;
  wait = std::min(wait, policy.longest_wait);
  if (const auto asked = asked_wait(reply)) {
    if (*asked > policy.longest_asked) return false;
    wait = *asked;
  }
  if (policy.on_wait && !session.stopped()) policy.on_wait(reply, attempt, wait);
  const auto end = std::chrono::steady_clock::now() + wait;
  while (!session.stopped()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return true;
    std::this_thread::sleep_for(
        std::min<std::chrono::steady_clock::duration>(end - now, std::chrono::milliseconds(50)));
  }
  return false;
}

void fail_for(const HttpReply& reply, const HubServer& server, std::string_view what) {
  const std::string words = words_of_server(reply, server);
  const auto refuse = [&](ErrorKind kind, std::string_view why) {
    fail(kind, "{}: {}{}", what, why, words);
  };
  if (!reply.error.empty()) {
    const bool certificate = reply.error.find("SSL") != std::string::npos;
    fail(ErrorKind::io,
         "{}: {}: {}{}",
         what,
         reply.url,
         reply.error,
         certificate ? certificate_remedy()
                     : "; the same command goes on where it stopped. Is this machine on the "
                       "network? A proxy "
                       "is named by HTTPS_PROXY, a mirror of Hugging Face by HF_ENDPOINT");
  }
  const bool known = !server.token.empty();
  if (says(reply, "GatedRepo")) {
    refuse(ErrorKind::not_found,
           known ? "access to this model is not granted to the owner of the token; ask for it on "
                   "its page"
                 : "this model asks for consent to its terms: give it on its page, then set "
                   "HF_TOKEN to a token of "
                   "yours (or run hf auth login)");
  }
  if (says(reply, "RevisionNotFound")) refuse(ErrorKind::not_found, "no such revision");
  if (says(reply, "EntryNotFound")) refuse(ErrorKind::not_found, "no such file there");
  if (reply.status == 401 && known && !says(reply, "RepoNotFound")) {
    refuse(ErrorKind::not_found, "the hub refuses the token; is HF_TOKEN right, and still valid?");
  }
  if (reply.status == 401 || reply.status == 404) {
    refuse(ErrorKind::not_found,
           known ? "the hub has no such model, or it is private and not the token's to see"
                 : "the hub has no such model, or it is private: then set HF_TOKEN to a token that "
                   "may see it");
  }
  if (reply.status == 403) refuse(ErrorKind::not_found, "the hub forbids access");
  if (reply.status == 429) {
    const auto asked = asked_wait(reply);
    refuse(ErrorKind::busy,
           asked ? fmt::format("the hub has had too many requests; it asks to wait {} s",
                               asked->count())
                 : std::string("the hub has had too many requests; try later"));
  }
  fail(ErrorKind::io,
       "{}: {}: the hub answers with status {}{}",
       what,
       reply.url,
       reply.status,
       words);
}

HttpReply get_text(HttpSession& session,
                   const RetryPolicy& policy,
                   const std::string& url,
                   std::string_view what,
                   size_t max_body) {
  for (int attempt = 1;; ++attempt) {
    HttpReply reply = session.get(url, nullptr, 0, max_body);
    if (reply.error.empty() && reply.status == 200) return reply;
    if (!may_pass(reply) || !wait_for_attempt(session, policy, attempt, reply)) {
      fail_for(reply, session.server(), what);
    }
  }
}

}  // namespace qwen3::hub
