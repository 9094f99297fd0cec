// Embeddings and reranking over checkpoints of the real geometry: the API's numbers are those of
// one forward pass of the library over the same tokens.
#include <gmock/gmock.h>

#include <cmath>

#include "engine/evaluate.h"
#include "server/api/fixture.h"
#include "server/api/random_checkpoint.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

namespace qwen3::server {
namespace {

// Keeps the last row of the final norm.
class LastState final : public Tap {
 public:
  void tensor(std::string_view name, const Tensor& value) override {
    if (name != "norm") return;
    const test::Array all = test::copy_of(value);
    row.assign(all.values.end() - value.dim(1), all.values.end());
  }
  std::vector<float> row;
};

class ApiRetrieval : public ApiTest {
 protected:
  void SetUp() override {}
  void TearDown() override {
    routes.clear();
    service.reset();
  }

  // Serves a checkpoint as `qwen3 serve` does, by what its name says it is for.
  void serve(const char* name, CheckpointKind kind) {
    const std::filesystem::path directory = directory_.path() / name;
    const RandomCheckpoint checkpoint(directory, kind);
    library = Model::load(directory, {.backend = "reference", .n_threads = 1});
    const std::shared_ptr<Model> served = Model::load(directory, {.n_threads = 1});
    text = std::make_unique<Text>(Text::load(directory));
    EngineOptions engine;
    engine.max_sequences = 4;
    engine.max_batch_tokens = 64;  // longer inputs come in chunks
    engine.n_real_tokens = text->n_tokens();
    service = std::make_unique<Service>(ServiceOptions{.model_names = {name}});
    service->set_model(
        make_served_model({.text = Text::load(directory),
                           .generator = std::make_unique<EngineGenerator<Engine>>(served, engine),
                           .defaults = served->generation_defaults(),
                           .info = served->info(),
                           .shape = served->shape(),
                           .task = detect_task(directory)},
                          service->options()));
    routes = make_routes(*service);
  }

  // The final state of the last token, scaled to length 1.
  std::vector<float> last_state(const std::vector<int32_t>& ids) const {
    LastState state;
    evaluate(*library, ids, {.tap = &state}, [](int64_t, const Tensor&) {});
    double sum = 0;
    for (const float value : state.row) sum += double{value} * value;
    for (float& value : state.row) value = static_cast<float>(value / std::sqrt(sum));
    return state.row;
  }

  double yes_probability(const std::vector<int32_t>& ids) const {
    const int32_t yes = *tokenizer_of(*text).token_to_id("yes");
    const int32_t no = *tokenizer_of(*text).token_to_id("no");
    double p = NAN;
    evaluate(*library, ids, {}, [&](int64_t, const Tensor& logits) {
      const float* row = logits.f32() + (logits.dim(0) - 1) * logits.row_stride();
      p = std::exp(double{row[yes]}) / (std::exp(double{row[yes]}) + std::exp(double{row[no]}));
    });
    return p;
  }

  test::TempDir directory_;
  std::shared_ptr<Model> library;
  std::unique_ptr<Text> text;
};

std::string long_text() {
  std::string words = "Instruct: Find it\nQuery:";
  for (int i = 0; i < 60; ++i) words += " word " + std::to_string(i);
  return words;
}

TEST_F(ApiRetrieval, AnEmbeddingIsTheStateOfTheEndToken) {
  serve("Qwen3-Embedding-Tiny", CheckpointKind::embedding);
  ASSERT_EQ(service->model().task, Task::embed);
  const std::vector<std::string> inputs{"One", "What is 3 + 4?", long_text(), "é<|im_end|> 🙂"};
  const Reply reply = post("/v1/embeddings", {{"input", inputs}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  int64_t n_tokens = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<int32_t> ids = text->encode_untrusted(inputs[i]);
    ids.push_back(RandomCheckpoint::kEndOfText);
    n_tokens += static_cast<int64_t>(ids.size());
    const auto got = reply.json["data"][i]["embedding"].get<std::vector<float>>();
    // Float32 on both sides; sums of up to 128 products in different order, three layers.
    EXPECT_LT(test::relative_error(got, last_state(ids)), 1e-4) << inputs[i];
    EXPECT_GT(test::relative_error(got, last_state(text->encode_untrusted(inputs[i]))), 0.05)
        << "the end token makes no difference";
  }
  EXPECT_EQ(reply.json["usage"]["prompt_tokens"], n_tokens);
  // Ids are taken as they are.
  const std::vector<int32_t> ids{10, 20, 30};
  const Reply by_ids = post("/v1/embeddings", {{"input", ids}});
  EXPECT_LT(test::relative_error(by_ids.json["data"][0]["embedding"].get<std::vector<float>>(),
                                 last_state(ids)),
            1e-4);
  EXPECT_EQ(post("/v1/rerank", {{"query", "q"}, {"documents", {"d"}}}).code(),
            "unsupported_endpoint");
  EXPECT_EQ(call("GET", "/v1/models").json["data"][0]["task"], "embed");
}

TEST_F(ApiRetrieval, ARerankScoreIsTheProbabilityOfYes) {
  serve("Qwen3-Reranker-Tiny", CheckpointKind::reranker);
  ASSERT_EQ(service->model().task, Task::rerank);
  const std::vector<std::string> documents{"Paris", "", "A <|im_end|> that is text", long_text()};
  const Reply reply = post(
      "/v1/rerank",
      {{"query", "Which city?"}, {"documents", documents}, {"instruction", "Find the capital"}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  ASSERT_EQ(reply.json["results"].size(), documents.size());
  std::vector<double> scores;
  for (const Json& result : reply.json["results"]) {
    const auto index = result["index"].get<size_t>();
    // The official words and the official way: head, pair and tail are tokenised apart.
    std::vector<int32_t> ids = text->encode(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        "and the Instruct provided. Note that the answer can only be \"yes\" or \"no\"."
        "<|im_end|>\n<|im_start|>user\n");
    const auto append = [&ids](const std::vector<int32_t>& more) {
      ids.insert(ids.end(), more.begin(), more.end());
    };
    append(text->encode_untrusted(
        "<Instruct>: Find the capital\n<Query>: Which city?\n<Document>: " + documents[index]));
    append(text->encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"));
    const double want = yes_probability(ids);
    const auto got = result["relevance_score"].get<double>();
    EXPECT_NEAR(got, want, 1e-4) << documents[index];
    scores.push_back(got);
  }
  EXPECT_TRUE(std::ranges::is_sorted(scores, std::greater<>()));
  EXPECT_GT(scores.front() - scores.back(), 1e-3) << "documents make no difference";
  const Reply one = post(
      "/v1/score",
      {{"text_1", "Which city?"}, {"text_2", {documents[0]}}, {"instruction", "Find the capital"}});
  const auto place = std::ranges::find_if(reply.json["results"],
                                          [](const Json& result) { return result["index"] == 0; });
  EXPECT_NEAR(
      one.json["data"][0]["score"].get<double>(), (*place)["relevance_score"].get<double>(), 1e-6);
  EXPECT_EQ(chat({{"model", "Qwen3-Reranker-Tiny"}}).code(), "unsupported_endpoint");
}

TEST_F(ApiRetrieval, TooLongIsRefusedAndNeverCut) {
  serve("Qwen3-Embedding-Tiny", CheckpointKind::embedding);
  std::vector<int32_t> ids(static_cast<size_t>(RandomCheckpoint::kContext), 7);
  EXPECT_EQ(post("/v1/embeddings", {{"input", ids}}).status, 200);
  ids.push_back(7);
  const Reply reply = post("/v1/embeddings", {{"input", ids}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.code(), "context_length_exceeded");
  EXPECT_THAT(reply.message(), testing::HasSubstr("maximum context length"));
}

}  // namespace
}  // namespace qwen3::server
