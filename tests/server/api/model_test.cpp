// The API over the embedded model itself.
#include <cmath>

#include "engine/evaluate.h"
#include "server/api/fixture.h"
#include "server/api/report_data.h"

namespace qwen3::server {
namespace {

// Says when a request has so many tokens, before the engine learns that anybody has seen the last.
class WatchedGenerator final : public Generator {
 public:
  using OnToken = std::function<void(size_t nth, const std::vector<int32_t>& ids)>;
  std::vector<Request> requests;

  WatchedGenerator(std::unique_ptr<Generator> generator, OnToken on_token)
      : generator_(std::move(generator)), on_token_(std::move(on_token)) {}

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    auto ids = std::make_shared<std::vector<int32_t>>();
    requests.push_back(request);
    return generator_->submit(
        std::move(request),
        [this, nth = requests.size() - 1, ids, on_event = std::move(on_event)](const Event& event) {
          if (event.token_id >= 0) ids->push_back(event.token_id);
          on_token_(nth, *ids);
          on_event(event);
        });
  }
  void cancel(uint64_t request_id) override { generator_->cancel(request_id); }
  EngineStats stats() const override { return generator_->stats(); }
  int64_t max_model_len() const override { return generator_->max_model_len(); }

 private:
  const std::unique_ptr<Generator> generator_;
  const OnToken on_token_;
};

class ApiModel : public ApiTest {
 protected:
  void SetUp() override { serve("nano", Task::generate); }

  void serve(const std::string& name, Task task, EngineOptions engine = {.max_sequences = 4}) {
    const std::filesystem::path directory =
        std::filesystem::path(QWEN3_SOURCE_DIR) / "models" / name;
    routes.clear();
    service =
        std::make_unique<Service>(ServiceOptions{.model_names = {"nano"}, .traces = {.count = 2}});
    const std::shared_ptr<Model> loaded = Model::load(directory, {.n_threads = 1});
    model_ = loaded;
    engine.n_real_tokens = nano_text().n_tokens();
    std::unique_ptr<Generator> runs = std::make_unique<EngineGenerator<Engine>>(loaded, engine);
    if (on_token) {
      auto watch = std::make_unique<WatchedGenerator>(std::move(runs), on_token);
      watched = watch.get();
      runs = std::move(watch);
    }
    service->set_model(make_served_model({.text = Text::load(directory),
                                          .generator = std::move(runs),
                                          .defaults = loaded->generation_defaults(),
                                          .info = loaded->info(),
                                          .shape = loaded->shape(),
                                          .task = task},
                                         service->options()));
    routes = make_routes(*service);
  }

  Reply ask(const std::string& question, Json more = Json::object()) {
    more["messages"] = {{{"role", "user"}, {"content", question}}};
    more["temperature"] = 0;
    return chat(more);
  }

  std::shared_ptr<Model> model_;
  WatchedGenerator::OnToken on_token = {};
  WatchedGenerator* watched = nullptr;  // where there is on_token
};

// What a finetune of a base model has nowhere but in tokenizer_config.json.
TEST(Text, KnowsTheEndTokenOfItsTokenizer) {
  EXPECT_EQ(nano_text().eos_token_ids(),
            std::vector{*tokenizer_of(nano_text()).token_to_id("<|im_end|>")});
}

TEST_F(ApiModel, AnswersAndUsesThePrefixCache) {
  const Reply first = ask("What is 3 + 4?");
  ASSERT_EQ(first.status, 200) << first.text;
  EXPECT_NE(first.json["choices"][0]["message"]["content"].get<std::string>().find("7"),
            std::string::npos)
      << first.text;
  EXPECT_EQ(first.json["choices"][0]["finish_reason"], "stop");
  std::string longer;
  for (int i = 0; i < 40; ++i) longer += "word ";
  ask(longer, {{"max_tokens", 1}});
  EXPECT_GT(ask(longer, {{"max_tokens", 1}})
                .json["usage"]["prompt_tokens_details"]["cached_tokens"]
                .get<int64_t>(),
            0);
  EXPECT_EQ(ask(longer, {{"max_tokens", 1}, {"cache_prompt", false}})
                .json["usage"]["prompt_tokens_details"]["cached_tokens"],
            0);
}

// The second turn finds all whole blocks up to where its prompt parts from the first turn's prompt and answer: at the
// new message, or at the empty thought of a model that was not to think, which the template does not repeat.
TEST_F(ApiModel, ASecondTurnIsCachedUpToWhatIsNew) {
  const int64_t block_size = EngineOptions().block_size;
  std::string system = "You help.";
  for (int i = 0; i < 128; ++i) system += " Rule " + std::to_string(i) + ": be brief and kind.";
  Json tools = weather_tools();
  tools[0]["function"]["parameters"]["properties"]["city"] = {{"enum", {"Paris", "Rome"}}};
  tools[0]["function"]["parameters"]["required"] = {"city"};
  for (const bool thinking : {true, false}) {
    Json request{{"tools", tools},
                 {"tool_choice", "required"},
                 {"parallel_tool_calls", false},
                 {"close_on_length", true},
                 {"enable_thinking", thinking},
                 {"thinking_token_budget", 8},
                 {"return_token_ids", true},
                 {"cache_salt", thinking ? "a" : "b"},
                 {"temperature", 0},
                 {"max_tokens", 60},
                 {"messages",
                  {{{"role", "system"}, {"content", system}},
                   {{"role", "user"}, {"content", "What is the weather in Paris?"}}}}};
    const Reply first = chat(request);
    ASSERT_EQ(first.status, 200) << first.text;
    const Json& message = first.json["choices"][0]["message"];
    ASSERT_EQ(message["reasoning_content"].is_null(), !thinking) << message;
    request["messages"].push_back(message);
    request["messages"].push_back({{"role", "tool"},
                                   {"tool_call_id", message["tool_calls"][0]["id"]},
                                   {"content", "sunny, 21"}});
    const Reply second = chat(request);
    ASSERT_EQ(second.status, 200) << second.text;
    std::vector<int32_t> seen = first.json["prompt_token_ids"];
    const size_t n_prompt = seen.size();
    for (const Json& id : first.json["choices"][0]["token_ids"]) seen.push_back(id);
    const std::vector<int32_t> next = second.json["prompt_token_ids"];
    const auto n_common = std::ranges::mismatch(next, seen).in1 - next.begin();
    const int64_t n_cached = second.json["usage"]["prompt_tokens_details"]["cached_tokens"];
    EXPECT_EQ(n_cached, n_common / block_size * block_size);
    EXPECT_GE(n_cached * 100, std::ssize(next) * 95) << n_common << " of " << next.size();
    if (thinking) {
      EXPECT_GE(n_common, static_cast<int64_t>(n_prompt) + 8) << "the history has the thought";
    } else {
      EXPECT_EQ(n_common, static_cast<int64_t>(n_prompt) - 4) << "<think>\\n\\n</think>\\n\\n";
    }
  }
}

// The token under way and the newline before the tag are all that comes between.
TEST_F(ApiModel, AThoughtIsClosedTwoTokensBehindItsControlAtTheLatest) {
  constexpr size_t kNever = SIZE_MAX;
  for (const size_t n_chats : {1, 4}) {
    std::vector<size_t> accepted(n_chats, kNever), closed(n_chats, kNever);
    int32_t close = -1;
    on_token = [&](size_t nth, const std::vector<int32_t>& ids) {
      if (ids.size() == 5 + 3 * nth && accepted[nth] == kNever) {
        const auto control =
            begin("POST",
                  "/v1/chat/completions/control",
                  Json{{"id", "chatcmpl-req-1"}, {"action", "reasoning_end"}}.dump(),
                  {std::to_string(nth), ""});
        EXPECT_TRUE(control->run());
        EXPECT_EQ(read_reply(*control).json["success"], true);
        accepted[nth] = ids.size();
      }
      if (!ids.empty() && ids.back() == close) closed[nth] = std::min(closed[nth], ids.size() - 1);
    };
    serve("nano", Task::generate);
    close = service->loaded()->think_close;
    std::vector<std::shared_ptr<FakeExchange>> chats;
    for (size_t i = 0; i < n_chats; ++i) {
      const Json body{{"messages", {{{"role", "user"}, {"content", "Think long."}}}},
                      {"enable_thinking", true},
                      {"reasoning_control", true},
                      {"logit_bias", {{std::to_string(close), -100}}},
                      {"loop_guard", false},
                      {"stream", true},
                      {"seed", i},
                      {"min_tokens", 40},
                      {"max_tokens", 60}};
      chats.push_back(begin("POST", "/v1/chat/completions", body.dump(), {std::to_string(i), ""}));
    }
    for (size_t i = 0; i < n_chats; ++i) {
      ASSERT_TRUE(chats[i]->run());
      ASSERT_NE(accepted[i], kNever) << read_reply(*chats[i]).text;
      ASSERT_NE(closed[i], kNever) << read_reply(*chats[i]).text;
      EXPECT_LE(closed[i] - accepted[i], 2u) << "of " << n_chats;
    }
  }
}

// This model was not taught to end an object.
TEST_F(ApiModel, ObjectsAreClosedBeforeTheirTokensAreUsedUp) {
  int n_closed = 0;
  for (int seed = 0; seed < 10; ++seed) {
    for (const bool thinking : {false, true}) {
      const Json request{{"response_format", {{"type", "json_object"}}},
                         {"close_on_length", true},
                         {"enable_thinking", thinking},
                         {"loop_guard", false},
                         {"seed", seed},
                         {"n", 3},
                         {"max_tokens", 60},
                         {"messages", {{{"role", "user"}, {"content", "Weather?"}}}}};
      const Reply whole = chat(request);
      ASSERT_EQ(whole.status, 200) << whole.text;
      for (const Json& choice : whole.json["choices"]) {
        EXPECT_EQ(choice["finish_reason"], "stop") << choice;
        const Json object = parse_json(choice["message"]["content"].get<std::string>(), "answer");
        EXPECT_TRUE(object.is_object()) << choice;
        n_closed += choice.value("finish_detail", "") == "closed_on_length";
      }
      Json free = request;
      free["close_on_length"] = false;
      const Reply cut = chat(free);
      for (const Json& choice : cut.json["choices"]) {
        EXPECT_FALSE(choice.contains("finish_detail")) << choice;
      }
    }
  }
  EXPECT_GT(n_closed, 5);
  const Reply text = complete({{"prompt", {"The", "A"}},
                               {"guided_json", {{"type", "object"}}},
                               {"close_on_length", true},
                               {"max_tokens", 12}});
  ASSERT_EQ(text.status, 200) << text.text;
  for (const Json& choice : text.json["choices"]) {
    EXPECT_TRUE(parse_json(choice["text"].get<std::string>(), "answer").is_object()) << choice;
  }
}

TEST_F(ApiModel, LogLikelihoodOfAPromptIsThatOfItsTokens) {
  const Reply whole =
      complete({{"prompt", "What is 3 + 4?"}, {"echo", true}, {"logprobs", 3}, {"max_tokens", 0}});
  ASSERT_EQ(whole.status, 200) << whole.text;
  const Json& lp = whole.json["choices"][0]["logprobs"];
  const std::vector<int32_t> ids = nano_text().encode("What is 3 + 4?");
  ASSERT_EQ(lp["tokens"].size(), ids.size());
  // The first token has none; the others' are those of one forward pass of the library.
  EXPECT_TRUE(lp["token_logprobs"][0].is_null());
  evaluate(*model_, ids, {}, [&](int64_t first, const Tensor& logits) {
    for (int64_t row = 0; row < logits.dim(0); ++row) {
      const size_t next = static_cast<size_t>(first + row) + 1;
      if (next >= ids.size()) break;
      const float* values = logits.f32() + row * logits.row_stride();
      double sum = 0;
      for (int64_t id = 0; id < logits.dim(1); ++id) sum += std::exp(double{values[id]});
      EXPECT_NEAR(
          lp["token_logprobs"][next].get<double>(), values[ids[next]] - std::log(sum), 2e-2);
    }
  });
  // The likeliest token at a place is what greedy decoding gives there.
  for (size_t n = 1; n < ids.size(); ++n) {
    const std::vector<int32_t> prefix(ids.begin(), ids.begin() + static_cast<int64_t>(n));
    const Reply next =
        complete({{"prompt", prefix}, {"max_tokens", 1}, {"temperature", 0}, {"logprobs", 1}});
    const Json& one = next.json["choices"][0]["logprobs"];
    double best = -1e9;
    for (const auto& [token, value] : lp["top_logprobs"][n].items()) {
      best = std::max(best, value.get<double>());
    }
    EXPECT_NEAR(one["token_logprobs"][0].get<double>(), best, 2e-2) << n;
  }
}

// The shares of the labels among the logits behind the prompt, as one forward pass of the library has them.
TEST_F(ApiModel, DecisionsAreTheLogitsOfTheirLabels) {
  on_token = [](size_t, const std::vector<int32_t>&) {};
  serve("nano", Task::generate);
  const Json question{{"type", "choice"},
                      {"instructions", "Which colour?"},
                      {"choices", {{{"value", "red"}}, {{"value", "green"}}, {{"value", "blue"}}}}};
  const Reply reply = post(
      "/v1/decisions", {{"model", "nano"}, {"input", "A stop sign."}, {"questions", {question}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const Json& answer = reply.json["answers"][0];
  ASSERT_EQ(watched->requests.size(), 1u);
  const Request& request = watched->requests.front();
  ASSERT_GE(request.score_ids.size(), 3u);
  double of_labels = 0, of_all = 0;
  std::vector<double> weights;
  const auto last = std::ssize(request.prompt_ids) - 1;
  evaluate(*model_, request.prompt_ids, {.first_row = last}, [&](int64_t, const Tensor& logits) {
    ASSERT_EQ(logits.dim(0), 1);
    for (int64_t id = 0; id < logits.dim(1); ++id) of_all += std::exp(double{logits.f32()[id]});
    for (const int32_t id : request.score_ids) {
      weights.push_back(std::exp(double{logits.f32()[id]}));
      of_labels += weights.back();
    }
  });
  ASSERT_EQ(answer["probabilities"].size(), weights.size());
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double probability = answer["probabilities"][i]["probability"];
    EXPECT_NEAR(probability, weights[i] / of_labels, 1e-2) << i;
    sum += probability;
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_NEAR(answer["x_label_mass"].get<double>(), of_labels / of_all, 1e-2);
}

// One entry more than the prompt has tokens, also when the one that is generated ends the text.
TEST_F(ApiModel, LogLikelihoodHarnessesMayTakeOneEntryOff) {
  const std::string prompt =
      "<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n"
      "<think>\n\n</think>\n\n3 + 4 = 7";
  const Reply reply = complete(
      {{"prompt", prompt}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 1}, {"temperature", 0}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const Json& choice = reply.json["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["text"], prompt);
  const Json& lp = choice["logprobs"];
  const size_t n = nano_text().encode(prompt).size();
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    ASSERT_EQ(lp[list].size(), n + 1) << list;
  }
  EXPECT_EQ(lp["tokens"][n], "<|im_end|>");
  EXPECT_EQ(lp["tokens"][n - 1], "7");
  EXPECT_GT(lp["token_logprobs"][n].get<double>(), -0.1);
}

Json tool_named(const std::string& name) {
  return {
      {"type", "function"},
      {"function",
       {{"name", name},
        {"parameters", {{"type", "object"}, {"properties", {{"city", {{"type", "string"}}}}}}}}}};
}

// The calls of an answer to tool_choice "required": of declared functions with an object, or named
// as missing. True when there is one.
bool expect_kept(const Json& choice, const std::vector<std::string>& names) {
  const Json& message = choice["message"];
  if (!message.contains("tool_calls")) {
    EXPECT_TRUE(choice["finish_reason"] == "length" ||
                choice["finish_detail"] == "tool_call_invalid")
        << choice;
    return false;
  }
  for (const Json& call : message["tool_calls"]) {
    const std::string name = call["function"]["name"];
    EXPECT_NE(std::ranges::find(names, name), names.end()) << choice;
    EXPECT_TRUE(Json::parse(call["function"]["arguments"].get<std::string>()).is_object());
  }
  return true;
}

// Tools that the model was never shown, which it would rather not call.
TEST_F(ApiModel, RequiredCallsAreOfDeclaredFunctions) {
  serve("nano-moe", Task::generate);
  const std::vector<std::string> names{"final_result", "final", "Person"};
  const Json tools{tool_named(names[0]), tool_named(names[1]), tool_named(names[2])};
  int n_calls = 0, n_thoughts = 0;
  for (int i = 0; i < 24; ++i) {
    Json more{{"tools", tools}, {"max_tokens", 400}, {"seed", i}};
    more["tool_choice"] = i % 3 == 0 ? tool_named(names[0]) : Json("required");
    if (i % 2 == 1) more["enable_thinking"] = false;
    more["messages"] = {{{"role", "user"}, {"content", "What is the weather in Paris?"}}};
    more["temperature"] = i < 6 ? 0.0 : 1.0;
    const Reply reply = chat(more);
    ASSERT_EQ(reply.status, 200) << reply.text;
    const Json& choice = reply.json["choices"][0];
    n_calls += expect_kept(choice, i % 3 == 0 ? std::vector{names[0]} : names);
    n_thoughts += !choice["message"]["reasoning_content"].is_null();
    if (i % 2 == 1) {
      EXPECT_TRUE(choice["message"]["reasoning_content"].is_null());
    }
  }
  EXPECT_GE(n_calls, 12);
  EXPECT_GE(n_thoughts, 8) << "a hybrid model thinks unless told otherwise";
}

// Whoever is preempted goes on where its steering was.
TEST_F(ApiModel, ForcedCallsSurvivePreemption) {
  const Json more{
      {"tools", {tool_named("final_result"), tool_named("Person")}},
      {"tool_choice", "required"},
      {"thinking_token_budget", 90},
      {"max_tokens", 220},
      {"temperature", 1.0},
      {"messages", {{{"role", "user"}, {"content", "Sort 9, 2, 7, 4, 8, 1, 6, 3 and 5."}}}}};
  const auto ask_all = [&] {
    std::vector<std::shared_ptr<FakeExchange>> asked;
    for (int seed = 0; seed < 8; ++seed) {
      Json body = more;
      body["seed"] = seed;
      asked.push_back(begin("POST", "/v1/chat/completions", body.dump()));
      EXPECT_TRUE(asked.back()->run_one());  // into the engine, beside the others
    }
    std::vector<Joined> answers;
    for (const auto& exchange : asked) {
      EXPECT_TRUE(exchange->run());
      const Json json = read_reply(*exchange).json;
      expect_kept(json["choices"][0], {"final_result", "Person"});
      answers.push_back(join_whole(json));
    }
    return answers;
  };
  serve("nano-moe", Task::generate, {.max_sequences = 8});
  const std::vector<Joined> alone = ask_all();
  // The cache of one sequence for eight: the prompt's blocks are shared, those of the answers are
  // not.
  serve("nano-moe",
        Task::generate,
        {.max_model_len = 416, .kv_cache_bytes = int64_t{416} * 4096, .max_sequences = 8});
  EXPECT_EQ(ask_all(), alone);
  EXPECT_GT(service->loaded()->generator->stats().n_preemptions, 0);
}

TEST_F(ApiModel, EmbeddingsHaveLengthOne) {
  serve("nano", Task::embed);
  const Reply reply = post("/v1/embeddings", {{"input", {"One", "Two", "One"}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.json["data"][0]["embedding"].size(), 256u);
  double dot = 0;
  for (size_t i = 0; i < 256; ++i) {
    dot += reply.json["data"][0]["embedding"][i].get<double>() *
           reply.json["data"][2]["embedding"][i].get<double>();
  }
  EXPECT_NEAR(dot, 1, 1e-4);
  EXPECT_NE(reply.json["data"][0]["embedding"], reply.json["data"][1]["embedding"]);
}

TEST_F(ApiModel, TracesAreKeptForTheirClient) {
  serve("nano-moe", Task::generate);
  const Reply answer = ask("Hi", {{"trace", true}, {"max_tokens", 3}, {"ignore_eos", true}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  const std::string id = answer.json["id"];
  const Reply trace = call("GET", "/v1/traces/" + id);
  ASSERT_EQ(trace.status, 200) << trace.text.substr(0, 500);
  EXPECT_EQ(trace.json["prompt_tokens"], answer.json["usage"]["prompt_tokens"]);
  // Every token that was computed: the prompt, and the answer but for its last token.
  EXPECT_EQ(trace.json["summary"]["tokens"],
            answer.json["usage"]["prompt_tokens"].get<int64_t>() + 2);
  EXPECT_FALSE(trace.json["summary"]["routing"].is_null());
  EXPECT_EQ(call("GET", "/v1/traces").json["data"].size(), 1u);
  const auto stranger = begin("GET", "/v1/traces/" + id, "", {"other", "1"});
  EXPECT_EQ(stranger->response.status, 404);
  // The same answer as without.
  EXPECT_EQ(
      ask("Hi", {{"max_tokens", 3}, {"ignore_eos", true}}).json["choices"][0]["message"]["content"],
      answer.json["choices"][0]["message"]["content"]);
  EXPECT_EQ(ask("Hi", {{"trace", true}, {"n", 2}}).param(), "trace");
  EXPECT_EQ(call("GET", "/v1/traces/zzz").code(), "trace_not_found");
}

TEST_F(ApiModel, PagesOfTracesShowWhatWasComputed) {
  for (const char* name : {"nano-moe", "nano"}) {
    serve(name, Task::generate);
    const Reply answer =
        ask("What is 3 + 4?", {{"trace", true}, {"max_tokens", 9}, {"return_token_ids", true}});
    ASSERT_EQ(answer.status, 200) << answer.text;
    std::vector<int32_t> ids = answer.json["prompt_token_ids"];
    const size_t n_prompt = ids.size();
    for (const Json& id : answer.json["choices"][0]["token_ids"]) ids.push_back(id);
    ids.pop_back();  // drawn, never computed
    const std::string id = answer.json["id"];
    const Json data = report_data(call("GET", "/v1/traces/" + id + "/report").text);
    EXPECT_EQ(report_ids(data), ids);
    EXPECT_EQ(data["n_prompt"], n_prompt);
    EXPECT_GT(data["taps"].size(), 20u);
    if (std::string_view(name) == "nano") {
      EXPECT_FALSE(data.contains("routing"));
    } else {
      EXPECT_EQ(report_n_routed(data), ids.size());
    }
  }
}

// An answer that the server ends (here by a stop string) may have drawn more than it shows.
TEST_F(ApiModel, PagesOfAnswersThatWereEndedEarly) {
  serve("nano-moe", Task::generate);
  const Reply answer = ask("What is 3 + 4?", {{"trace", true}, {"stop", {"3 + 4"}}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  const std::string id = answer.json["id"];
  const Reply page = call("GET", "/v1/traces/" + id + "/report");
  ASSERT_EQ(page.status, 200) << page.text;
  const Json data = report_data(page.text);
  EXPECT_GT(data["tokens"].size(), data["n_prompt"].get<size_t>());
  EXPECT_EQ(report_n_routed(data), data["tokens"].size());
}

}  // namespace
}  // namespace qwen3::server
