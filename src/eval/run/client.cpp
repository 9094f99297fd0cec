#include "eval/run/client.h"

#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "eval/run/chat_reply.h"
#include "eval/run/chat_request.h"
#include "eval/run/http.h"
#include "eval/run/server_pool.h"

namespace qwen3::eval {
namespace {

using Time = Clock::time_point;

constexpr double kOfficialTimeoutSeconds = 99999;
constexpr double kProbeTimeoutSeconds = 10;
constexpr std::chrono::seconds kMostRetryAfter{600};

std::chrono::nanoseconds as_duration(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

double as_seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// One question on its way.
struct Job {
  uint64_t tag = 0;
  Want want = Want::answer;
  std::string body;
  int attempts = 0;
  Time deadline = Time::max();
  Time not_before{};
};

// One HTTP request under way.
struct Transfer {
  Job job;
  size_t server = 0;
  Time started;
  ReplyBody reply;
  std::array<char, CURL_ERROR_SIZE> error{};
  CurlEasy handle;  // last: it goes first, and points to the others
};

// Nobody took the request: it costs no attempt.
bool never_sent(CURLcode code, CURL* handle) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
      return true;
    case CURLE_OPERATION_TIMEDOUT: {
      long sent = 0;
      curl_easy_getinfo(handle, CURLINFO_REQUEST_SIZE, &sent);
      return sent == 0;
    }
    default:
      return false;
  }
}

}  // namespace

struct HttpClient::Impl {
  Impl(const EvalConfig& given, Mode how, const std::string& api_key)
      : config(given),
        mode(how),
        settings(request_settings(given, how)),
        headers(request_headers(api_key)),
        backoff(given.retry_base_seconds, given.retry_max_seconds),
        pool(given.base_urls.size(), backoff, Clock::now()),
        multi(curl_multi_init()) {
    for (const std::string& url : config.base_urls) servers.push_back(parse_server_address(url));
    QWEN3_CHECK(multi != nullptr, ErrorKind::io, "libcurl: cannot start");
    curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(config.max_workers + 8));
  }

  ~Impl() {
    for (auto& [handle, transfer] : transfers) curl_multi_remove_handle(multi.get(), handle);
  }

  void start_due(Time now);
  void start(Job job, size_t server, Time now);
  void collect(Time now, std::vector<Reply>& replies);
  void finish(Transfer& transfer, CURLcode code, Time now, std::vector<Reply>& replies);
  void finish_reply(Transfer& transfer, Time now, std::vector<Reply>& replies);
  void server_away(Transfer& transfer, Time now, const std::string& why);
  void try_again(Transfer& transfer, Failure failure, Time now, std::vector<Reply>& replies);
  void give(const Transfer& transfer,
            std::variant<Answer, Failure> result,
            Time now,
            std::vector<Reply>& replies) const;
  void drop_late(Time now, std::vector<Reply>& replies);
  void check_servers(Time now) const;
  std::chrono::milliseconds sleep_time(Time now, Time until) const;
  std::chrono::seconds retry_after(const Transfer& transfer) const;

  EvalConfig config;
  Mode mode;
  Json settings;
  CurlList headers;
  std::vector<ServerAddress> servers;
  Backoff backoff;
  ServerPool pool;
  CurlMulti multi;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers;
  std::deque<Job> ready;
  std::list<Job> delayed;  // short: failures only
  std::string last_problem;
  Json served = Json::array();
};

void HttpClient::Impl::start_due(Time now) {
  for (auto job = delayed.begin(); job != delayed.end();) {
    const auto here = job++;
    if (here->not_before > now) continue;
    ready.push_back(std::move(*here));
    delayed.erase(here);
  }
  while (!ready.empty()) {
    const std::optional<size_t> server = pool.pick(now);
    if (!server) return;
    Job job = std::move(ready.front());
    ready.pop_front();
    start(std::move(job), *server, now);
  }
}

void HttpClient::Impl::start(Job job, size_t server, Time now) {
  auto transfer = std::make_unique<Transfer>();
  transfer->reply.max_bytes = config.max_response_bytes;
  transfer->handle = make_request_handle(servers[server], headers.get(), transfer->reply);
  transfer->job = std::move(job);
  transfer->server = server;
  transfer->started = now;
  CURL* curl = transfer->handle.get();
  const double timeout =
      config.timeout_seconds > 0 ? config.timeout_seconds : kOfficialTimeoutSeconds;
  auto limit = std::chrono::ceil<std::chrono::milliseconds>(as_duration(timeout));
  if (transfer->job.deadline != Time::max()) {
    limit =
        std::min(limit, std::chrono::ceil<std::chrono::milliseconds>(transfer->job.deadline - now));
  }
  const bool chat = transfer->job.want == Want::answer;
  const std::string url = servers[server].base + (chat ? "/chat/completions" : "/completions");
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->error.data());
  curl_easy_setopt(
      curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer->job.body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->job.body.data());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, std::max<long>(1, static_cast<long>(limit.count())));
  const CURLMcode code = curl_multi_add_handle(multi.get(), curl);
  QWEN3_CHECK(code == CURLM_OK, ErrorKind::io, "libcurl: {}", curl_multi_strerror(code));
  transfers.emplace(curl, std::move(transfer));
}

void HttpClient::Impl::collect(Time now, std::vector<Reply>& replies) {
  int n_running = 0;
  const CURLMcode code = curl_multi_perform(multi.get(), &n_running);
  QWEN3_CHECK(code == CURLM_OK, ErrorKind::io, "libcurl: {}", curl_multi_strerror(code));
  int n_left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &n_left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;
    const auto found = transfers.find(message->easy_handle);
    curl_multi_remove_handle(multi.get(), found->first);
    const std::unique_ptr<Transfer> transfer = std::move(found->second);
    transfers.erase(found);
    finish(*transfer, result, now, replies);
  }
}

void HttpClient::Impl::finish(Transfer& transfer,
                              CURLcode code,
                              Time now,
                              std::vector<Reply>& replies) {
  if (code == CURLE_OK) return finish_reply(transfer, now, replies);
  std::string why = transfer.error[0] != 0 ? transfer.error.data() : curl_easy_strerror(code);
  why = quote_for_message(why, 200);
  if (never_sent(code, transfer.handle.get())) return server_away(transfer, now, why);
  pool.broke_off(transfer.server);
  ++transfer.job.attempts;
  if (transfer.reply.too_large) {
    why =
        fmt::format("the reply is larger than max_response_bytes ({})", config.max_response_bytes);
    return give(transfer, Failure{FailureKind::too_large, 0, why}, now, replies);
  }
  const bool late = code == CURLE_OPERATION_TIMEDOUT;
  try_again(transfer,
            {late ? FailureKind::timeout : FailureKind::connection, 0, std::move(why)},
            now,
            replies);
}

void HttpClient::Impl::finish_reply(Transfer& transfer, Time now, std::vector<Reply>& replies) {
  long status = 0;
  curl_easy_getinfo(transfer.handle.get(), CURLINFO_RESPONSE_CODE, &status);
  const auto code = static_cast<int>(status);
  auto result = transfer.job.want == Want::answer
                    ? read_chat_reply(code, transfer.reply.text, mode)
                    : read_completion_reply(code, transfer.reply.text);
  Problem* problem = std::get_if<Problem>(&result);
  if (status == 503 && problem != nullptr && problem->again) {
    return server_away(transfer, now, fmt::format("503: {}", problem->failure.message));
  }
  pool.answered(transfer.server, now);
  ++transfer.job.attempts;
  if (problem == nullptr) {
    give(transfer, std::move(std::get<Answer>(result)), now, replies);
  } else if (problem->again) {
    try_again(transfer, std::move(problem->failure), now, replies);
  } else {
    give(transfer, std::move(problem->failure), now, replies);
  }
}

std::chrono::seconds HttpClient::Impl::retry_after(const Transfer& transfer) const {
  curl_off_t seconds = 0;
  curl_easy_getinfo(transfer.handle.get(), CURLINFO_RETRY_AFTER, &seconds);
  return std::clamp(std::chrono::seconds(seconds), std::chrono::seconds(0), kMostRetryAfter);
}

// The question waits for any server, in front of those that have not been asked yet.
void HttpClient::Impl::server_away(Transfer& transfer, Time now, const std::string& why) {
  last_problem = fmt::format("{}: {}", servers[transfer.server].shown, why);
  pool.away(transfer.server, now, retry_after(transfer));
  ready.push_front(std::move(transfer.job));
}

void HttpClient::Impl::try_again(Transfer& transfer,
                                 Failure failure,
                                 Time now,
                                 std::vector<Reply>& replies) {
  Job& job = transfer.job;
  if (job.attempts >= config.attempts) return give(transfer, std::move(failure), now, replies);
  const auto wait =
      std::max<std::chrono::nanoseconds>(retry_after(transfer), backoff.after(job.attempts));
  if (job.deadline != Time::max() && now + wait >= job.deadline) {
    failure.message = "deadline reached; the last problem was: " + failure.message;
    failure.kind = FailureKind::deadline;
    return give(transfer, std::move(failure), now, replies);
  }
  job.not_before = now + wait;
  delayed.push_back(std::move(job));
}

void HttpClient::Impl::give(const Transfer& transfer,
                            std::variant<Answer, Failure> result,
                            Time now,
                            std::vector<Reply>& replies) const {
  replies.push_back({.tag = transfer.job.tag,
                     .result = std::move(result),
                     .attempts = transfer.job.attempts,
                     .seconds = as_seconds(now - transfer.started),
                     .server = servers[transfer.server].shown});
}

// Questions that wait for a server longer than they may.
void HttpClient::Impl::drop_late(Time now, std::vector<Reply>& replies) {
  if (config.deadline_seconds <= 0) return;
  const auto late = [&](Job& job) {
    if (now < job.deadline) return false;
    const std::string why = last_problem.empty() ? "no server was free in time" : last_problem;
    replies.push_back({.tag = job.tag,
                       .result = Failure{FailureKind::deadline, 0, why},
                       .attempts = job.attempts});
    return true;
  };
  ready.erase(std::remove_if(ready.begin(), ready.end(), late), ready.end());
}

void HttpClient::Impl::check_servers(Time now) const {
  if (!pool.all_away() || !transfers.empty()) return;
  const auto silence = now - pool.last_answer();
  QWEN3_CHECK(silence < as_duration(config.server_wait_seconds),
              ErrorKind::io,
              "no server has answered for {:.0f} s ({}); start the server and run the same "
              "command again to resume, or set server_wait (seconds) to wait longer",
              as_seconds(silence),
              last_problem);
}

std::chrono::milliseconds HttpClient::Impl::sleep_time(Time now, Time until) const {
  Time wake = until;
  for (const Job& job : delayed) wake = std::min(wake, job.not_before);
  if (const auto next = pool.next_try(); next && !ready.empty()) wake = std::min(wake, *next);
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::ceil<std::chrono::milliseconds>(wake - now));
}

HttpClient::HttpClient(const EvalConfig& config, Mode mode, const std::string& api_key)
    : impl_(std::make_unique<Impl>(config, mode, api_key)) {}

HttpClient::~HttpClient() = default;

void HttpClient::ask(Question question) {
  Job job;
  job.tag = question.tag;
  job.want = question.want;
  job.body = dump_json(
      question.want == Want::answer
          ? request_body(
                impl_->config, impl_->mode, impl_->settings, question.prompt, question.sample)
          : completion_body(impl_->settings, question.prompt));
  if (impl_->config.deadline_seconds > 0) {
    job.deadline = Clock::now() + as_duration(impl_->config.deadline_seconds);
  }
  impl_->ready.push_back(std::move(job));
}

std::vector<Reply> HttpClient::wait(std::chrono::milliseconds patience) {
  const Time until = Clock::now() + patience;
  std::vector<Reply> replies;
  while (true) {
    const Time now = Clock::now();
    impl_->drop_late(now, replies);
    impl_->start_due(now);
    impl_->collect(now, replies);
    if (!replies.empty() || now >= until) return replies;
    impl_->check_servers(now);
    const auto sleep = impl_->sleep_time(now, until);
    const CURLMcode code =
        curl_multi_poll(impl_->multi.get(), nullptr, 0, static_cast<int>(sleep.count()), nullptr);
    QWEN3_CHECK(code == CURLM_OK, ErrorKind::io, "libcurl: {}", curl_multi_strerror(code));
  }
}

Json HttpClient::served() const { return impl_->served; }

std::string HttpClient::condition() const {
  return impl_->pool.all_away() ? "waiting for " + impl_->last_problem : std::string();
}

namespace {

// What a server says about itself and the model that is asked for: {"version", "model": {…}}.
Json server_facts(const ServerAddress& server,
                  const curl_slist* headers,
                  const std::string& model,
                  const std::string& models_body,
                  const std::function<void(const std::string&)>& note) {
  Json facts = Json::object();
  const GetResult version =
      http_get(server, server.root + "/version", headers, kProbeTimeoutSeconds);
  const auto read = [&](const std::string& body) {
    try {
      return parse_json(body, server.shown);
    } catch (const Error&) {  // a server need not tell
      return Json();
    }
  };
  const Json told = version.status == 200 ? read(version.body) : Json();
  if (told.is_object() && told.contains("version")) facts["version"] = told["version"];

  const Json models = read(models_body);
  if (!models.is_object() || !models.contains("data") || !models["data"].is_array()) return facts;
  bool known = false;
  for (const Json& entry : models["data"]) {
    if (!entry.is_object() || !entry.contains("id") || entry["id"] != model) continue;
    known = true;
    for (const char* key : {"id", "root", "max_model_len"}) {
      if (entry.contains(key)) facts["model"][key] = entry[key];
    }
  }
  if (!known) {
    note(fmt::format("{} does not list the model {}", server.shown, quote_for_message(model)));
  }
  return facts;
}

}  // namespace

void HttpClient::find_servers(const std::function<bool()>& stopped,
                              const std::function<void(const std::string&)>& note) {
  const Time start = Clock::now();
  constexpr std::chrono::milliseconds kPause{200};
  bool any = false;
  for (bool first = true; !any && !stopped(); first = false) {
    for (const ServerAddress& server : impl_->servers) {
      const GetResult models =
          http_get(server, server.base + "/models", impl_->headers.get(), kProbeTimeoutSeconds);
      if (models.status == 0) {
        impl_->last_problem = fmt::format("{}: {}", server.shown, models.error);
        if (first) note(impl_->last_problem);
        continue;
      }
      any = true;
      const Json facts = server_facts(server,
                                      impl_->headers.get(),
                                      impl_->config.model_name,
                                      models.status == 200 ? models.body : std::string(),
                                      note);
      auto& served = impl_->served;
      if (!facts.empty() && std::find(served.begin(), served.end(), facts) == served.end()) {
        served.push_back(facts);
      }
    }
    if (any) break;
    QWEN3_CHECK(as_seconds(Clock::now() - start) < impl_->config.server_wait_seconds,
                ErrorKind::io,
                "{}; no server answered; start one, or correct base_url",
                impl_->last_problem);
    if (first) {
      note(
          fmt::format("waiting for a server, for up to {:g} s; start one (qwen3 serve), or answer "
                      "in this process with -m MODEL",
                      impl_->config.server_wait_seconds));
    }
    std::this_thread::sleep_for(kPause);
  }
  impl_->pool = ServerPool(impl_->servers.size(), impl_->backoff, Clock::now());
}

}  // namespace qwen3::eval
