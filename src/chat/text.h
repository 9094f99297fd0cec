// The inside of Text (qwen3/text.h), for rooms that hold parsed JSON.
#pragma once

#include <vector>

#include "base/json.h"
#include "chat/chat_config.h"
#include "chat/message.h"
#include "qwen3/text.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

// What a Text is made of; they live as long as it does.
const Tokenizer& tokenizer_of(const Text& text);
const ChatConfig& chat_config_of(const Text& text);

// Text::encode_chat without the parsing. The special tokens of `options` are the checkpoint's,
// whatever it says. Arguments in the history that are no JSON object are shown to the template as
// text, and as {} when it cannot render that.
EncodedChat encode_chat(const Text& text,
                        const std::vector<Message>& messages,
                        const Json& tools,
                        PromptOptions options);

}  // namespace qwen3
