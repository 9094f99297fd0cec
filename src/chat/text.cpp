#include "chat/text.h"

#include <algorithm>
#include <utility>

#include "base/embedded_files.h"
#include "base/error.h"
#include "chat/reasoning.h"
#include "chat/segment_encoder.h"
#include "chat/stop_stream.h"
#include "formats/gguf_file.h"
#include "formats/gguf_path.h"
#include "tokenizer/decode_stream.h"
#include "tokenizer/tokenizer_gguf.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

Json parse_option(const std::string& json, std::string_view where, Json absent) {
  return json.empty() ? std::move(absent) : parse_json(json, where);
}

// What the model once wrote as arguments need not be JSON, and the conversation goes on: a template
// that prints them shows the text, one that walks them, and fails, sees a call without any.
std::vector<Segment> render_history(const ChatTemplate& chat,
                                    const std::vector<Message>& messages,
                                    const Json& tools,
                                    const PromptOptions& options) {
  try {
    return render_chat(chat, messages, tools, options);
  } catch (const Error&) {
    std::vector<Message> mended = messages;
    if (!drop_broken_arguments(mended)) throw;
    return render_chat(chat, mended, tools, options);
  }
}

}  // namespace

struct Text::Impl {
  Impl(const fs::path& path, const fs::path& chat_template)
      : tokenizer(Tokenizer::load(path)),
        chat_config(load_chat_config(path)),
        segment_encoder(tokenizer) {
    if (!chat_template.empty()) use_template(chat_config, chat_template);
  }

  Tokenizer tokenizer;
  ChatConfig chat_config;
  SegmentEncoder segment_encoder;
};

const Text::Impl& impl_of(const Text& text) { return *text.impl_; }
const Tokenizer& tokenizer_of(const Text& text) { return impl_of(text).tokenizer; }
const ChatConfig& chat_config_of(const Text& text) { return impl_of(text).chat_config; }

// Tokens become text, the text is split, and stop strings end its content: a thought that happens
// to say one goes on, and none is found in <think> or </think>.
struct AnswerStream::State {
  State(std::shared_ptr<const Text::Impl> owner, const AnswerOptions& options)
      : text(std::move(owner)),
        decode(text->tokenizer,
               options.skip_special_tokens ? Tokenizer::SpecialTokens::skip
                                           : Tokenizer::SpecialTokens::keep),
        stop(options.stop, options.include_stop),
        reasoning(options.split_reasoning ? ReasoningMode::automatic : ReasoningMode::never,
                  options.state,
                  options.trim_newlines,
                  options.max_newlines),
        min_tokens(options.min_tokens) {}

  void append(std::vector<AnswerPiece>& pieces, ReasoningDelta delta) {
    if (!delta.reasoning.empty()) {
      pieces.push_back({AnswerPiece::Kind::reasoning, std::move(delta.reasoning)});
    }
    append_content(pieces, stop.push(delta.content, n_tokens > min_tokens));
  }

  static void append_content(std::vector<AnswerPiece>& pieces, std::string content) {
    if (content.empty()) return;
    pieces.push_back({AnswerPiece::Kind::content, std::move(content)});
  }

  std::shared_ptr<const Text::Impl> text;
  DecodeStream decode;
  StopStream stop;
  ReasoningSplitter reasoning;
  const int64_t min_tokens;
  int64_t n_tokens = 0;
  size_t text_bytes = 0;
};

AnswerStream::AnswerStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
AnswerStream::AnswerStream(AnswerStream&&) noexcept = default;
AnswerStream& AnswerStream::operator=(AnswerStream&&) noexcept = default;
AnswerStream::~AnswerStream() = default;

std::vector<AnswerPiece> AnswerStream::push(int32_t token_id) {
  std::vector<AnswerPiece> pieces;
  if (stopped()) return pieces;
  ++state_->n_tokens;
  const std::string text = state_->decode.push(token_id);
  state_->text_bytes += text.size();
  state_->append(pieces, state_->reasoning.push(text));
  return pieces;
}

std::vector<AnswerPiece> AnswerStream::finish() {
  std::vector<AnswerPiece> pieces;
  if (stopped()) return pieces;
  const std::string text = state_->decode.finish();
  state_->text_bytes += text.size();
  state_->append(pieces, state_->reasoning.push(text));
  state_->append(pieces, state_->reasoning.finish());
  State::append_content(pieces, state_->stop.finish());
  return pieces;
}

bool AnswerStream::stopped() const { return state_->stop.stopped(); }

int AnswerStream::matched_stop() const { return state_->stop.matched(); }

size_t AnswerStream::text_bytes() const { return state_->text_bytes; }

size_t AnswerStream::content_begin() const { return state_->reasoning.content_begin(); }

Text::Text(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Text::Text(Text&&) noexcept = default;
Text& Text::operator=(Text&&) noexcept = default;
Text::~Text() = default;

bool Text::available(const fs::path& path) {
  if (const auto gguf = find_gguf(path)) return has_gguf_tokenizer(GgufFile(*gguf));
  return file_exists(path / "tokenizer.json") ||
         (file_exists(path / "vocab.json") && file_exists(path / "merges.txt"));
}

Text Text::load(const fs::path& path, const fs::path& chat_template) {
  return Text(std::make_shared<const Impl>(path, chat_template));
}

std::vector<int32_t> Text::encode(std::string_view text) const {
  return impl_->tokenizer.encode(text, ControlTokens::parse);
}

std::vector<int32_t> Text::encode_untrusted(std::string_view text) const {
  return impl_->tokenizer.encode(text, ControlTokens::as_text);
}

std::string Text::token_bytes(int32_t id) const {
  return std::string(impl_->tokenizer.token_bytes(id));
}

std::string Text::decode(std::span<const int32_t> ids) const {
  return impl_->tokenizer.decode(ids, Tokenizer::SpecialTokens::keep);
}

int64_t Text::n_tokens() const { return impl_->tokenizer.size(); }

namespace {

// The last special token that a template puts behind an answer; nothing if it puts none, or fails.
std::optional<int32_t> end_of_answer(const Text& text, const Tokenizer& tokenizer) {
  constexpr std::string_view kMessages =
      R"([{"role": "user", "content": "1"}, {"role": "assistant", "content": "zyzzyva"}])";
  std::vector<int32_t> ids;
  try {
    ids = text.encode_chat(kMessages, {.add_generation_prompt = false}).ids;
  } catch (const Error&) {
    return std::nullopt;  // whoever renders a chat with it is told why
  }
  // Behind the answer: as far back as no letter of it stands.
  for (size_t i = ids.size(); i-- > 0;) {
    if (tokenizer.is_special(ids[i])) return ids[i];
    if (tokenizer.token_bytes(ids[i]).find_first_not_of(" \t\r\n") != std::string_view::npos) break;
  }
  return std::nullopt;
}

}  // namespace

std::vector<int32_t> Text::eos_token_ids() const {
  std::vector<int32_t> ids;
  const auto add = [&](std::optional<int32_t> id) {
    if (id && std::ranges::find(ids, *id) == ids.end()) ids.push_back(*id);
  };
  const std::optional<std::string>& token = impl_->chat_config.special_tokens.eos_token;
  if (token) add(impl_->tokenizer.token_to_id(*token));
  if (has_chat_template()) add(end_of_answer(*this, impl_->tokenizer));
  return ids;
}

bool Text::has_chat_template() const { return impl_->chat_config.chat.has_value(); }

AnswerStream Text::answer(const AnswerOptions& options) const {
  return AnswerStream(std::make_unique<AnswerStream::State>(impl_, options));
}

EncodedChat Text::encode_chat(std::string_view messages, const ChatOptions& options) const {
  PromptOptions prompt;
  prompt.add_generation_prompt = options.add_generation_prompt && !options.continue_final_message;
  prompt.continue_final_message = options.continue_final_message;
  prompt.enable_thinking = options.enable_thinking;
  prompt.extra = parse_option(options.template_kwargs, "template_kwargs", Json::object());
  QWEN3_CHECK(prompt.extra.is_object(),
              ErrorKind::invalid_argument,
              "template_kwargs: expected a JSON object; got {}",
              prompt.extra.type_name());
  return qwen3::encode_chat(*this,
                            parse_messages(parse_json(messages, "messages")),
                            parse_option(options.tools, "tools", nullptr),
                            std::move(prompt));
}

EncodedChat encode_chat(const Text& text,
                        const std::vector<Message>& messages,
                        const Json& tools,
                        PromptOptions options) {
  const Text::Impl& impl = impl_of(text);
  options.special_tokens = impl.chat_config.special_tokens;
  const bool with_tools = tools.is_array() && !tools.empty();
  const ChatTemplate& chat = impl.chat_config.template_for(with_tools);
  const std::vector<Segment> segments = render_history(chat, messages, tools, options);
  return {.ids = impl.segment_encoder.encode(segments),
          .prompt = join_segments(segments),
          .state = prompt_state(segments)};
}

}  // namespace qwen3
