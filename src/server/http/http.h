// What the HTTP front and the handlers of the API know of each other. No socket and no Boost type
// crosses this line, and no handler knows on which thread a connection lives.
//
//   connection (I/O thread) ── HttpRequest, Exchange ──> handler (worker thread)
//                           <── head, body pieces, end ── any thread, through Exchange
//
// The front has checked everything that does not depend on the route before a handler runs: method
// and target, sizes, content type, Host and Origin, the key.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace qwen3::server {

// The key a request came with.
struct Client {
  std::string name;  // of the key, for logs and fairness; "" on a server without keys
  std::string salt;  // separates prefix caches: differs between keys, unknown to clients
};

struct HttpRequest {
  std::string method;  // "GET", "POST" …, upper case
  std::string path;    // decoded and matched by the route table: "/v1/models"
  std::string tail;    // what a route ending in "/*" left open: the id in "/v1/models/{id}"
  std::string query;   // raw, without '?'
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;  // whole, well-formed UTF-8 when the type is JSON
  std::string id;    // of this request: the x-request-id of the answer
  std::string peer;  // the address of the socket's other end
  Client client;
  std::chrono::steady_clock::time_point received;

  // The value of the only header of that name; "" when there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // further ones, e.g. Retry-After
  std::string body = {};
};

// What an answer adds to the log line of its request; a number is a number there.
using NoteValue = std::variant<std::string, int64_t>;

// How an answer in pieces looks, and what the front writes into it by itself.
struct StreamForm {
  std::string content_type = "text/event-stream";
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Of an event stream only. What is sent after a silence: a comment line, which clients skip, or an
  // event that they see.
  std::string ping = ": ping\n\n";
  std::chrono::milliseconds ping_interval{0};  // 0: the server's; never longer than that
  // The last event of a stream that the front has to end; empty: as the chat API ends one. Called
  // on any thread.
  std::function<std::string(std::string_view message, std::string_view code)> last_event = {};
};

// One answer in progress. Every function may be called from any thread, never blocks, and does
// nothing once the client is gone; calls of one thread keep their order. Exactly one of send() and
// start_stream() is called, once (a second one throws Error{internal}); a handler that drops its
// Exchange without either, or by an exception, gets a 500 sent, and a stream that is dropped before
// end() is ended with an error event.
//
// A client that closes its sending side is taken for gone, as it cannot be told apart from one that
// closed altogether: streams end and on_disconnect is called. An answer by send() is still tried.
// (The difference would show when something is written, but a whole answer is written at its end,
// and computing it for nobody is what we want to avoid.)
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual void send(HttpResponse response) = 0;

  // An answer in pieces (chunked). An event stream that stays silent for the ping interval gets a
  // ping from the front. The piece goes out at once; pieces that pile up unread beyond the output
  // limit cut the connection.
  virtual void start_stream(StreamForm form = {}) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;

  // Runs `work` on this connection's thread, after everything posted before. For work that follows
  // events of the engine, which must not be done on the engine thread. Dropped once the exchange
  // is over.
  virtual void post(std::function<void()> work) = 0;

  // Called once, on the connection's thread, when the client goes away before the answer is
  // complete (or is cut off, or the server's grace period is over); at once, by the caller's
  // thread, if that has happened already. Not called after a complete answer. Must not throw.
  virtual void on_disconnect(std::function<void()> action) = 0;

  virtual bool gone() const = 0;

  // Memory is what was lacking, should the last handle go without an answer.
  virtual void no_memory() noexcept {}

  // Says how many bytes the handler keeps for this request from now on, besides what the front
  // counts itself: the body while the handler runs, and what is on its way to the client. False
  // when they are not available; the earlier number stands then, and the handler should give up
  // with 503.
  virtual bool hold(int64_t bytes) = 0;

  // For the log line of this request: "model", "prompt_tokens" … Values are escaped by the log;
  // those beyond what the line holds (about 3 KiB) are left out. Never text of a prompt.
  virtual void note(std::string key, NoteValue value) = 0;
};

struct BodyLimit {
  int64_t bytes = 0;
  std::string why;  // completes "a body may have 10 bytes, because …"; "" when nothing is special
};

using Handler = std::function<void(const HttpRequest&, std::shared_ptr<Exchange>)>;

// Gives an answer that the front makes in a handler's place (no key, a body too large) the form of
// the route's API. `request_id` as in HttpRequest.
using RefusalForm = void (*)(HttpResponse& refusal, std::string_view request_id);

// One row of the one route table. Everything is refused that no row allows; the tests of
// authentication are generated from the rows.
struct Route {
  enum class Access { open, keyed };  // open: needs no key (health)

  std::string method;  // a row for GET answers HEAD as well
  std::string path;    // exact, or ending in "/*" with one non-empty segment or more after it
  Access access = Access::keyed;
  Handler handler;
  // The handler neither blocks nor computes (health, metrics): it runs on the connection's thread,
  // and so answers when every worker is busy.
  bool quick = false;
  // Shows nothing of anybody: probes of balancers and orchestrators, which know no name of this
  // server, may ask under any Host. Never for a row that answers with data.
  bool any_host = false;
  // The longest body that can be of use, where that is less than the server's limit; it is asked
  // for each request. Longer ones are refused unread.
  std::function<BodyLimit()> body_limit = {};
  RefusalForm refusal_form = nullptr;  // null: OpenAI's error object
};

}  // namespace qwen3::server
