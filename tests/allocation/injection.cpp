#include "allocation/injection.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <new>

#include "allocation/failing_new.h"
#include "base/json.h"
#include "engine/engine_core.h"
#include "qwen3/engine.h"
#include "server/api/api.h"
#include "server/api/served_model.h"
#include "server/http/support.h"

namespace qwen3::server::testing {
namespace {

using qwen3::testing::FailingNew;
using qwen3::testing::SparedThread;

const std::filesystem::path kNano = std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano";
constexpr int64_t kVocab = 2560;
constexpr int64_t kContext = 2048;
// What the script says, from whatever place of the sequence: a call among words.
constexpr std::string_view kScript =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";

// Follows kScript by the position of a token, with the allocations of a runner and no arithmetic.
class ScriptedRunner final : public ModelRunner {
 public:
  explicit ScriptedRunner(std::vector<int32_t> script) : script_(std::move(script)) {}

  int64_t vocab_size() const override { return kVocab; }
  Tensor run(const Batch& batch, Tap*) override {
    logits_.assign(batch.logit_rows.size() * kVocab, 0.0f);
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const auto position = batch.positions[static_cast<size_t>(batch.logit_rows[i])];
      const int32_t token = script_[static_cast<size_t>(position) % script_.size()];
      logits_[i * kVocab + static_cast<size_t>(token)] = 20.0f;
    }
    return Tensor::view(logits_, {static_cast<int64_t>(batch.logit_rows.size()), kVocab});
  }

 private:
  const std::vector<int32_t> script_;
  std::vector<float> logits_;
};

CoreOptions core_options() {
  return {.scheduler = {.n_blocks = 256,
                        .block_size = 8,
                        .max_batch_tokens = 64,
                        .max_sequences = 8,
                        .max_logit_rows = 16},
          .limits = {.n_real_tokens = kVocab, .max_model_len = kContext, .has_head = true},
          .max_waiting = 16,
          .eos_token_ids = {2536},
          .check_every_step = true};
}

// Loses a request whose submission has no memory: what a catch without thought would do.
class SwallowingGenerator final : public Generator {
 public:
  explicit SwallowingGenerator(std::unique_ptr<Generator> behind) : behind_(std::move(behind)) {}
  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    try {
      return behind_->submit(std::move(request), on_event);
    } catch (const std::bad_alloc&) {
      const SparedThread spared;
      kept_.push_back(std::move(on_event));
      return 0;
    }
  }
  void cancel(uint64_t id) override { behind_->cancel(id); }
  EngineStats stats() const override { return behind_->stats(); }
  int64_t max_model_len() const override { return behind_->max_model_len(); }

 private:
  const std::unique_ptr<Generator> behind_;
  std::vector<Engine::OnEvent> kept_;
};

std::unique_ptr<Generator> make_generator(InjectedServer::Brain brain, const Text& text) {
  if (brain == InjectedServer::Brain::nano) {
    return std::make_unique<EngineGenerator<Engine>>(
        Model::load(kNano, {.n_threads = 2}),
        EngineOptions{.max_model_len = kContext, .kv_cache_bytes = 16 << 20});
  }
  return std::make_unique<EngineGenerator<EngineCore>>(
      std::make_unique<ScriptedRunner>(text.encode(kScript)), core_options());
}

std::unique_ptr<ServedModel> make_model(InjectedServer::Brain brain,
                                        Defect defect,
                                        const ServiceOptions& options) {
  Text text = Text::load(kNano);
  std::unique_ptr<Generator> generator = make_generator(brain, text);
  if (defect == Defect::swallows_request) {
    generator = std::make_unique<SwallowingGenerator>(std::move(generator));
  }
  ModelInfo info;
  info.name = "nano";
  info.vocab_size = kVocab;
  info.max_position_embeddings = kContext;
  return make_served_model({.text = std::move(text),
                            .generator = std::move(generator),
                            .info = info,
                            .shape = {.hidden_size = 64}},
                           options);
}

// Turns what has no memory into the client's fault.
Handler with_wrong_status(Handler handler) {
  return [handler = std::move(handler)](const HttpRequest& request,
                                        std::shared_ptr<Exchange> exchange) {
    try {
      const std::vector<char> scratch(1);
      handler(request, exchange);
    } catch (const std::bad_alloc&) {
      const SparedThread spared;
      exchange->send({.status = 400, .body = "{}"});
    }
  };
}

// An "@" in the body becomes another number each time, so that nothing of it is kept already.
std::string text_of(const InjectedRequest& request, uint16_t port) {
  static int64_t n_sent = 0;
  std::string body = request.body;
  if (const size_t at = body.find('@'); at != body.npos) {
    body.replace(at, 1, std::to_string(++n_sent));
  }
  return post(port, request.path, body, "Connection: close\r\n");
}

// Everything until the server closes.
struct Exchanged {
  std::string got;
  bool ended = false;
};

Exchanged exchange(uint16_t port,
                   const std::string& text,
                   std::chrono::milliseconds patience = kPatience) {
  RawClient client(port);
  if (client.connected()) client.send(text);
  while (client.receive(patience)) {
  }
  return {std::move(client.received()), client.ended()};
}

int status_of(const std::string& got) {
  return got.starts_with("HTTP/1.1 ") ? std::stoi(got.substr(9, 3)) : 0;
}

// Whether the chunks of a body are whole ones as far as they go.
bool chunks_are_sound(std::string_view got) {
  const size_t head = got.find("\r\n\r\n");
  if (head == got.npos || got.substr(0, head).find("transfer-encoding: chunked") == got.npos) {
    return true;
  }
  std::string_view rest = got.substr(head + 4);
  while (!rest.empty()) {
    const size_t line = rest.find("\r\n");
    if (line == rest.npos) return rest.size() < 20;  // cut in its length
    size_t size = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + line, size, 16);
    if (error != std::errc{} || end != rest.data() + line) return false;
    if (rest.size() < line + 2 + size + 2) return true;  // cut
    if (rest.substr(line + 2 + size, 2) != "\r\n") return false;
    rest.remove_prefix(line + 2 + size + 2);
  }
  return true;
}

const InjectedRequest& plain_chat() { return small_requests().front(); }

}  // namespace

const std::vector<InjectedRequest>& small_requests() {
  static const std::vector<InjectedRequest> requests = [] {
    const std::string chat = "/v1/chat/completions";
    const std::string hi = R"({"messages":[{"role":"user","content":"Hi, how are you?"}],)"
                           R"("temperature":0,"max_tokens":)";
    const std::string tools =
        R"(,"tools":[{"type":"function","function":{"name":"get_weather","description":"d",)"
        R"("parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}])";
    return std::vector<InjectedRequest>{
        {"chat", chat, hi + "6}"},
        {"stream", chat, hi + R"(6,"stream":true,"stream_options":{"include_usage":true}})"},
        {"tools", chat, hi + "40" + tools + R"(,"stream":true})"},
        {"several", chat, hi + R"(6,"n":3,"logprobs":true,"top_logprobs":2})"},
        {"completion",
         "/v1/completions",
         R"({"prompt":["One","Two"],"max_tokens":4,"logprobs":1,)"
         R"("echo":true,"stop":["zebra"]})"},
        {"grammar", chat, hi + R"(6,"structured_outputs":{"regex":"(a|b)*a(a|b){5}@"}})"},
        {"tokenize", "/tokenize", R"({"prompt":"One two three"})"},
        {"refused", chat, R"({"messages":[{"role":"nobody"}]})", 400},
    };
  }();
  return requests;
}

InjectedRequest many_calls(int n_calls) {
  std::string calls;
  for (int i = 0; i < n_calls; ++i) {
    calls += fmt::format(
        R"({}{{"id":"c{}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}})",
        i > 0 ? "," : "",
        i);
  }
  return {fmt::format("{} calls", n_calls),
          "/v1/chat/completions",
          R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[)" +
              calls + R"(]},{"role":"user","content":"y"}],"max_tokens":2})",
          400};  // far beyond the context
}

// A defect that makes a request wait for ever is put in to be found: soon.
InjectedServer::InjectedServer(Brain brain, Defect defect)
    : patience_(defect == Defect::none ? kPatience : std::chrono::milliseconds(2000)) {
  ServiceOptions options{.model_names = {"nano"}, .metrics = true, .version = "0"};
  service_ = std::make_unique<Service>(options);
  service_->set_model(make_model(brain, defect, options));
  std::vector<Route> routes = make_routes(*service_);
  if (defect == Defect::wrong_status) {
    for (Route& route : routes) route.handler = with_wrong_status(std::move(route.handler));
  }
  HttpOptions http = test_options();
  http.access_log = [](std::string_view) {};
  http_ = std::make_unique<HttpServer>(http, std::move(routes));
}

InjectedServer::~InjectedServer() { http_->stop(std::chrono::seconds(1)); }

int64_t InjectedServer::count(const InjectedRequest& request) {
  const SparedThread spared;
  const FailingNew counting(FailingNew::kNever);
  exchange(port(), text_of(request, port()));
  return counting.n_seen();
}

std::string InjectedServer::judge(const InjectedRequest& request,
                                  const std::string& got,
                                  bool ended) {
  if (!ended) return fmt::format("no end within the patience, got \"{}\"", got.substr(0, 200));
  const int status = status_of(got);
  ++outcomes_[status];
  if (status == 0 && got.empty()) return {};
  if (!chunks_are_sound(got)) return fmt::format("broken chunks: \"{}\"", got);
  if (status == request.status || status == 503) return {};
  return fmt::format(
      "expected {}, 503 or nothing, got \"{}\"", request.status, got.substr(0, 1000));
}

std::optional<InjectedServer::Finding> InjectedServer::inject(const InjectedRequest& request,
                                                              int64_t nth,
                                                              int64_t n_failing) {
  const SparedThread spared;
  std::string problem;
  {
    const std::string text = text_of(request, port());
    const FailingNew failing(nth, n_failing);
    const Exchanged first = exchange(port(), text, patience_);
    problem = judge(request, first.got, first.ended);
  }
  if (problem.empty()) {
    const Exchanged fresh = exchange(port(), text_of(plain_chat(), port()));
    if (status_of(fresh.got) != 200) {
      problem = fmt::format("the next request got \"{}\"", fresh.got.substr(0, 600));
    }
  }
  if (problem.empty()) return std::nullopt;
  return Finding{nth, std::move(problem)};
}

std::optional<InjectedServer::Finding> InjectedServer::check_empty() {
  const SparedThread spared;
  std::string state;
  const auto is_empty = [&] {
    const EngineStats stats = service_->model().generator->stats();
    const HttpCounters http = http_->counters();
    state = fmt::format(
        "{} connections, {} exchanges, {} generations; engine: {} running, {} waiting, {} of {} "
        "blocks free",
        http.connections_open,
        http.exchanges_open,
        service_->n_active(),
        stats.n_running,
        stats.n_waiting,
        stats.n_free_blocks,
        stats.n_blocks);
    return http.connections_open == 0 && http.exchanges_open == 0 && service_->n_active() == 0 &&
           stats.n_running == 0 && stats.n_waiting == 0 && stats.n_free_blocks == stats.n_blocks;
  };
  if (wait_for(is_empty)) return std::nullopt;
  return Finding{0, "something is left: " + state};
}

}  // namespace qwen3::server::testing
