// A conversation: its messages, the settings of the next answer, and who answers.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
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
#include "server/api/presets.h"

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

// What the next answer is drawn with: the checkpoint's settings, over them those of a preset, over them
// what the user has asked for.
struct ChatSettings {
  SamplingParams defaults;                   // with the seed and --ignore-eos
  std::vector<server::Preset> presets = {};  // that the model has
  std::string preset = "none";  // "none", "auto": that of the thinking mode, or the name of one
  std::map<std::string, double> asked = {};  // by the names of sampling_fields()
  std::vector<std::string> stop = {};
  std::optional<bool> thinking = {};  // empty: the template's default
  AnswerForm form = {};

  SamplingParams sampling() const;
};

struct Answer {
  std::string content;
  std::string reasoning;
  Outcome outcome;
};

using OnPiece = std::function<void(const AnswerPiece&)>;

// Who answers: a model in this process, or a server.
class Answerer {
 public:
  virtual ~Answerer() = default;
  // The answer to messages of OpenAI's form, as it comes, to `on_piece`. Ctrl-C ends it: then it is as
  // far as it came, and `cancelled`. Throws Error.
  virtual Answer answer(const Json& messages,
                        const ChatSettings& settings,
                        const InterruptGuard& interrupt,
                        const OnPiece& on_piece) = 0;
  virtual std::string speed(const Outcome& outcome) const = 0;  // a line for people
  virtual Json timing(const Outcome& outcome) const = 0;        // the same for machines
};

// The model and the text are borrowed.
std::unique_ptr<Answerer> make_local_answerer(Engine& engine,
                                              const Text& text,
                                              const ModelInfo& info);

class ChatSession {
 public:
  // Borrows the answerer.
  ChatSession(Answerer& answerer, ChatSettings chat_settings)
      : settings(chat_settings), started_with_(std::move(chat_settings)), answerer_(answerer) {}

  // Asks, streams the answer to `on_piece`, and remembers both. A cancelled answer is remembered as
  // far as it came. On a throw the conversation is as before; when the conversation does not fit
  // the context, the message has the numbers.
  Answer ask(const std::string& question, const InterruptGuard& interrupt, const OnPiece& on_piece);

  const Answerer& answerer() const { return answerer_; }
  void reset_settings() { settings = started_with_; }

  Conversation conversation;
  ChatSettings settings;
  std::optional<Outcome> last_outcome;

 private:
  const ChatSettings started_with_;
  Answerer& answerer_;
};

}  // namespace qwen3::cli
