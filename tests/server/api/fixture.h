// The API in front of a scripted engine, with the tokenizer and template of models/nano.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "engine/constrained_answer.h"
#include "server/api/api.h"
#include "server/api/fake_exchange.h"
#include "server/api/served_model.h"
#include "server/api/service.h"

namespace qwen3::server {

inline const std::filesystem::path kNano = std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano";

inline constexpr int32_t kYes = 100, kNo = 200;

inline const Text& nano_text() {
  static const Text text = Text::load(kNano);
  return text;
}

// An engine that says what it is told to: all events come before submit() returns, which is the
// earliest that the contract allows.
class ScriptedGenerator final : public Generator {
 public:
  static constexpr int32_t kEnd = 2536;  // <|im_end|>
  static constexpr int64_t kHidden = 8;
  static constexpr int64_t kRank = 77;  // of every token of a prompt

  // The tokens of the answer, without the end token.
  std::function<std::vector<int32_t>(const Request&, size_t nth)> script;
  std::function<void(size_t n_made)> before_token;
  // Of row n of the sequence's answer, or of all its rows when the prompt's are asked for.
  std::function<std::vector<uint16_t>(size_t row)> experts;
  std::optional<PromptProgress> progress;     // told to who asks
  std::optional<Error> refusal;               // thrown by submit
  std::optional<FinishReason> forced_finish;  // instead of tokens
  int64_t context = 2048;
  std::vector<Request> requests;

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    if (refusal) throw *refusal;
    check(request);
    const size_t nth = requests.size();
    requests.push_back(request);
    Event event;
    event.usage.prompt_tokens = static_cast<int64_t>(request.prompt_ids.size());
    event.usage.cached_tokens = 3;
    if (forced_finish) {
      event.finish = forced_finish;
      event.error = "scripted";
      on_event(event);
    } else if (request.embed) {
      event.finish = FinishReason::stop;
      for (int64_t i = 0; i < kHidden; ++i) {
        event.embedding.push_back(static_cast<float>(
            request.prompt_ids[static_cast<size_t>(i) % request.prompt_ids.size()] + i));
      }
      on_event(event);
    } else {
      generate(request, nth, event, on_event);
    }
    return nth + 1;
  }
  void cancel(uint64_t) override { ++n_cancelled; }
  EngineStats stats() const override {
    return {.n_running = 2, .n_waiting = 1, .n_blocks = 10, .n_free_blocks = 4, .n_steps = 7};
  }
  int64_t max_model_len() const override { return context; }
  int n_cancelled = 0;

 private:
  static void check(const Request& request) {
    EXPECT_FALSE(request.prompt_ids.empty());
    for (const int32_t id : request.prompt_ids) EXPECT_TRUE(id >= 0 && id < 2560);
    EXPECT_TRUE(request.sampling.max_tokens == -1 || request.sampling.max_tokens >= 1);
    EXPECT_TRUE(std::isfinite(request.sampling.temperature));
  }

  void generate(const Request& request, size_t nth, Event event, const Engine::OnEvent& on_event) {
    const std::vector<int32_t> wanted = script ? script(request, nth) : std::vector<int32_t>();
    std::vector<int32_t> made;
    const auto constrained = constrain(request);
    if (request.report_progress && progress) {
      Event word;
      word.progress = progress;
      on_event(word);
    }
    for (size_t next = 0;;) {
      if (before_token) before_token(made.size());
      int32_t id = next < wanted.size() ? wanted[next] : kEnd;
      if (!request.score_ids.empty()) return score(request, id, std::move(event), on_event);
      const int32_t chosen = constrained ? choose(constrained->allowed(), id) : id;
      if (chosen == id) ++next;
      id = chosen;
      Event one = event;
      if (!made.empty()) one.prompt_logprobs.clear();
      if (made.empty() && request.n_prompt_logprobs >= 0) one.prompt_logprobs = prompt(request);
      if (experts) add_experts(one, request, made.size());
      made.push_back(id);
      one.token_id = id;
      one.is_end_token = (id == kEnd && !request.sampling.ignore_eos) ||
                         std::ranges::find(request.sampling.stop_token_ids, id) !=
                             request.sampling.stop_token_ids.end();
      if (request.sampling.n_logprobs >= 0) {
        one.logprob = {id, -0.5f};
        one.top_logprobs = rivals(id, request.sampling.n_logprobs);
      }
      if (one.is_end_token || (constrained && constrained->accept(id)))
        one.finish = FinishReason::stop;
      else if (static_cast<int64_t>(made.size()) == request.sampling.max_tokens)
        one.finish = FinishReason::length;
      one.usage.completion_tokens = static_cast<int64_t>(made.size());
      on_event(one);
      if (one.finish) return;
    }
  }

  static std::unique_ptr<ConstrainedAnswer> constrain(const Request& request) {
    if (request.constraint == nullptr) return nullptr;
    return std::make_unique<ConstrainedAnswer>(
        request.constraint,
        ConstrainedAnswer::Facts{.vocab_size = 2560,
                                 .n_real_tokens = 2560,
                                 .eos_ids = request.sampling.ignore_eos
                                                ? std::vector<int32_t>()
                                                : std::vector<int32_t>{kEnd},
                                 .stop_ids = request.sampling.stop_token_ids,
                                 .min_tokens = request.sampling.min_tokens},
        std::span<const int32_t>());
  }

  // Of a model that wants it most, with a logit of 5, and everything else alike, with 0.
  static void score(const Request& request,
                    int32_t wanted,
                    Event event,
                    const Engine::OnEvent& on_event) {
    const double log_sum_exp = std::log(std::exp(5.0) + 2559);
    for (const int32_t id : request.score_ids) {
      event.scores.push_back((id == wanted ? 5.0 : 0.0) - log_sum_exp);
    }
    event.finish = FinishReason::stop;
    on_event(event);
  }

  // What the script wants, else what comes nearer to an end, else anything.
  static int32_t choose(const AllowedTokens& allowed, int32_t wanted) {
    if (allowed.has(wanted)) return wanted;
    for (const char* text : {"\"", "}", "]", "\n", "<"}) {
      const int32_t id = nano_text().encode(text).front();
      if (wanted == kEnd && allowed.has(id)) return id;
    }
    for (int32_t id = 0; id < 2560; ++id) {
      if (allowed.has(id)) return id;
    }
    ADD_FAILURE() << "nothing is allowed";
    return kEnd;
  }

  void add_experts(Event& event, const Request& request, size_t nth) const {
    if (request.routed_experts == RoutedExperts::none) return;
    const size_t n_before = request.routed_experts == RoutedExperts::with_the_prompt
                                ? request.prompt_ids.size() - 1
                                : 0;
    for (size_t row = nth == 0 ? 0 : nth + n_before; row <= nth + n_before; ++row) {
      for (const uint16_t id : experts(row)) event.routed_experts.push_back(id);
    }
  }

  static std::vector<TokenLogprob> rivals(int32_t id, int n) {
    std::vector<TokenLogprob> top;
    for (int i = 0; i < n; ++i) {
      top.push_back(
          {(id + i * 7) % 2560, i == 0 ? -0.5f : -std::numeric_limits<float>::infinity()});
    }
    return top;
  }

  static std::vector<PromptLogprobs> prompt(const Request& request) {
    std::vector<PromptLogprobs> all(1);
    for (size_t i = 1; i < request.prompt_ids.size(); ++i) {
      const int32_t id = request.prompt_ids[i];
      all.push_back({.token = TokenLogprob{id, -1.25f},
                     .top = rivals(id + 1, request.n_prompt_logprobs),
                     .rank = kRank});
    }
    return all;
  }
};

struct Reply {
  int status = 0;
  std::string text;
  Json json = nullptr;            // not of a stream
  std::vector<Json> chunks = {};  // of a stream, without [DONE]
  bool done = false;              // [DONE] was the last event
  std::vector<std::pair<std::string, std::string>> headers;
  std::map<std::string, std::string> notes;

  std::string code() const { return json["error"]["code"].get<std::string>(); }
  Json param() const { return json["error"]["param"]; }
  std::string message() const { return json["error"]["message"].get<std::string>(); }
};

inline Reply read_reply(const FakeExchange& exchange) {
  Reply reply{.status = exchange.response.status,
              .text = exchange.response.body,
              .headers = exchange.response.headers,
              .notes = exchange.notes};
  if (exchange.response.content_type == "application/json") {
    reply.json = parse_json(reply.text, "reply");
  } else if (exchange.response.content_type == "text/event-stream") {
    std::string_view rest = reply.text;
    while (!rest.empty()) {
      const size_t end = rest.find("\n\n");
      EXPECT_TRUE(end != rest.npos && rest.starts_with("data: ")) << rest.substr(0, 200);
      if (end == rest.npos) break;
      const std::string_view data = rest.substr(6, end - 6);
      EXPECT_EQ(data.find('\n'), data.npos);
      EXPECT_FALSE(reply.done) << "behind [DONE]";
      if (data == "[DONE]") {
        reply.done = true;
      } else {
        reply.chunks.push_back(parse_json(data, "chunk"));
      }
      rest.remove_prefix(end + 2);
    }
  }
  return reply;
}

class ApiTest : public testing::Test {
 protected:
  void SetUp() override { restart({.model_names = {"nano", "other-name"}}); }

  // A new service; `task` as the model's.
  void restart(ServiceOptions options, Task task = Task::generate) {
    options.version = "9.9";
    routes.clear();
    service = std::make_unique<Service>(std::move(options));
    auto scripted = std::make_unique<ScriptedGenerator>();
    generator = scripted.get();
    service->set_model(make_model(std::move(scripted), task));
    routes = make_routes(*service);
  }

  std::unique_ptr<ServedModel> make_model(std::unique_ptr<Generator> of, Task task) {
    GenerationDefaults defaults;
    defaults.do_sample = true;
    defaults.temperature = 0.6;
    defaults.top_k = 20;
    defaults.top_p = 0.95;
    ModelInfo info;
    info.name = "nano";
    info.vocab_size = 2560;
    info.max_position_embeddings = 2048;
    auto model = make_served_model({.text = Text::load(kNano),
                                    .generator = std::move(of),
                                    .defaults = defaults,
                                    .info = info,
                                    .shape = {.hidden_size = ScriptedGenerator::kHidden},
                                    .task = task == Task::rerank ? Task::generate : task},
                                   service->options());
    // nano has no tokens for the answers of a reranker: any two do.
    model->task = task;
    model->yes = kYes;
    model->no = kNo;
    return model;
  }

  // The answer is this text.
  void say(const std::string& text) {
    generator->script = [ids = nano_text().encode(text)](const Request&, size_t) { return ids; };
  }

  // `target`: a path, and perhaps a query.
  std::shared_ptr<FakeExchange> begin(const std::string& method,
                                      const std::string& target,
                                      const std::string& body,
                                      const Client& client = {}) {
    auto exchange = std::make_shared<FakeExchange>();
    HttpRequest http;
    http.method = method;
    const size_t mark = target.find('?');
    const std::string path = target.substr(0, mark);
    http.path = path;
    if (mark != target.npos) http.query = target.substr(mark + 1);
    http.body = body;
    http.id = "req-1";
    http.client = client;
    http.received = std::chrono::steady_clock::now();
    for (const Route& route : routes) {
      const std::string_view pattern = route.path;
      const bool open_end = pattern.ends_with("/*");
      if (route.method != (method == "HEAD" ? "GET" : method)) continue;
      if (open_end && path.starts_with(pattern.substr(0, pattern.size() - 1))) {
        http.tail = path.substr(pattern.size() - 1);
      } else if (path != pattern) {
        continue;
      }
      route.handler(http, exchange);
      return exchange;
    }
    ADD_FAILURE() << "no route " << method << " " << path;
    return exchange;
  }

  Reply call(const std::string& method, const std::string& path, const std::string& body = {}) {
    const auto exchange = begin(method, path, body);
    EXPECT_TRUE(exchange->run()) << body.substr(0, 300);
    return read_reply(*exchange);
  }
  Reply post(const std::string& path, const Json& body) { return call("POST", path, body.dump()); }
  Reply chat(Json more = Json::object()) {
    Json body{{"model", "nano"}, {"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    body.update(more);
    return post("/v1/chat/completions", body);
  }
  Reply complete(Json more = Json::object()) {
    Json body{{"model", "nano"}, {"prompt", "One two"}};
    body.update(more);
    return post("/v1/completions", body);
  }

  std::unique_ptr<Service> service;
  std::vector<Route> routes;
  ScriptedGenerator* generator = nullptr;
};

inline Json weather_tools() {
  return Json::parse(R"([{"type":"function","function":{"name":"get_weather","description":"d",
    "parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
    {"type":"function","function":{"name":"add"}}])");
}

// What a client has after all chunks of a stream: strings joined, calls by index.
struct Joined {
  std::string role = {}, content = {}, reasoning = {}, finish_reason = {};
  std::vector<Json> calls = {}, logprobs = {};
  Json stop_reason = nullptr;

  bool operator==(const Joined&) const = default;
};

inline Joined join_chunks(const std::vector<Json>& chunks, int64_t choice = 0) {
  Joined out;
  for (const Json& chunk : chunks) {
    EXPECT_TRUE(chunk.contains("choices") && chunk["choices"].is_array()) << chunk;
    EXPECT_EQ(chunk["id"], chunks.front()["id"]);
    EXPECT_EQ(chunk["created"], chunks.front()["created"]);
    for (const Json& one : chunk["choices"]) {
      if (one["index"] != choice) continue;
      EXPECT_EQ(out.finish_reason, "") << "a chunk behind the finish";
      const Json& delta = one["delta"];
      if (delta.contains("role")) out.role += delta["role"].get<std::string>();
      if (delta.contains("content")) out.content += delta["content"].get<std::string>();
      if (delta.contains("reasoning_content")) {
        out.reasoning += delta["reasoning_content"].get<std::string>();
      }
      if (delta.contains("tool_calls")) {
        for (const Json& call : delta["tool_calls"]) {
          EXPECT_EQ(call["index"], static_cast<int64_t>(out.calls.size()));
          EXPECT_TRUE(call["id"].get<std::string>().starts_with("call_"));
          EXPECT_EQ(call["type"], "function");
          out.calls.push_back(call["function"]);
        }
      }
      if (one.contains("logprobs") && !one["logprobs"].is_null()) {
        for (const Json& entry : one["logprobs"]["content"]) out.logprobs.push_back(entry);
      }
      if (!one["finish_reason"].is_null()) {
        out.finish_reason = one["finish_reason"].get<std::string>();
        out.stop_reason = one["stop_reason"];
      }
    }
  }
  return out;
}

// The same of a whole answer.
inline Joined join_whole(const Json& answer, int64_t choice = 0) {
  const Json& one = answer["choices"][static_cast<size_t>(choice)];
  const Json& message = one["message"];
  Joined out{
      .role = message["role"],
      .content = message["content"].is_null() ? "" : message["content"],
      .reasoning = message["reasoning_content"].is_null() ? "" : message["reasoning_content"],
      .finish_reason = one["finish_reason"],
      .stop_reason = one["stop_reason"]};
  if (message.contains("tool_calls")) {
    for (const Json& call : message["tool_calls"]) out.calls.push_back(call["function"]);
  }
  if (!one["logprobs"].is_null()) {
    for (const Json& entry : one["logprobs"]["content"]) out.logprobs.push_back(entry);
  }
  return out;
}

}  // namespace qwen3::server
