#include "cli/chat/session.h"

#include <utility>

#include "base/error.h"
#include "base/output_file.h"
#include "base/utf8.h"
#include "cli/chat/preset_option.h"
#include "cli/input.h"
#include "qwen3/sampling.h"

namespace qwen3::cli {
namespace {

constexpr size_t kMaxConversationBytes = 64 << 20;

Json message(std::string_view role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

bool Conversation::has_system() const {
  return !messages_.empty() && messages_.front().at("role") == "system";
}

void Conversation::set_system(const std::string& text) {
  if (has_system()) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), message("system", text));
}

void Conversation::add_user(const std::string& text) { messages_.push_back(message("user", text)); }

void Conversation::add_assistant(const std::string& content, const std::string& reasoning) {
  Json answer = message("assistant", content);
  if (!reasoning.empty()) answer["reasoning_content"] = reasoning;
  messages_.push_back(std::move(answer));
}

void Conversation::drop_last() {
  if (!messages_.empty()) messages_.erase(messages_.end() - 1);
}

std::optional<std::string> Conversation::undo() {
  for (size_t i = messages_.size(); i-- > 0;) {
    if (messages_[i].at("role") != "user") continue;
    const auto content = messages_[i].find("content");
    if (content == messages_[i].end() || !content->is_string()) return std::nullopt;
    std::string text = content->get<std::string>();
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(i), messages_.end());
    return text;
  }
  return std::nullopt;
}

void Conversation::clear() {
  Json kept = Json::array();
  if (has_system()) kept.push_back(messages_.front());
  messages_ = std::move(kept);
}

void Conversation::save(const std::filesystem::path& path) const {
  OutputFile file(path);
  file.write(messages_.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  file.commit();
}

void Conversation::load(const std::filesystem::path& path) {
  const std::string where = path.string();
  Json loaded = parse_json(read_input_file(path, kMaxConversationBytes), where);
  if (loaded.is_object() && loaded.contains("messages")) loaded = Json(loaded.at("messages"));
  QWEN3_CHECK(loaded.is_array(),
              ErrorKind::corrupt_file,
              "{}: expected a JSON array of messages; got {}",
              where,
              loaded.type_name());
  for (size_t i = 0; i < loaded.size(); ++i) {
    const Json& entry = loaded[i];
    QWEN3_CHECK(entry.is_object() && entry.contains("role") && entry.at("role").is_string(),
                ErrorKind::corrupt_file,
                "{}: message {}: expected an object with a role; got {}",
                where,
                i,
                dump_json(entry).substr(0, 80));
  }
  messages_ = std::move(loaded);
}

SamplingParams ChatSettings::sampling() const {
  SamplingParams params = defaults;
  if (const server::Preset* chosen = chosen_preset(presets, preset, thinking)) {
    chosen->apply(params);
  }
  for (const auto& [name, value] : asked) find_sampling_field(name)->set(params, value);
  return params;
}

Answer ChatSession::ask(const std::string& question,
                        const InterruptGuard& interrupt,
                        const OnPiece& on_piece) {
  QWEN3_CHECK(utf8_valid(question),
              ErrorKind::invalid_argument,
              "message: not valid UTF-8 at byte {}; convert the text to UTF-8",
              utf8_first_invalid(question));
  conversation.add_user(question);
  try {
    Answer result = answerer_.answer(conversation.messages(), settings, interrupt, on_piece);
    conversation.add_assistant(result.content, result.reasoning);
    last_outcome = result.outcome;
    return result;
  } catch (...) {
    conversation.drop_last();
    throw;
  }
}

}  // namespace qwen3::cli
