#include "chat/text.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

Json parse_option(const std::string& json, std::string_view where, Json absent) {
  return json.empty() ? std::move(absent) : parse_json(json, where);
}

// The text of a message's content: a string, or the last text part of a list.
std::string content_text(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return {};
  for (auto part = content->rbegin(); part != content->rend(); ++part) {
    if (part->is_object() && part->contains("text") && part->at("text").is_string()) {
      return part->at("text").get<std::string>();
    }
  }
  return {};
}

std::string_view strip(std::string_view text, bool left, bool right) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = left ? text.find_first_not_of(kSpace) : 0;
  if (begin == text.npos) return {};
  const size_t end = right ? text.find_last_not_of(kSpace) + 1 : text.size();
  return text.substr(begin, end - begin);
}

// Cuts what the template wrote after the last message's content (transformers'
// continue_final_message: white space around the content survives if the template kept it).
void cut_after_final_content(std::vector<Segment>& segments, const Json& messages) {
  const std::string content = messages.empty() ? std::string() : content_text(messages.back());
  const std::string prompt = join_segments(segments);
  const std::string_view stripped = strip(content, true, true);
  const size_t at = stripped.empty() ? prompt.npos : prompt.rfind(stripped);
  QWEN3_CHECK(at != prompt.npos,
              ErrorKind::invalid_argument,
              "continue_final_message: expected a last message whose content the template shows; "
              "got {}; send a last message with text",
              stripped.empty() ? "an empty one" : "one it leaves out");
  const std::string_view tail = strip(content, true, false);
  const bool kept = std::string_view(prompt).substr(at, tail.size()) == tail;
  size_t left = at + (kept ? tail.size() : stripped.size());
  size_t n = 0;
  while (left > 0) {
    std::string& text = segments[n].text;
    text.resize(std::min(text.size(), left));
    left -= text.size();
    ++n;
  }
  segments.resize(n);
}

}  // namespace

Text::Impl::Impl(Tokenizer loaded_tokenizer, TemplateFiles loaded_files, std::string directory)
    : tokenizer(std::move(loaded_tokenizer)),
      files(std::move(loaded_files)),
      segment_encoder(tokenizer),
      where(std::move(directory)),
      think_id(tokenizer.token_to_id("<think>")),
      end_think_id(tokenizer.token_to_id("</think>")) {}

Text::Text(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Text::Text(Text&&) noexcept = default;
Text& Text::operator=(Text&&) noexcept = default;
Text::~Text() = default;

bool Text::available(const fs::path& directory) {
  return fs::exists(directory / "tokenizer.json") ||
         (fs::exists(directory / "vocab.json") && fs::exists(directory / "merges.txt"));
}

Text Text::load(const fs::path& directory) {
  return Text(std::make_shared<const Impl>(
      Tokenizer::load(directory), load_template_files(directory), directory.string()));
}

std::vector<int32_t> Text::encode(std::string_view text) const {
  return impl_->tokenizer.encode(text, ControlTokens::parse);
}

std::vector<int32_t> Text::encode_untrusted(std::string_view text) const {
  return impl_->tokenizer.encode(text, ControlTokens::as_text);
}

std::string Text::decode(std::span<const int32_t> ids) const {
  return impl_->tokenizer.decode(ids, SpecialTokens::keep);
}

int64_t Text::n_tokens() const { return impl_->tokenizer.size(); }

bool Text::has_chat_template() const { return impl_->files.chat_template.has_value(); }

EncodedChat Text::encode_chat(std::string_view messages, const ChatOptions& options) const {
  return qwen3::encode_chat(
      *this,
      {.messages = parse_json(messages, "messages"),
       .tools = parse_option(options.tools, "tools", nullptr),
       .template_kwargs = parse_option(options.template_kwargs, "template_kwargs", Json::object()),
       .enable_thinking = options.enable_thinking,
       .add_generation_prompt = options.add_generation_prompt && !options.continue_final_message,
       .continue_final_message = options.continue_final_message});
}

EncodedChat encode_chat(const Text& text, const ChatInput& input) {
  const Text::Impl& impl = text.impl();
  QWEN3_CHECK(impl.files.chat_template.has_value(),
              ErrorKind::not_found,
              "{}: no chat template; expected chat_template.jinja, or chat_template in "
              "tokenizer_config.json",
              impl.where);
  std::vector<Segment> segments = impl.files.chat_template->render_segments(
      template_context(input, impl.files.special_tokens));
  if (input.continue_final_message) cut_after_final_content(segments, input.messages);
  EncodedChat chat;
  chat.ids = impl.segment_encoder.encode(segments);
  chat.prompt = join_segments(segments);
  // The last of the two tags decides. Ids, not text: a message that spells <think> has none.
  for (auto id = chat.ids.rbegin(); id != chat.ids.rend(); ++id) {
    if (*id == impl.end_think_id) break;
    if (*id != impl.think_id) continue;
    chat.starts_in_reasoning = true;
    break;
  }
  return chat;
}

Json template_context(const ChatInput& input, const Json& special_tokens) {
  QWEN3_CHECK(input.messages.is_array(),
              ErrorKind::invalid_argument,
              "messages: expected an array; got {}",
              input.messages.type_name());
  QWEN3_CHECK(input.tools.is_array() || input.tools.is_null(),
              ErrorKind::invalid_argument,
              "tools: expected an array or null; got {}",
              input.tools.type_name());
  QWEN3_CHECK(input.template_kwargs.is_object(),
              ErrorKind::invalid_argument,
              "chat_template_kwargs: expected an object; got {}",
              input.template_kwargs.type_name());
  Json context = special_tokens;
  context["messages"] = input.messages;
  context["tools"] = input.tools;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = input.add_generation_prompt;
  for (const auto& [key, value] : input.template_kwargs.items()) {
    constexpr std::array kReserved = {"messages", "tools", "add_generation_prompt"};
    const bool reserved = std::any_of(
        kReserved.begin(), kReserved.end(), [&key = key](const char* name) { return key == name; });
    QWEN3_CHECK(!reserved,
                ErrorKind::invalid_argument,
                "chat_template_kwargs: \"{}\" has a field of its own; expected other variables",
                key);
    context[key] = value;
  }
  if (input.enable_thinking) context["enable_thinking"] = *input.enable_thinking;
  return context;
}

}  // namespace qwen3
