// Answers of a model in this process.
#include <utility>

#include "base/error.h"
#include "cli/chat/session.h"

namespace qwen3::cli {
namespace {

class LocalAnswerer final : public Answerer {
 public:
  LocalAnswerer(Engine& engine, const Text& text, const ModelInfo& info)
      : engine_(engine), text_(text), info_(info) {}

  Answer answer(const Json& messages,
                const ChatSettings& settings,
                const InterruptGuard& interrupt,
                const OnPiece& on_piece) override;
  std::string speed(const Outcome& outcome) const override { return speed_line(outcome, info_); }
  Json timing(const Outcome& outcome) const override { return timing_json(outcome, info_); }

 private:
  Engine& engine_;
  const Text& text_;
  const ModelInfo& info_;
};

Answer LocalAnswerer::answer(const Json& messages,
                             const ChatSettings& settings,
                             const InterruptGuard& interrupt,
                             const OnPiece& on_piece) {
  const EncodedChat prompt =
      text_.encode_chat(dump_json(messages), {.enable_thinking = settings.thinking});
  const auto n_prompt = static_cast<int64_t>(prompt.ids.size());
  QWEN3_CHECK(n_prompt < engine_.max_model_len(),
              ErrorKind::invalid_argument,
              "conversation: {} tokens with this message; the context holds {}, answer included; "
              "/clear the conversation or start with a larger --context",
              n_prompt,
              engine_.max_model_len());

  Answer result;
  AnswerStream stream = text_.answer({.state = prompt.state,
                                      .trim_newlines = true,
                                      .max_newlines = settings.form.grammar != nullptr ? 2 : -1,
                                      .stop = settings.stop});
  const auto deliver = [&](const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      (piece.kind == AnswerPiece::Kind::reasoning ? result.reasoning : result.content) +=
          piece.text;
      on_piece(piece);
    }
  };
  const auto on_token = [&](int32_t id, bool is_end_token) {
    if (is_end_token) return true;  // not for display; the engine ends here by itself
    deliver(stream.push(id));
    return !stream.stopped();
  };
  result.outcome = run_request(engine_,
                               {.prompt_ids = prompt.ids,
                                .sampling = settings.sampling(),
                                .constraint = constraint_of(settings.form, text_, prompt.state)},
                               &interrupt,
                               on_token);
  deliver(stream.finish());
  return result;
}

}  // namespace

std::unique_ptr<Answerer> make_local_answerer(Engine& engine,
                                              const Text& text,
                                              const ModelInfo& info) {
  return std::make_unique<LocalAnswerer>(engine, text, info);
}

}  // namespace qwen3::cli
