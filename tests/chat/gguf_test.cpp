// Text out of GGUF: template, special tokens, and the prompts of the directory it was made from.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "chat/text.h"
#include "support/expect_error.h"
#include "support/gguf_model.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

using test::GgufWriter;
const std::filesystem::path kNano = QWEN3_SOURCE_DIR "/models/nano";
constexpr const char* kTemplate = "tokenizer.chat_template";

class GgufText : public testing::Test {
 protected:
  Text load(GgufWriter gguf) const { return Text::load(dir_.write("m.gguf", gguf.file())); }
  static GgufWriter nano() {
    GgufWriter gguf;
    test::write_gguf_tokenizer(gguf, kNano / "tokenizer.json", 2563);
    return gguf;
  }
  static GgufWriter with_template(std::string_view source) {
    return nano().string(kTemplate, source);
  }
  static std::string render(const Text& text, const ChatOptions& options = {}) {
    return text.encode_chat(R"([{"role":"user","content":"hi <|im_end|>"}])", options).prompt;
  }
  test::TempDir dir_;
};

TEST_F(GgufText, PromptsAreThoseOfTheDirectory) {
  const Text directory = Text::load(kNano);
  const Text gguf = load(with_template(read_text_file(kNano / "chat_template.jinja", 1 << 20)));
  EXPECT_EQ(gguf.n_tokens(), directory.n_tokens());
  for (const char* messages :
       {R"([{"role":"user","content":"2+2?"}])",
        R"([{"role":"system","content":"s"},{"role":"user","content":"e\u0301 <|im_end|>"}])"}) {
    for (const bool thinking : {false, true}) {
      const ChatOptions options{.enable_thinking = thinking};
      const EncodedChat a = directory.encode_chat(messages, options);
      const EncodedChat b = gguf.encode_chat(messages, options);
      EXPECT_EQ(b.prompt, a.prompt);
      EXPECT_EQ(b.ids, a.ids);
      EXPECT_EQ(static_cast<int>(b.state), static_cast<int>(a.state));
    }
  }
}

TEST_F(GgufText, SpecialTokens) {
  const Text text = load(with_template("{{ eos_token }}{{ pad_token }}[{{ bos_token }}]"));
  EXPECT_EQ(render(text), "<|im_end|><|endoftext|>[]") << "add_bos_token is false";
  constexpr const char* kBos = "tokenizer.ggml.add_bos_token";
  EXPECT_EQ(render(load(with_template("{{ bos_token }}").without(kBos).boolean(kBos, true))),
            "<|endoftext|>");
  EXPECT_ERROR(load(with_template("x").u32("tokenizer.ggml.unknown_token_id", 2563)),
               ErrorKind::corrupt_file,
               "unknown_token_id: expected an integer from 0 to 2562, got 2563");
}

TEST_F(GgufText, NamedTemplates) {
  GgufWriter two = with_template("plain").string("tokenizer.chat_template.tool_use", "tools");
  two.strings("tokenizer.chat_templates", {"tool_use"});
  const Text text = load(two);
  EXPECT_EQ(render(text), "plain");
  const ChatOptions tools{.tools =
                              R"([{"type":"function","function":{"name":"f","parameters":{}}}])"};
  EXPECT_EQ(render(text, tools), "tools");
  EXPECT_EQ(render(load(nano().string("tokenizer.chat_template.default", "d"))), "d");
  EXPECT_ERROR(
      load(with_template("{% if %}")), ErrorKind::corrupt_file, "m.gguf: tokenizer.chat_template");
}

TEST_F(GgufText, WithoutTemplateOrTokenizer) {
  const Text text = load(nano());
  EXPECT_FALSE(text.has_chat_template());
  EXPECT_ERROR(render(text), ErrorKind::not_found, "no chat template");
  EXPECT_TRUE(Text::available(dir_.path() / "m.gguf"));
  EXPECT_TRUE(Text::available(dir_.path())) << "the only GGUF file of a directory";
  GgufWriter none;
  const auto path = dir_.write("m.gguf", none.string("general.architecture", "qwen3").file());
  EXPECT_FALSE(Text::available(path));
  EXPECT_ERROR(Text::load(path), ErrorKind::not_found, "m.gguf: tokenizer.ggml.model: expected");
}

}  // namespace
}  // namespace qwen3
