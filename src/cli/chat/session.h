// A conversation with a model: its messages, the settings of the next answer, and one answer.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/chat/answer_form.h"
#include "cli/generation.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"

namespace qwen3::cli {

// OpenAI messages. Reasoning of earlier answers is kept; the template decides what of it the model
// sees again.
class Conversation {
 public:
  void set_system(const std::string& text);  // empty: no system message
  void add_user(const std::string& text);
  void add_assistant(const std::string& content, const std::string& reasoning);
  void drop_last();
  // Takes the last message of the user and what followed it away; gives its text. Nothing when there
  // is none.
  std::optional<std::string> undo();
  void clear();  // the system message stays

  const Json& messages() const { return messages_; }

  // As a JSON array of messages. Written aside and renamed.
  void save(const std::filesystem::path& path) const;
  // Replaces everything. Throws Error{corrupt_file} naming what is not a message; then nothing has
  // changed.
  void load(const std::filesystem::path& path);

 private:
  bool has_system() const;

  Json messages_ = Json::array();
};

struct ChatSettings {
  SamplingParams sampling;
  std::vector<std::string> stop;
  std::optional<bool> thinking;  // empty: the template's default
  AnswerForm form = {};
};

struct Answer {
  std::string content;
  std::string reasoning;
  Outcome outcome;
};

using OnPiece = std::function<void(const AnswerPiece&)>;

class ChatSession {
 public:
  // Borrows all but the settings.
  ChatSession(Engine& engine, const Text& text, ChatSettings chat_settings)
      : settings(std::move(chat_settings)), engine_(engine), text_(text) {}

  // Asks, streams the answer to `on_piece`, and remembers both. A cancelled answer is remembered as
  // far as it came. On a throw the conversation is as before; when the conversation does not fit
  // the context, the message has the numbers.
  Answer ask(const std::string& question, const InterruptGuard& interrupt, const OnPiece& on_piece);

  Conversation conversation;
  ChatSettings settings;
  std::optional<Outcome> last_outcome;

 private:
  Answer answer(const InterruptGuard& interrupt, const OnPiece& on_piece);

  Engine& engine_;
  const Text& text_;
};

}  // namespace qwen3::cli
