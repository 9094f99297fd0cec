// Text: what stands between people's text and the engine's token ids. Tokenizer and chat template
// of a model, and the way back: token ids to reasoning and answer.
//
//   auto text = qwen3::Text::load(path);  // of a directory or a GGUF file
//   auto chat = text.encode_chat(R"([{"role":"user","content":"Hello"}])");
//   auto answer = text.answer({.state = chat.state});
//   ... for each token of the engine: for (auto& piece : answer.push(id)) use(piece);
//
// Reads no weights. JSON is passed as text so that this header needs no
// JSON library; qwen3's own rooms use chat/text.h, which takes parsed values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/error.h"

namespace qwen3 {

struct ChatOptions {
  std::string tools = {};                    // JSON array of tool schemas; "": none
  std::optional<bool> enable_thinking = {};  // absent: the template's own default
  bool add_generation_prompt = true;
  // The last message is the assistant's and is to be continued: its end marker is left out.
  // Excludes add_generation_prompt.
  bool continue_final_message = false;
  std::string template_kwargs = {};  // JSON object of further variables for the template; "": none
};

// How a prompt leaves the assistant's turn.
enum class PromptState {
  plain,             // nothing said about thinking: the answer may begin with <think>
  inside_thinking,   // the prompt ends inside an open <think>
  thinking_is_over,  // the prompt closed the thought: the answer is content
};

struct EncodedChat {
  std::vector<int32_t> ids;
  std::string prompt;  // the text that the ids stand for
  PromptState state = PromptState::plain;

  bool starts_in_reasoning() const { return state == PromptState::inside_thinking; }
};

struct AnswerOptions {
  PromptState state = PromptState::plain;
  bool split_reasoning = true;  // false: everything is content, tags included
  bool trim_newlines = false;   // drop the newlines that models write around the two parts
  // Of those behind a thought, drop so many at most; -1: all. An answer with a constraint: 2, for what comes behind
  // them the constraint has accepted.
  int max_newlines = -1;
  bool skip_special_tokens = true;     // no text for tokens such as <|im_start|>
  std::vector<std::string> stop = {};  // the content ends before the first of these
  bool include_stop = false;           // … or after it
  int64_t min_tokens = 0;              // no stop string ends within the first of them
};

struct AnswerPiece {
  enum class Kind { reasoning, content } kind = Kind::content;
  std::string text;  // well-formed UTF-8, never empty
};

// One answer in progress. Keeps its Text alive. Fed token by token; gives text as soon as it is
// certain: whole UTF-8 characters, nothing that might still become a stop string or a tag.
class AnswerStream {
 public:
  AnswerStream(AnswerStream&&) noexcept;
  AnswerStream& operator=(AnswerStream&&) noexcept;
  ~AnswerStream();

  // The text that this token makes certain, possibly none. After stopped() nothing more comes.
  std::vector<AnswerPiece> push(int32_t token_id);
  // What was held back. Call once, after the last token.
  std::vector<AnswerPiece> finish();
  // A stop string was found: the answer is complete and the request should be cancelled.
  bool stopped() const;
  // Which one; -1 for none.
  int matched_stop() const;

  // In bytes of the text that the tokens stand for, tags and dropped newlines included: how long it
  // is, and where the content begins, or may begin at the earliest. The content has no gap.
  size_t text_bytes() const;
  size_t content_begin() const;

  struct State;  // inside libqwen3 only
  explicit AnswerStream(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// Immutable after load; one object may serve several threads.
class Text {
 public:
  // True when the directory holds a tokenizer's files, or the GGUF file a tokenizer.
  static bool available(const std::filesystem::path& path);
  // Of a directory: reads tokenizer.json, tokenizer_config.json and chat_template.jinja (or the
  // template inside tokenizer_config.json). Of a GGUF file, or the only one in a directory without
  // config.json: its metadata. A checkpoint without a template can do all but encode_chat.
  // Throws Error{not_found, corrupt_file, unsupported}.
  // `chat_template`: a Jinja file that takes the place of the checkpoint's templates; "": none.
  static Text load(const std::filesystem::path& path,
                   const std::filesystem::path& chat_template = {});
  Text(Text&&) noexcept;
  Text& operator=(Text&&) noexcept;
  ~Text();

  // Control tokens spelled in `text` are recognised, as the reference tokenizers do. For text of
  // strangers use encode_chat, or encode_untrusted.
  std::vector<int32_t> encode(std::string_view text) const;
  // Control tokens spelled in `text` stay text.
  std::vector<int32_t> encode_untrusted(std::string_view text) const;
  // Bytes that are not UTF-8 become U+FFFD; ids without a token are skipped.
  std::string decode(std::span<const int32_t> ids) const;

  // The bytes that a token stands for, often a part of a character only; none for an id without a token.
  std::string token_bytes(int32_t id) const;

  // Renders OpenAI messages (a JSON array) with the checkpoint's template. Control tokens are
  // recognised in the template's own text only: a message cannot end its turn by spelling
  // <|im_end|>. Throws Error{invalid_argument} when the messages or the template say no.
  EncodedChat encode_chat(std::string_view messages, const ChatOptions& options = {}) const;

  // Throws Error{invalid_argument} for stop strings that are empty, not UTF-8, or too many.
  AnswerStream answer(const AnswerOptions& options = {}) const;

  // Ids at and above this are padding rows of the head: pass as EngineOptions::n_real_tokens.
  int64_t n_tokens() const;
  bool has_chat_template() const;
  // The tokens that end a turn: `eos_token` of tokenizer_config.json, and the special token with which
  // the chat template ends an answer. Finetunes of base models may have them nowhere else. Pass as
  // EngineOptions::eos_token_ids. What is not named, or is no token, is not there.
  std::vector<int32_t> eos_token_ids() const;

  struct Impl;  // inside chat/ only

 private:
  friend const Impl& impl_of(const Text& text);
  explicit Text(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace qwen3
