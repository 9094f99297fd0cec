// What a request may ask for besides an answer: the experts that chose it, word of its prompt, an end
// of its thought; presets and what the models' list says of all this.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>

#include "server/api/fixture.h"
#include "server/api/presets.h"
#include "server/api/progress.h"
#include "server/api/routed_experts.h"

namespace qwen3::server {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::string decode64(const std::string& text) {
  static const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    out += static_cast<char>(bits >> n_bits & 0xFF);
  }
  return out;
}

struct Npy {
  std::string header, data;
};

Npy read_npy(const std::string& base64_text) {
  const std::string file = decode64(base64_text);
  EXPECT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t n = static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]);
  EXPECT_EQ((10 + n) % 64, 0u);
  EXPECT_EQ(file[10 + n - 1], '\n');
  return {file.substr(10, n), file.substr(10 + n)};
}

// A model of two sparse layers of three, two experts a token.
class ApiExperts : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    become(200);
    generator->experts = [](size_t row) {
      const auto r = static_cast<uint16_t>(row);
      return std::vector<uint16_t>{r, 1, 2, static_cast<uint16_t>(199 - r)};
    };
    say("Hello there");
    n_tokens = nano_text().encode("Hello there").size() + 1;  // with the end token
  }

  void become(int64_t n_experts) {
    ModelShape& shape = const_cast<ModelShape&>(service->loaded()->shape);
    shape.model_type = ModelType::qwen3_moe;
    shape.layer_is_sparse = {true, false, true};
    shape.num_experts = n_experts;
    shape.num_experts_per_tok = 2;
  }

  // The rows [first, first + n) as bytes.
  static std::string rows(size_t first, size_t n) {
    std::string out;
    for (size_t r = first; r < first + n; ++r) {
      out += {static_cast<char>(r), '\1', '\2', static_cast<char>(199 - r)};
    }
    return out;
  }

  size_t n_tokens = 0;
};

TEST_F(ApiExperts, WholeAnswersHaveAnArray) {
  for (const bool plain : {false, true}) {
    const Json more{{"return_routed_experts", true}};
    const Reply reply = plain ? complete(more) : chat(more);
    ASSERT_EQ(reply.status, 200) << reply.text;
    const Npy npy = read_npy(reply.json["choices"][0]["routed_experts"]);
    EXPECT_THAT(npy.header, HasSubstr("'descr': '|u1', 'fortran_order': False"));
    EXPECT_THAT(npy.header, HasSubstr("'shape': (" + std::to_string(n_tokens) + ", 2, 2)"));
    EXPECT_EQ(npy.data, rows(0, n_tokens));
    EXPECT_EQ(generator->requests.back().routed_experts, RoutedExperts::generated);
  }
  EXPECT_FALSE(chat().json["choices"][0].contains("routed_experts"));
  EXPECT_EQ(generator->requests.back().routed_experts, RoutedExperts::none);
}

TEST_F(ApiExperts, OfThePromptToo) {
  const Reply reply = chat({{"return_routed_experts", true}, {"routed_experts_prompt", true}});
  const size_t n_prompt = generator->requests.back().prompt_ids.size();
  EXPECT_EQ(generator->requests.back().routed_experts, RoutedExperts::with_the_prompt);
  const Npy npy = read_npy(reply.json["choices"][0]["routed_experts"]);
  EXPECT_EQ(npy.data, rows(0, n_prompt - 1 + n_tokens));
}

TEST_F(ApiExperts, ChunksHaveTheirTokensAndTheShapeOnce) {
  for (const bool plain : {false, true}) {
    const Json more{{"return_routed_experts", true}, {"stream", true}, {"n", 2}};
    const Reply reply = plain ? complete(more) : chat(more);
    for (int64_t choice = 0; choice < 2; ++choice) {
      std::string all;
      int n_shapes = 0;
      for (const Json& chunk : reply.chunks) {
        for (const Json& one : chunk["choices"]) {
          if (one["index"] != choice || !one.contains("routed_experts")) continue;
          if (all.empty()) {
            EXPECT_EQ(one["routed_experts_shape"], Json({2, 2}));
          }
          n_shapes += one.contains("routed_experts_shape") ? 1 : 0;
          all += decode64(one["routed_experts"]);
        }
      }
      EXPECT_EQ(all, rows(0, n_tokens));
      EXPECT_EQ(n_shapes, 1);
    }
  }
}

TEST_F(ApiExperts, ManyExpertsTakeTwoBytes) {
  become(300);
  generator->experts = [](size_t) { return std::vector<uint16_t>{299, 256, 255, 1}; };
  const Npy npy =
      read_npy(chat({{"return_routed_experts", true}}).json["choices"][0]["routed_experts"]);
  EXPECT_THAT(npy.header, HasSubstr("'<i2'"));
  EXPECT_EQ(npy.data.substr(0, 8), std::string("\x2b\x01\x00\x01\xff\x00\x01\x00", 8));
  EXPECT_EQ(npy.data.size(), n_tokens * 8);
}

TEST_F(ApiExperts, Refusals) {
  EXPECT_EQ(chat({{"routed_experts_prompt", true}}).param(), "routed_experts_prompt");
  EXPECT_EQ(chat({{"return_routed_experts", 1}}).param(), "return_routed_experts");
  EXPECT_EQ(
      chat({{"return_routed_experts", true}, {"routed_experts_prompt", true}, {"n", 2}}).param(),
      "routed_experts_prompt");
  SetUp();
  const_cast<ModelShape&>(service->loaded()->shape).layer_is_sparse = {};
  const Reply dense = chat({{"return_routed_experts", true}});
  EXPECT_EQ(dense.status, 400);
  EXPECT_EQ(dense.code(), "unsupported_parameter");
  EXPECT_TRUE(generator->requests.empty());
}

class ApiProgress : public ApiTest {};

TEST_F(ApiProgress, InAStreamThatAsks) {
  say("Hello");
  generator->progress = {{.total = 40, .cached = 8, .processed = 20, .seconds = 0.0125}};
  const Reply reply = chat({{"stream", true}, {"return_progress", true}});
  ASSERT_FALSE(reply.chunks.empty());
  const Json& first = reply.chunks.front();
  EXPECT_EQ(first["choices"], Json::array());
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["prompt_progress"],
            Json({{"total", 40}, {"cache", 8}, {"processed", 20}, {"time_ms", 12}}));
  EXPECT_EQ(join_chunks(reply.chunks).content, "Hello");
  EXPECT_TRUE(generator->requests.back().report_progress);

  EXPECT_EQ(complete({{"stream", true}, {"return_progress", true}})
                .chunks.front()["prompt_progress"]["processed"],
            20);
  chat({{"stream", true}});
  EXPECT_FALSE(generator->requests.back().report_progress);
  chat({{"return_progress", true}});  // a whole answer has no place for it
  EXPECT_FALSE(generator->requests.back().report_progress);
  complete({{"stream", true}, {"return_progress", true}, {"prompt", {"a", "b"}}});
  EXPECT_FALSE(generator->requests.back().report_progress);
}

TEST_F(ApiProgress, AtMostFourASecond) {
  ProgressChunks chunks;
  const ProgressChunks::Time start{};
  int64_t n = 0;
  for (int ms = 0; ms < 1000; ms += 10) {
    std::string out;
    chunks.append(
        out, "{\"choices\":[", {.total = 100, .processed = ms / 10}, start + milliseconds(ms));
    if (out.empty()) continue;
    ++n;
    EXPECT_TRUE(out.ends_with("}\n\n"));
  }
  EXPECT_EQ(n, 4);
}

class ApiControl : public ApiTest {
 protected:
  static constexpr const char* kPath = "/v1/chat/completions/control";
  const Client owner{"owner", "1"}, other{"other", "2"};

  Json end(const std::string& id, const Client& client) {
    const auto exchange =
        begin("POST", kPath, Json{{"id", id}, {"action", "reasoning_end"}}.dump(), client);
    EXPECT_TRUE(exchange->run());
    return read_reply(*exchange).json;
  }
};

// The thought is closed by the second token from the control on, and the answer follows.
TEST_F(ApiControl, EndsTheThoughtOfItsClient) {
  const std::vector<int32_t> thought = nano_text().encode("<think>\nOne two three four five six");
  const std::vector<int32_t> answer = nano_text().encode("Done.");
  size_t n_thought = 0;
  generator->script = [&](const Request&, size_t) {
    std::vector<int32_t> ids = thought;
    ids.insert(ids.end(), answer.begin(), answer.end());
    return ids;
  };
  generator->before_token = [&](size_t n_made) {
    if (n_made != 6) return;
    n_thought = n_made;
    EXPECT_EQ(end("chatcmpl-req-1", other)["success"], false);
    EXPECT_EQ(end("chatcmpl-req-2", owner)["success"], false);
    EXPECT_EQ(end("chatcmpl-req-1", owner), (Json{{"success", true}}));
  };
  const Json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                  {"return_token_ids", true},
                  {"reasoning_control", true}};
  const auto exchange = begin("POST", "/v1/chat/completions", body.dump(), owner);
  ASSERT_TRUE(exchange->run());
  const Reply reply = read_reply(*exchange);
  const auto ids = reply.json["choices"][0]["token_ids"].get<std::vector<int32_t>>();
  const int32_t close = service->loaded()->think_close;
  const auto at = static_cast<size_t>(std::ranges::find(ids, close) - ids.begin());
  EXPECT_EQ(n_thought, 6u);
  EXPECT_LE(at, n_thought + 1);
  EXPECT_THAT(join_whole(reply.json).content, HasSubstr("Done."));
  EXPECT_THAT(join_whole(reply.json).reasoning, HasSubstr("One"));
  EXPECT_EQ(end("chatcmpl-req-1", owner)["success"], false);  // it has finished
}

TEST_F(ApiControl, OnlyOfRequestsThatSaidSo) {
  say("x");
  bool asked = false;
  generator->before_token = [&](size_t) {
    asked = true;
    const Json answer = end("chatcmpl-req-1", {});
    EXPECT_EQ(answer["success"], false);
    EXPECT_THAT(answer["message"].get<std::string>(), HasSubstr("reasoning_control"));
  };
  chat();
  EXPECT_TRUE(asked);
  EXPECT_EQ(post(kPath, {{"action", "reasoning_end"}}).param(), "id");
  EXPECT_EQ(post(kPath, {{"id", "x"}}).param(), "action");
  EXPECT_EQ(post(kPath, {{"id", "x"}, {"action", "pause"}}).param(), "action");
  EXPECT_EQ(chat({{"reasoning_control", true}, {"allowed_token_ids", {1}}}).param(),
            "allowed_token_ids");
}

class ApiPresets : public ApiTest {
 protected:
  // Models differ by their templates.
  static std::vector<std::string> names(const std::string& source, bool quantised = false) {
    Text text = Text::load(kNano);
    const_cast<ChatConfig&>(chat_config_of(text)).chat = ChatTemplate::parse(source, "t");
    std::vector<std::string> out;
    for (const Preset& preset : presets_for(text, quantised)) out.emplace_back(preset.name);
    return out;
  }
  using Names = std::vector<std::string>;
};

TEST_F(ApiPresets, ByTheFamilyOfTheTemplate) {
  EXPECT_EQ(names("{% if enable_thinking %}a{% endif %}"), (Names{"thinking", "non_thinking"}));
  EXPECT_EQ(names("<|im_start|>assistant\n<think>\n"), (Names{"thinking"}));
  EXPECT_EQ(names("{{ '<function=' }}"), (Names{"non_thinking"}));
  EXPECT_EQ(names("{{ messages[0].content }}"), (Names{"non_thinking"}));
  EXPECT_EQ(presets_for(Text::load(kNano), true).front().values[4].second, 1.5);
}

TEST_F(ApiPresets, ThatTheListNamesActAndAreBeneathTheRequest) {
  const Json meta = call("GET", "/v1/models").json["data"][0]["meta"];
  EXPECT_EQ(meta["routed_experts"], false);
  EXPECT_EQ(meta["reasoning_control"], true);
  EXPECT_EQ(meta["progress"], true);
  EXPECT_EQ(meta["sampling_defaults"]["temperature"], 0.6);
  EXPECT_EQ(meta["sampling_defaults"]["top_k"], 20);
  EXPECT_EQ(meta["presets"]["non_thinking"]["temperature"], 0.7);
  EXPECT_EQ(meta["presets"]["non_thinking"]["enable_thinking"], false);
  EXPECT_EQ(meta["presets"]["thinking"]["top_p"], 0.95);

  say("x");
  const auto asked = [&](const Json& more) {
    EXPECT_EQ(chat(more).status, 200) << more;
    return generator->requests.back();
  };
  const size_t n_prompt = asked({{"enable_thinking", false}}).prompt_ids.size();
  const Request plain = asked({{"preset", "non_thinking"}});
  EXPECT_EQ(plain.sampling.temperature, 0.7);
  EXPECT_EQ(plain.sampling.top_p, 0.8);
  EXPECT_EQ(plain.prompt_ids.size(), n_prompt);
  const Request mixed =
      asked({{"preset", "non_thinking"}, {"temperature", 0.1}, {"enable_thinking", true}});
  EXPECT_EQ(mixed.sampling.temperature, 0.1);
  EXPECT_EQ(mixed.sampling.top_p, 0.8);
  EXPECT_NE(mixed.prompt_ids.size(), n_prompt);
  complete({{"preset", "non_thinking"}});
  EXPECT_EQ(generator->requests.back().sampling.top_p, 0.8);
  EXPECT_EQ(asked({{"preset", "auto"}, {"enable_thinking", false}}).sampling.top_p, 0.8);
  EXPECT_EQ(asked({{"preset", "auto"}}).sampling.top_p, 0.95);
  EXPECT_EQ(asked({{"preset", "none"}}).sampling.top_p, 0.95);  // nano's generation_config.json
  const Reply unknown = chat({{"preset", "fast"}});
  EXPECT_EQ(unknown.param(), "preset");
  EXPECT_THAT(unknown.message(), HasSubstr("thinking or non_thinking"));
}

// What the operator says holds for requests that say nothing.
TEST_F(ApiPresets, OfTheServerLieBeneathThoseOfRequests) {
  say("x");
  const auto asked = [&](const Json& more) {
    EXPECT_EQ(chat(more).status, 200) << more;
    return generator->requests.back();
  };
  const size_t thinking = asked(Json::object()).prompt_ids.size();
  const size_t not_thinking = asked({{"enable_thinking", false}}).prompt_ids.size();
  ASSERT_NE(thinking, not_thinking);

  ServiceOptions options{.model_names = {"nano"}, .preset = "auto"};
  restart(options);
  say("x");
  EXPECT_EQ(asked(Json::object()).sampling.temperature, 0.6);
  EXPECT_EQ(generator->requests.back().prompt_ids.size(), thinking);
  for (const Json& off : {Json{{"enable_thinking", false}},
                          Json{{"reasoning_effort", "none"}},
                          Json{{"chat_template_kwargs", {{"enable_thinking", false}}}}}) {
    EXPECT_EQ(asked(off).sampling.temperature, 0.7) << off;
    EXPECT_EQ(generator->requests.back().prompt_ids.size(), not_thinking);
  }
  EXPECT_EQ(asked({{"preset", "non_thinking"}}).sampling.temperature, 0.7);
  EXPECT_EQ(asked({{"temperature", 0.1}}).sampling.temperature, 0.1);

  options.preset = "non_thinking";
  restart(options);
  say("x");
  const Json meta = call("GET", "/v1/models").json["data"][0]["meta"];
  EXPECT_EQ(meta["preset"], "non_thinking");
  EXPECT_EQ(meta["sampling_defaults"]["temperature"], 0.7);
  EXPECT_EQ(asked(Json::object()).sampling.temperature, 0.7);
  EXPECT_EQ(generator->requests.back().prompt_ids.size(), not_thinking);
  EXPECT_EQ(asked({{"enable_thinking", true}}).prompt_ids.size(), thinking);
  EXPECT_EQ(asked({{"preset", "none"}}).sampling.temperature, 0.6);
  EXPECT_EQ(generator->requests.back().prompt_ids.size(), thinking);
  complete();
  EXPECT_EQ(generator->requests.back().sampling.top_p, 0.8);

  // The operator's own variables go before the mode of the operator's preset, and choose with auto.
  options.default_template_kwargs = R"({"enable_thinking":true})";
  restart(options);
  say("x");
  EXPECT_EQ(asked(Json::object()).prompt_ids.size(), thinking);
  EXPECT_EQ(asked({{"preset", "non_thinking"}}).prompt_ids.size(), not_thinking);
  options.preset = "auto";
  options.default_template_kwargs = R"({"enable_thinking":false})";
  restart(options);
  say("x");
  EXPECT_EQ(asked(Json::object()).sampling.temperature, 0.7);
  EXPECT_EQ(asked({{"enable_thinking", true}}).sampling.temperature, 0.6);
}

}  // namespace
}  // namespace qwen3::server
