// The inside of Text (qwen3/text.h), for rooms that hold parsed JSON.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "chat/chat_config.h"
#include "chat/message.h"
#include "chat/segment_encoder.h"
#include "qwen3/text.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

struct Text::Impl {
  explicit Impl(const std::filesystem::path& directory);

  Tokenizer tokenizer;
  ChatConfig chat_config;
  SegmentEncoder segment_encoder;
};

// Text::encode_chat without the parsing. The special tokens of `options` are the checkpoint's,
// whatever it says.
EncodedChat encode_chat(const Text& text,
                        const std::vector<Message>& messages,
                        const Json& tools,
                        PromptOptions options);

}  // namespace qwen3
