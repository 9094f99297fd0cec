// Completions, embeddings, rerank, tokens, models, metrics.
#include <cmath>
#include <cstring>

#include "base/text.h"
#include "server/api/fixture.h"
#include "server/api/json_writer.h"
#include "server/api/loop_guard.h"

namespace qwen3::server {
namespace {

using ApiEndpoints = ApiTest;

// Of their bytes in memory, which are little-endian wherever these tests run.
std::string base64_of(const std::vector<float>& floats) {
  std::vector<uint8_t> bytes(floats.size() * 4);
  std::memcpy(bytes.data(), floats.data(), bytes.size());
  return base64(bytes);
}

TEST_F(ApiEndpoints, CompletionHasTheOldShape) {
  say(" three four");
  const Reply reply = complete();
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.json["id"], "cmpl-req-1");
  EXPECT_EQ(reply.json["object"], "text_completion");
  EXPECT_EQ(reply.json["choices"][0]["text"], " three four");
  EXPECT_EQ(reply.json["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(reply.json["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(generator->requests[0].sampling.max_tokens, 16);
  EXPECT_EQ(generator->requests[0].prompt_ids, nano_text().encode("One two"));

  const Reply streamed =
      complete({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  std::string text;
  for (const Json& chunk : streamed.chunks) {
    for (const Json& choice : chunk["choices"]) text += choice["text"].get<std::string>();
  }
  EXPECT_EQ(text, " three four");
  EXPECT_TRUE(streamed.done);
  EXPECT_EQ(streamed.chunks.back()["usage"], reply.json["usage"]);
}

TEST_F(ApiEndpoints, CompletionPromptsOfEveryKind) {
  generator->script = [](const Request& request, size_t) {
    return std::vector<int32_t>(request.prompt_ids.end() - 1, request.prompt_ids.end());
  };
  const std::vector<int32_t> ids = nano_text().encode("One two");
  for (const Json& prompt : {Json("One two"), Json(ids), Json{"One two"}, Json(std::vector{ids})}) {
    generator->requests.clear();
    const Reply reply = complete({{"prompt", prompt}});
    ASSERT_EQ(reply.status, 200) << prompt << reply.text;
    EXPECT_EQ(generator->requests[0].prompt_ids, ids);
  }
  generator->requests.clear();
  const Reply batch = complete({{"prompt", {"a b", "c d", "e f"}}, {"n", 2}, {"seed", 5}});
  ASSERT_EQ(batch.json["choices"].size(), 6u);
  EXPECT_EQ(batch.json["choices"][2]["text"],
            nano_text().decode({{generator->requests[2].prompt_ids.back()}}));
  EXPECT_EQ(generator->requests[3].sampling.seed, 6u);
  int64_t n_prompt = 0;
  for (size_t i = 0; i < 6; i += 2) {
    n_prompt += static_cast<int64_t>(generator->requests[i].prompt_ids.size());
  }
  EXPECT_EQ(batch.json["usage"]["prompt_tokens"], n_prompt);
  EXPECT_EQ(complete({{"prompt", std::vector<std::string>(128, "a")}}).json["choices"].size(),
            128u);
  EXPECT_EQ(complete({{"prompt", std::vector<std::string>(129, "a")}}).status, 400);
  for (const Json& bad : {Json(),
                          Json(""),
                          Json::array(),
                          Json{""},
                          Json{Json::array()},
                          Json{1.5},
                          Json{"a", 5},
                          Json{5, "a"},
                          Json(3),
                          Json::object()}) {
    EXPECT_EQ(complete({{"prompt", bad}}).status, 400) << bad;
  }
}

// What log-likelihood harnesses do.
TEST_F(ApiEndpoints, EchoWithLogprobs) {
  say(" x");
  const Reply reply =
      complete({{"prompt", "One two é"}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const Json& choice = reply.json["choices"][0];
  EXPECT_EQ(choice["text"], "One two é");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(reply.json["usage"]["completion_tokens"], 0);
  const Json& lp = choice["logprobs"];
  const size_t n = nano_text().encode("One two é").size();
  for (const char* list : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    EXPECT_EQ(lp[list].size(), n) << list;
  }
  EXPECT_TRUE(lp["token_logprobs"][0].is_null());
  EXPECT_TRUE(lp["top_logprobs"][0].is_null());
  EXPECT_EQ(lp["token_logprobs"][1], -1.25);
  // The token itself is there although it is not the likeliest.
  EXPECT_EQ(lp["top_logprobs"][1].size(), 2u);
  EXPECT_EQ(lp["top_logprobs"][1][lp["tokens"][1].get<std::string>()], -1.25);
  EXPECT_EQ(lp["text_offset"][0], 0);
  EXPECT_EQ(generator->requests[0].sampling.max_tokens, 1);
  EXPECT_EQ(generator->requests[0].n_prompt_logprobs, 1);
  EXPECT_FALSE(choice.contains("prompt_logprobs")) << "the same numbers twice";
  EXPECT_EQ(complete({{"prompt_logprobs", 1}, {"max_tokens", 1}})
                .json["choices"][0]["prompt_logprobs"]
                .size(),
            nano_text().encode("One two").size());
  generator->requests.clear();

  const Reply more =
      complete({{"prompt", "One two"}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 1}});
  EXPECT_EQ(more.json["choices"][0]["text"], "One two x");
  EXPECT_EQ(more.json["choices"][0]["logprobs"]["tokens"].size(),
            nano_text().encode("One two").size() + 1);
  // None besides the token's own, as vLLM has it.
  const Json& own = more.json["choices"][0]["logprobs"];
  ASSERT_EQ(own["top_logprobs"].size(), own["tokens"].size());
  EXPECT_TRUE(own["top_logprobs"][0].is_null());
  for (size_t i = 1; i < own["tokens"].size(); ++i) {
    EXPECT_EQ(own["top_logprobs"][i], (Json{{own["tokens"][i], own["token_logprobs"][i]}}));
  }
  // Ids echo as their text; without echo the prompt costs nothing extra.
  EXPECT_EQ(complete({{"prompt", {65, 66}}, {"echo", true}}).json["choices"][0]["text"],
            nano_text().decode(std::vector<int32_t>{65, 66}) + " x");
  complete({{"logprobs", 2}});
  EXPECT_EQ(generator->requests.back().n_prompt_logprobs, -1);
}

// Each choice's first chunk has the tokens of its prompt.
TEST_F(ApiEndpoints, StreamsHaveTokenIds) {
  say(" three four");
  const Json more{{"prompt", {"One two", "Three"}}, {"n", 2}, {"return_token_ids", true}};
  const Reply whole = complete(more);
  Json streaming = more;
  streaming["stream"] = true;
  const Reply streamed = complete(streaming);
  for (size_t choice = 0; choice < 4; ++choice) {
    Json prompt, ids = Json::array();
    size_t n = 0;
    for (const Json& chunk : streamed.chunks) {
      const Json& one = chunk["choices"][0];
      if (one["index"] != choice) continue;
      EXPECT_EQ(one.contains("prompt_token_ids"), n++ == 0) << one;
      if (one.contains("prompt_token_ids")) prompt = one["prompt_token_ids"];
      for (const Json& id : one.value("token_ids", Json::array())) ids.push_back(id);
    }
    EXPECT_GT(n, 1u);
    EXPECT_EQ(prompt, whole.json["choices"][choice]["prompt_token_ids"]);
    EXPECT_EQ(ids, whole.json["choices"][choice]["token_ids"]);
  }
}

TEST_F(ApiEndpoints, PromptLogprobsHaveRanks) {
  for (const Json& list :
       {chat({{"prompt_logprobs", 2}}).json["prompt_logprobs"],
        complete({{"prompt_logprobs", 2}}).json["choices"][0]["prompt_logprobs"]}) {
    ASSERT_GT(list.size(), 1u);
    for (size_t i = 1; i < list.size(); ++i) {
      ASSERT_EQ(list[i].size(), 3u);
      std::vector<int64_t> ranks;
      for (const auto& [id, entry] : list[i].items()) ranks.push_back(entry["rank"]);
      EXPECT_EQ(ranks, (std::vector<int64_t>{ScriptedGenerator::kRank, 1, 2}));
    }
  }
}

TEST_F(ApiEndpoints, EchoStreamsTheSame) {
  say(" three");
  const Json more{{"echo", true}, {"logprobs", 2}, {"n", 2}};
  const Reply whole = complete(more);
  Json streaming = more;
  streaming["stream"] = true;
  const Reply streamed = complete(streaming);
  for (size_t choice = 0; choice < 2; ++choice) {
    std::string text;
    Json tokens = Json::array(), offsets = Json::array();
    for (const Json& chunk : streamed.chunks) {
      for (const Json& one : chunk["choices"]) {
        if (one["index"] != choice) continue;
        text += one["text"].get<std::string>();
        if (one["logprobs"].is_null()) continue;
        for (const Json& token : one["logprobs"]["tokens"]) tokens.push_back(token);
        for (const Json& offset : one["logprobs"]["text_offset"]) offsets.push_back(offset);
      }
    }
    EXPECT_EQ(text, whole.json["choices"][choice]["text"]);
    EXPECT_EQ(tokens, whole.json["choices"][choice]["logprobs"]["tokens"]);
    EXPECT_EQ(offsets, whole.json["choices"][choice]["logprobs"]["text_offset"]);
  }
}

TEST_F(ApiEndpoints, Embeddings) {
  restart({.model_names = {"nano"}}, Task::embed);
  const Reply reply = post("/v1/embeddings", {{"input", {"Hello", "Other"}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  ASSERT_EQ(reply.json["data"].size(), 2u);
  const Json& vector = reply.json["data"][0]["embedding"];
  ASSERT_EQ(vector.size(), static_cast<size_t>(ScriptedGenerator::kHidden));
  double length = 0;
  for (const Json& value : vector) length += value.get<double>() * value.get<double>();
  EXPECT_NEAR(length, 1, 1e-6);
  EXPECT_TRUE(generator->requests[0].embed);
  const size_t n =
      generator->requests[0].prompt_ids.size() + generator->requests[1].prompt_ids.size();
  EXPECT_EQ(reply.json["usage"]["total_tokens"], n);

  // Fewer dimensions: the first ones, of length 1 again.
  const Json cut = post("/v1/embeddings", {{"input", "Hello"}, {"dimensions", 2}}).json;
  const double a = vector[0], b = vector[1];
  EXPECT_EQ(cut["data"][0]["embedding"].size(), 2u);
  EXPECT_NEAR(cut["data"][0]["embedding"][0].get<double>(), a / std::hypot(a, b), 1e-6);

  const Json packed =
      post("/v1/embeddings", {{"input", "Hello"}, {"encoding_format", "base64"}}).json;
  std::vector<float> floats;
  for (const Json& value : vector) floats.push_back(value.get<float>());
  EXPECT_EQ(packed["data"][0]["embedding"], base64_of(floats));
  EXPECT_EQ(post("/v1/embeddings", {{"input", {5, 6}}}).status, 200);
  EXPECT_EQ(generator->requests.back().prompt_ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(post("/v1/embeddings", {{"input", {{5}, {6}}}}).json["data"].size(), 2u);
  for (const Json& bad : {Json{{"input", Json::array()}},
                          Json{{"input", 5}},
                          Json::object(),
                          Json{{"input", "a"}, {"dimensions", 0}},
                          Json{{"input", "a"}, {"dimensions", 9}},
                          Json{{"input", "a"}, {"encoding_format", "hex"}}}) {
    EXPECT_EQ(post("/v1/embeddings", bad).status, 400) << bad;
  }
  EXPECT_EQ(chat().status, 400);
}

// With the reference's arithmetic in double: sigmoid of the difference.
TEST_F(ApiEndpoints, RerankScoresAndOrder) {
  restart({.model_names = {"nano"}}, Task::rerank);
  generator->script = [](const Request&, size_t nth) {
    return std::vector<int32_t>{nth == 1 ? kYes : nth == 0 ? kNo : 65};
  };
  const Reply reply =
      post("/v1/rerank", {{"query", "q"}, {"documents", {"a", {{"text", "b"}}, "c"}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const Json& results = reply.json["results"];
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0]["index"], 1);
  EXPECT_EQ(results[0]["document"]["text"], "b");
  EXPECT_NEAR(results[0]["relevance_score"].get<double>(), 1 / (1 + std::exp(-5.0)), 1e-9);
  EXPECT_NEAR(results[1]["relevance_score"].get<double>(), 0.5, 1e-9);
  EXPECT_NEAR(results[2]["relevance_score"].get<double>(), 1 / (1 + std::exp(5.0)), 1e-9);
  EXPECT_EQ(
      nano_text().decode(generator->requests[0].prompt_ids),
      "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
      "and the Instruct provided. Note that the answer can only be \"yes\" or \"no\"."
      "<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant "
      "passages that answer the query\n<Query>: q\n<Document>: a<|im_end|>\n"
      "<|im_start|>assistant\n<think>\n\n</think>\n\n");
  const Reply top = post("/rerank",
                         {{"query", "<|im_end|>"},
                          {"documents", {"a", "b"}},
                          {"top_n", 1},
                          {"return_documents", false},
                          {"instruction", "Find it"}});
  EXPECT_EQ(top.json["results"].size(), 1u);
  EXPECT_FALSE(top.json["results"][0].contains("document"));
  EXPECT_EQ(std::ranges::count(generator->requests.back().prompt_ids, ScriptedGenerator::kEnd), 2);
  const Reply score = post("/v1/score", {{"text_1", "q"}, {"text_2", {"a", "b"}}});
  EXPECT_EQ(score.json["data"].size(), 2u);
  EXPECT_NEAR(score.json["data"][0]["score"].get<double>(), 0.5, 1e-9);
  for (const Json& bad : {Json{{"query", "q"}},
                          Json{{"documents", {"a"}}},
                          Json{{"query", "q"}, {"documents", Json::array()}},
                          Json{{"query", "q"}, {"documents", {5}}},
                          Json{{"query", "q"}, {"documents", {"a"}}, {"top_n", 0}}}) {
    EXPECT_EQ(post("/v1/rerank", bad).status, 400) << bad;
  }
}

TEST_F(ApiEndpoints, TokensThereAndBack) {
  const std::vector<int32_t> ids = nano_text().encode("Hello <|im_end|>");
  const Reply vllm =
      post("/tokenize", {{"prompt", "Hello <|im_end|>"}, {"return_token_strs", true}});
  EXPECT_EQ(vllm.json["tokens"], Json(ids));
  EXPECT_EQ(vllm.json["count"], ids.size());
  EXPECT_EQ(vllm.json["max_model_len"], 2048);
  EXPECT_EQ(vllm.json["token_strs"].size(), ids.size());
  const Reply llama = post("/tokenize", {{"content", "Hé"}, {"with_pieces", true}});
  EXPECT_TRUE(llama.json["tokens"][0].contains("piece"));
  EXPECT_EQ(
      std::ranges::count(post("/tokenize", {{"content", "<|im_end|>"}, {"parse_special", false}})
                             .json["tokens"]
                             .get<std::vector<int32_t>>(),
                         ScriptedGenerator::kEnd),
      0);
  const Reply back = post("/detokenize", {{"tokens", ids}});
  EXPECT_EQ(back.json["prompt"], "Hello <|im_end|>");
  EXPECT_EQ(back.json["content"], "Hello <|im_end|>");
  const Json messages{{{"role", "user"}, {"content", "Hi"}}};
  const Reply rendered = post("/apply-template", {{"messages", messages}});
  EXPECT_EQ(rendered.json["prompt"], "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(post("/tokenize", {{"messages", messages}}).json["tokens"], rendered.json["tokens"]);
  EXPECT_EQ(post("/tokenize", Json::object()).status, 400);
}

TEST_F(ApiEndpoints, Models) {
  const Reply list = call("GET", "/v1/models");
  ASSERT_EQ(list.json["data"].size(), 2u);
  EXPECT_EQ(list.json["object"], "list");
  EXPECT_EQ(list.json["data"][0]["id"], "nano");
  EXPECT_EQ(list.json["data"][0]["max_model_len"], 2048);
  EXPECT_EQ(call("GET", "/v1/models/other-name").json["id"], "other-name");
  const Json& meta = list.json["data"][0]["meta"];
  EXPECT_EQ(meta["thinking_switch"], true);
  EXPECT_EQ(meta["traces"], false);
  EXPECT_EQ(meta["metrics"], false);
  EXPECT_EQ(call("GET", "/v1/models/zzz").status, 404);
  EXPECT_EQ(call("GET", "/version").json["version"], "9.9");
  EXPECT_EQ(call("GET", "/health").json["status"], "ok");
}

// What an option would switch on says so; what other servers have says what there is here.
TEST_F(ApiEndpoints, WhatIsNotServedNamesWhatIs) {
  for (const auto& [path, part] : std::vector<std::pair<const char*, const char*>>{
           {"/metrics", "start the server with --metrics"},
           {"/v1/traces", "start the server with --traces N"},
           {"/v1/traces/x", "start the server with --traces N"},
           {"/v1/traces/y", "start the server with --traces N"}}) {
    const Reply reply = call("GET", path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.json["error"]["code"], "unknown_url") << path;
    EXPECT_NE(reply.text.find(part), std::string::npos) << reply.text;
  }
  restart({.model_names = {"nano"}, .metrics = true});
  EXPECT_EQ(call("GET", "/metrics").status, 200);
}

TEST_F(ApiEndpoints, ThePageOrWordsAtTheRoot) {
  EXPECT_EQ(begin("GET", "/", "")->response.content_type, "text/html; charset=utf-8");
  restart({.model_names = {"nano"}, .page = false});
  EXPECT_EQ(begin("GET", "/", "")->response.content_type, "text/plain; charset=utf-8");
}

TEST_F(ApiEndpoints, MetricsInBothDialects) {
  restart({.model_names = {"nano"}, .metrics = true, .metrics_compat = true});
  say("a b c");
  chat();
  generator->refusal = Error(ErrorKind::busy, "full");
  chat();
  const Reply reply = call("GET", "/metrics");
  for (const char* line : {"qwen3_num_requests_running 2",
                           "qwen3_num_requests_waiting 1",
                           "qwen3_kv_cache_usage_perc 0.6",
                           "vllm:num_requests_running{model_name=\"nano\"} 2",
                           "vllm:kv_cache_usage_perc{model_name=\"nano\"} 0.6",
                           "qwen3_request_success_total{finished_reason=\"stop\"} 1",
                           "qwen3_request_failure_total{code=\"server_busy\"} 1",
                           "qwen3_time_to_first_token_seconds_count 1",
                           "# TYPE vllm:e2e_request_latency_seconds histogram"}) {
    EXPECT_NE(reply.text.find(line), std::string::npos) << line << "\n"
                                                        << reply.text.substr(0, 3000);
  }
}

TEST(JsonWriter, EscapesWhatClientsSplitAt) {
  std::string text =
      "a\"\\\n\r\t\x01\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9 é€🙂 \xc2\xa9\xe2\x82\xac";
  text += '\0';
  std::string out;
  append_json_string(out, text);
  EXPECT_EQ(Json::parse(out).get<std::string>(), text);
  for (const char* raw : {"\x7f", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
    EXPECT_EQ(out.find(raw), out.npos);
  }
  for (int c = 0; c < 0x20; ++c) EXPECT_EQ(out.find(static_cast<char>(c)), out.npos);
}

TEST(LoopGuard, FindsLoopsAndNothingElse) {
  for (const int64_t period : {1, 2, 7, 64, 200, 256}) {
    LoopGuard guard({});
    int64_t n = 0;
    while (!guard.push(static_cast<int32_t>(n % period)) && n < 10'000) ++n;
    EXPECT_EQ(n + 1, std::max<int64_t>(1024, 16 * period)) << period;
  }
  LoopGuard guard({});
  uint32_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 1664525u + 1013904223u;
    // Words that come again and again, but not in step: a table, a list.
    ASSERT_FALSE(guard.push(i % 40 == 0 ? static_cast<int32_t>(state >> 20) : i % 40)) << i;
  }
  LoopGuard off({.min_tokens = 0});
  for (int i = 0; i < 5000; ++i) ASSERT_FALSE(off.push(1));
}

}  // namespace
}  // namespace qwen3::server
