// The inside of Text (qwen3/text.h), for rooms that hold parsed JSON.
#pragma once

#include <optional>

#include "base/json.h"
#include "chat/segment_encoder.h"
#include "chat/template_files.h"
#include "qwen3/text.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

struct Text::Impl {
  Impl(Tokenizer loaded_tokenizer, TemplateFiles loaded_files, std::string directory);

  Tokenizer tokenizer;
  TemplateFiles files;
  SegmentEncoder segment_encoder;
  std::string where;  // the directory, for messages
  std::optional<int32_t> think_id, end_think_id;
};

// ChatOptions with parsed values.
struct ChatInput {
  Json messages;         // an array
  Json tools = nullptr;  // an array, or null
  Json template_kwargs = Json::object();
  std::optional<bool> enable_thinking;
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};

// Text::encode_chat without the parsing.
EncodedChat encode_chat(const Text& text, const ChatInput& input);

// The variables that a template sees, as transformers' apply_chat_template gives them. Throws
// Error{invalid_argument} for messages, tools or kwargs of the wrong type, and for kwargs that
// would replace messages, tools or add_generation_prompt.
Json template_context(const ChatInput& input, const Json& special_tokens);

}  // namespace qwen3
