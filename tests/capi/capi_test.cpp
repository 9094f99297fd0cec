// What the C API gives is what the C++ API gives.
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "capi/fixture.h"
#include "engine/evaluate.h"
#include "qwen3/engine.h"
#include "qwen3/logits.h"
#include "qwen3/text.h"
#include "tensor/tensor.h"
#include "trace/tap.h"

namespace qwen3::test {
namespace {

using ::testing::HasSubstr;

struct Streamed {
  std::vector<int32_t> ids;
  std::string text;
  int32_t finish = QWEN3_FINISH_NONE;
  int32_t matched_stop = -1;
};

Streamed drain(qwen3_stream stream) {
  Streamed out;
  qwen3_event event = fresh_event();
  qwen3_status status = QWEN3_OK;
  while ((status = qwen3_stream_next(stream, -1, &event)) == QWEN3_OK) {
    EXPECT_EQ(out.finish, QWEN3_FINISH_NONE) << "an event behind the last";
    if (event.token_id >= 0) out.ids.push_back(event.token_id);
    out.text.append(event.text, event.n_text_bytes);
    EXPECT_EQ(event.text[event.n_text_bytes], '\0');
    out.finish = event.finish;
    out.matched_stop = event.matched_stop;
  }
  EXPECT_EQ(status, QWEN3_END);
  return out;
}

class CApi : public CApiTest {
 protected:
  static Streamed run(Asked& asked) {
    qwen3_stream stream = nullptr;
    EXPECT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK) << qwen3_last_error();
    Streamed out = drain(stream);
    EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
    return out;
  }
};

TEST_F(CApi, SaysItsVersion) {
  EXPECT_EQ(qwen3_abi_version(), QWEN3_ABI_VERSION);
  EXPECT_THAT(qwen3_version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_STREQ(qwen3_status_name(QWEN3_ERROR_BUSY), "busy");
  EXPECT_STREQ(qwen3_status_name(12345), "unknown");
}

TEST_F(CApi, DescribesTheModel) {
  qwen3_model_info info;
  qwen3_model_info_init(&info, sizeof(info));
  ASSERT_EQ(qwen3_model_get_info(model, &info), QWEN3_OK);
  const auto loaded = Model::load(kNano);
  EXPECT_STREQ(info.name, "nano");
  EXPECT_STREQ(info.model_type, "qwen3");
  EXPECT_EQ(info.n_parameters, loaded->info().n_parameters);
  EXPECT_EQ(info.hidden_size, loaded->shape().hidden_size);
  EXPECT_EQ(info.num_hidden_layers, loaded->shape().num_hidden_layers);
  EXPECT_EQ(info.n_tokens, Text::load(kNano).n_tokens());
  EXPECT_EQ(info.has_weights, 1);
  EXPECT_EQ(info.has_chat_template, 1);
}

TEST_F(CApi, TextAndIdsAreThoseOfText) {
  const Text text = Text::load(kNano);
  const std::string given = "Sort 7, 3 and 9. <|im_end|> é中\n";
  EXPECT_EQ(encode(given), text.encode(given));
  size_t n = 0;
  std::vector<int32_t> ids(64);
  ASSERT_EQ(qwen3_encode(model, given.data(), given.size(), 0, ids.data(), ids.size(), &n),
            QWEN3_OK);
  ids.resize(n);
  EXPECT_EQ(ids, text.encode_untrusted(given));
  EXPECT_EQ(qwen3_decode(model, ids.data(), ids.size(), nullptr, 0, &n),
            QWEN3_ERROR_BUFFER_TOO_SMALL);
  EXPECT_EQ(n, given.size());
  std::string out(n + 1, 'x');
  EXPECT_EQ(qwen3_decode(model, ids.data(), ids.size(), out.data(), n, &n),
            QWEN3_ERROR_BUFFER_TOO_SMALL)
      << "no place for the zero byte";
  EXPECT_EQ(out[0], 'x') << "nothing is written by half";
  ASSERT_EQ(qwen3_decode(model, ids.data(), ids.size(), out.data(), n + 1, &n), QWEN3_OK);
  EXPECT_EQ(out, given + '\0');
}

TEST_F(CApi, RendersChats) {
  qwen3_chat_options options;
  qwen3_chat_options_init(&options, sizeof(options));
  options.thinking = 0;
  qwen3_chat chat = nullptr;
  ASSERT_EQ(qwen3_chat_render(model, kMessages.data(), kMessages.size(), &options, &chat), QWEN3_OK)
      << qwen3_last_error();
  qwen3_chat_view view;
  qwen3_chat_view_init(&view, sizeof(view));
  ASSERT_EQ(qwen3_chat_get(chat, &view), QWEN3_OK);
  const EncodedChat expected = Text::load(kNano).encode_chat(kMessages, {.enable_thinking = false});
  EXPECT_EQ(std::vector<int32_t>(view.ids, view.ids + view.n_ids), expected.ids);
  EXPECT_EQ(std::string(view.prompt, view.n_prompt_bytes), expected.prompt);
  EXPECT_EQ(view.state, QWEN3_PROMPT_THINKING_IS_OVER);
  EXPECT_EQ(qwen3_chat_close(chat), QWEN3_OK);
}

TEST_F(CApi, AStreamIsTheEnginesStream) {
  Asked asked(encode("Sort 7, 3 and 9."));
  const Streamed got = run(asked);
  const Text text = Text::load(kNano);
  Engine cpp(Model::load(kNano),
             {.n_real_tokens = text.n_tokens(), .eos_token_ids = text.eos_token_ids()});
  EventStream stream = cpp.submit({.prompt_ids = asked.ids, .sampling = {.max_tokens = 24}});
  std::vector<int32_t> ids;
  while (const auto event = stream.next()) {
    if (event->token_id >= 0) ids.push_back(event->token_id);
  }
  EXPECT_EQ(got.ids, ids);
  EXPECT_FALSE(got.text.empty());
}

TEST_F(CApi, ABatchGivesWhatStreamsGive) {
  std::vector<Asked> asked;
  for (const char* prompt : {"Sort 7, 3 and 9.", "What is 3 + 4?", "Hello", "a"}) {
    asked.emplace_back(encode(prompt));
    asked.back().sampling.n_logprobs = 2;
  }
  std::vector<const qwen3_request*> requests;
  for (int copy = 0; copy < 6; ++copy) {
    for (Asked& one : asked) requests.push_back(one.get());
  }
  qwen3_engine_options options;
  qwen3_engine_options_init(&options, sizeof(options));
  options.max_waiting = 3;  // the queue is smaller than the batch
  options.max_sequences = 4;
  qwen3_engine small = nullptr;
  ASSERT_EQ(qwen3_engine_open(model, &options, &small), QWEN3_OK) << qwen3_last_error();
  qwen3_results results = nullptr;
  ASSERT_EQ(qwen3_generate(small, requests.data(), requests.size(), -1, nullptr, nullptr, &results),
            QWEN3_OK)
      << qwen3_last_error();
  size_t count = 0;
  ASSERT_EQ(qwen3_results_count(results, &count), QWEN3_OK);
  ASSERT_EQ(count, requests.size());
  qwen3_result result;
  qwen3_result_init(&result, sizeof(result));
  for (size_t i = 0; i < count; ++i) {
    ASSERT_EQ(qwen3_results_get(results, i, &result), QWEN3_OK);
    const Streamed alone = i < asked.size() ? run(asked[i]) : Streamed{};
    if (i < asked.size()) {
      EXPECT_EQ(std::vector<int32_t>(result.ids, result.ids + result.n_ids), alone.ids);
      EXPECT_EQ(std::string(result.text, result.n_text_bytes), alone.text);
      EXPECT_EQ(result.finish, alone.finish);
    }
    ASSERT_NE(result.logprobs, nullptr);
    ASSERT_EQ(result.n_top_logprobs, 2U);
    EXPECT_EQ(result.top_logprobs[0].token_id, result.ids[0]) << "greedy";
    EXPECT_EQ(result.usage.completion_tokens, static_cast<int64_t>(result.n_ids));
  }
  EXPECT_EQ(qwen3_results_get(results, count, &result), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_results_close(results), QWEN3_OK);
  EXPECT_EQ(qwen3_engine_close(small), QWEN3_OK);
}

TEST_F(CApi, AStopStringEndsTheAnswer) {
  Asked free(encode("Sort 7, 3 and 9."));
  const Streamed whole = run(free);
  ASSERT_GT(whole.text.size(), 4U);
  const std::string stop = whole.text.substr(2, 2);
  const char* stops[] = {"never to be seen", stop.c_str()};
  Asked asked(free.ids);
  asked.request.stop = stops;
  asked.request.n_stop = 2;
  const Streamed got = run(asked);
  EXPECT_EQ(got.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(got.finish, QWEN3_FINISH_STOP);
  EXPECT_EQ(got.matched_stop, 1);
}

TEST_F(CApi, AnAnswerIsHeldToItsForm) {
  for (const auto& [format, text] :
       std::map<int32_t, const char*>{{QWEN3_FORMAT_CHOICE, R"(["yes","no"])"},
                                      {QWEN3_FORMAT_REGEX, "yes|no"},
                                      {QWEN3_FORMAT_GBNF, "root ::= \"yes\" | \"no\""},
                                      {QWEN3_FORMAT_JSON_SCHEMA, R"({"enum":["yes","no"]})"}}) {
    Asked asked(encode("Is it?"));
    asked.request.prompt_state = QWEN3_PROMPT_THINKING_IS_OVER;
    asked.request.format = format;
    asked.request.format_text = text;
    EXPECT_THAT(run(asked).text, ::testing::MatchesRegex("\"?(yes|no)\"?")) << text;
  }
  Asked asked(encode("Is it?"));
  asked.request.format = QWEN3_FORMAT_REGEX;
  asked.request.format_text = "(";
  qwen3_stream stream = nullptr;
  EXPECT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("format_text"));
  EXPECT_EQ(stream, nullptr);
}

TEST_F(CApi, EmbeddingsAndPromptLogprobs) {
  Asked asked(encode("Sort 7, 3 and 9."));
  asked.request.embed = 1;
  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK) << qwen3_last_error();
  qwen3_event event = fresh_event();
  ASSERT_EQ(qwen3_stream_next(stream, -1, &event), QWEN3_OK);
  qwen3_model_info info;
  qwen3_model_info_init(&info, sizeof(info));
  ASSERT_EQ(qwen3_model_get_info(model, &info), QWEN3_OK);
  EXPECT_EQ(event.n_embedding, static_cast<size_t>(info.hidden_size));
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);

  Asked scored(asked.ids, 1);
  scored.request.n_prompt_logprobs = 1;
  ASSERT_EQ(qwen3_submit(engine, scored.get(), &stream), QWEN3_OK) << qwen3_last_error();
  ASSERT_EQ(qwen3_stream_next(stream, -1, &event), QWEN3_OK);
  ASSERT_EQ(event.n_prompt_logprobs, scored.ids.size());
  EXPECT_EQ(event.prompt_logprobs[0].has_token, 0);
  EXPECT_EQ(event.prompt_logprobs[1].token.token_id, scored.ids[1]);
  EXPECT_GE(event.prompt_logprobs[1].rank, 1);
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

TEST_F(CApi, LogitsAreThoseOfLogitStream) {
  const std::vector<int32_t> ids = encode("Sort 7, 3 and 9.");
  qwen3_tensors tensors = nullptr;
  qwen3_forward_options options;
  qwen3_forward_options_init(&options, sizeof(options));
  options.first_row = 2;
  ASSERT_EQ(qwen3_forward(model, ids.data(), ids.size(), &options, &tensors), QWEN3_OK)
      << qwen3_last_error();
  qwen3_tensor logits;
  qwen3_tensor_init(&logits, sizeof(logits));
  ASSERT_EQ(qwen3_tensors_find(tensors, "logits", &logits), QWEN3_OK);
  ASSERT_EQ(logits.rank, 2);
  ASSERT_EQ(logits.shape[0], static_cast<int64_t>(ids.size()) - 2);
  LogitStream stream(Model::load(kNano), ids, 2);
  const auto* values = static_cast<const float*>(logits.data);
  while (const auto rows = stream.next()) {
    EXPECT_EQ(std::memcmp(values, rows->values.data(), rows->values.size_bytes()), 0);
    values += rows->values.size();
  }
  EXPECT_EQ(static_cast<const void*>(values),
            static_cast<const char*>(logits.data) + logits.n_bytes);
  EXPECT_EQ(qwen3_tensors_close(tensors), QWEN3_OK);
}

class Recorder final : public Tap {
 public:
  void tensor(std::string_view name, const Tensor& value) override {
    if (name != "norm" && !name.ends_with(".output")) return;
    std::vector<float>& rows = seen[std::string(name)];
    for (int64_t i = 0; i < value.dim(0); ++i) {
      rows.insert(rows.end(), value.f32_row(i), value.f32_row(i) + value.numel() / value.dim(0));
    }
  }
  std::map<std::string, std::vector<float>> seen;
};

TEST_F(CApi, TapsAreThoseOfTheModel) {
  const std::vector<int32_t> ids = encode("Sort 7, 3 and 9.");
  const char* taps[] = {"layers.*.output", "norm"};
  qwen3_forward_options options;
  qwen3_forward_options_init(&options, sizeof(options));
  options.taps = taps;
  options.n_taps = 2;
  options.logits = 0;
  qwen3_tensors tensors = nullptr;
  ASSERT_EQ(qwen3_forward(model, ids.data(), ids.size(), &options, &tensors), QWEN3_OK)
      << qwen3_last_error();
  Recorder recorder;
  evaluate(*Model::load(kNano), ids, {.tap = &recorder}, [](int64_t, const Tensor&) {});
  size_t count = 0;
  ASSERT_EQ(qwen3_tensors_count(tensors, &count), QWEN3_OK);
  EXPECT_EQ(count, recorder.seen.size());
  for (const auto& [name, expected] : recorder.seen) {
    qwen3_tensor tensor;
    qwen3_tensor_init(&tensor, sizeof(tensor));
    ASSERT_EQ(qwen3_tensors_find(tensors, name.c_str(), &tensor), QWEN3_OK) << name;
    ASSERT_EQ(tensor.n_bytes, expected.size() * sizeof(float)) << name;
    EXPECT_EQ(std::memcmp(tensor.data, expected.data(), tensor.n_bytes), 0) << name;
  }
  qwen3_tensor none;
  qwen3_tensor_init(&none, sizeof(none));
  EXPECT_EQ(qwen3_tensors_find(tensors, "rotary_cos", &none), QWEN3_ERROR_NOT_FOUND);
  EXPECT_EQ(qwen3_tensors_close(tensors), QWEN3_OK);
  taps[1] = "no.such.tensor";
  EXPECT_EQ(qwen3_forward(model, ids.data(), ids.size(), &options, &tensors),
            QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("no.such.tensor"));
}

TEST_F(CApi, ErrorsSayWhatToDo) {
  qwen3_model none = nullptr;
  EXPECT_EQ(qwen3_model_open("no/such/model", nullptr, &none), QWEN3_ERROR_NOT_FOUND);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("no/such/model"));
  EXPECT_EQ(none, nullptr);
  Asked asked({1 << 30});
  qwen3_stream stream = nullptr;
  EXPECT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("prompt_ids"));
}

}  // namespace
}  // namespace qwen3::test
