// Which tokens end an answer: those that are named, and the one that the template puts there.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/input_file.h"
#include "base/json.h"
#include "chat/text.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

const std::filesystem::path kNano = std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano";

// nano's tokenizer with another eos_token (null: none), and another template ("": none).
Text text_with(const Json& eos_token, const std::string& chat_template) {
  const TempDir dir;
  Json config = parse_json(read_text_file(kNano / "tokenizer_config.json", 1 << 20), "config");
  config.erase("chat_template");
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  config["eos_token"] = eos_token;
  dir.write("tokenizer_config.json", config.dump());
  std::filesystem::copy_file(kNano / "tokenizer.json", dir.path() / "tokenizer.json");
  return Text::load(dir.path());
}

int32_t id_of(const Text& text, const std::string& token) { return text.encode(token).at(0); }

TEST(EndTokens, TheTemplatesWordCountsToo) {
  const std::string chatml =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
  const Text both = text_with("<|endoftext|>", chatml);
  const int32_t end_of_text = id_of(both, "<|endoftext|>"), im_end = id_of(both, "<|im_end|>");
  EXPECT_EQ(both.eos_token_ids(), (std::vector{end_of_text, im_end}));
  EXPECT_EQ(text_with(nullptr, chatml).eos_token_ids(), std::vector{im_end});
  EXPECT_EQ(text_with("no token at all", chatml).eos_token_ids(), std::vector{im_end});
  EXPECT_EQ(text_with("<|im_end|>", chatml).eos_token_ids(), std::vector{im_end});
}

TEST(EndTokens, WhatStandsBeforeAnAnswerEndsNone) {
  const std::string open =
      "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}\n{% endfor %}";
  const std::vector end_of_text{id_of(text_with(nullptr, open), "<|endoftext|>")};
  EXPECT_TRUE(text_with(nullptr, open).eos_token_ids().empty());
  EXPECT_EQ(text_with("<|endoftext|>", open).eos_token_ids(), end_of_text);
  EXPECT_EQ(text_with("<|endoftext|>", "").eos_token_ids(), end_of_text);
  // A template that fails says nothing; who chats with it is told.
  EXPECT_EQ(text_with("<|endoftext|>", "{{ raise_exception('no') }}").eos_token_ids(), end_of_text);
}

}  // namespace
}  // namespace qwen3::test
