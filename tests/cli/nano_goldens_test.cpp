// The embedded models answer 50 held-out prompts each as transformers does: the same prompt ids
// from messages and tools, and the same greedy ids. Goldens: models/training/make_goldens.py.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "qwen3/engine.h"
#include "qwen3/model.h"
#include "qwen3/text.h"

namespace qwen3 {
namespace {

class NanoGoldens : public testing::TestWithParam<const char*> {
 protected:
  std::string source(const std::string& path) { return QWEN3_SOURCE_DIR "/models/" + path; }
  std::string directory_ = source(GetParam());
  Json rows_ = parse_json(
      read_text_file(source("training/goldens/") + GetParam() + ".json", 1 << 20), GetParam());
};

TEST_P(NanoGoldens, PromptsAreThoseOfTransformers) {
  const Text text = Text::load(directory_);
  ASSERT_EQ(rows_.size(), 50u);
  for (const Json& row : rows_) {
    ChatOptions options;
    options.enable_thinking = row["thinking"].get<bool>();
    if (row.contains("tools")) options.tools = row["tools"].dump();
    const EncodedChat chat = text.encode_chat(row["messages"].dump(), options);
    EXPECT_EQ(chat.ids, row["prompt_ids"].get<std::vector<int32_t>>()) << row["messages"];
  }
}

TEST_P(NanoGoldens, GreedyAnswersAreThoseOfTransformers) {
  auto model = Model::load(directory_, {.dtype = "float32"});
  Engine engine(model);
  std::vector<EventStream> streams;
  for (const Json& row : rows_) {
    Request request;
    request.prompt_ids = row["prompt_ids"].get<std::vector<int32_t>>();
    request.sampling.max_tokens = 160;  // as make_goldens.py
    streams.push_back(engine.submit(std::move(request)));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    std::vector<int32_t> ids;
    while (const auto event = streams[i].next()) {
      ASSERT_EQ(event->error, "");
      if (event->token_id >= 0) ids.push_back(event->token_id);
    }
    EXPECT_EQ(ids, rows_[i]["new_ids"].get<std::vector<int32_t>>()) << rows_[i]["messages"];
  }
}

INSTANTIATE_TEST_SUITE_P(EmbeddedModels,
                         NanoGoldens,
                         testing::Values("nano", "nano-moe"),
                         [](const auto& name) {
                           return std::string(name.param) == "nano" ? "Nano" : "NanoMoe";
                         });

}  // namespace
}  // namespace qwen3
