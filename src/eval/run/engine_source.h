// Answers from a model in this process, so that a score needs no server. The prompt, the sampling
// and the splitting of thought and answer are those of our server; in strict mode the text is
// whole, <think> tags included, as a server without a reasoning parser gives it. The log
// probabilities of a prompt are those that our server's /completions gives with echo.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "eval/run/answer_source.h"
#include "eval/run/config.h"
#include "eval/run/dataset.h"
#include "qwen3/engine.h"
#include "qwen3/model.h"

namespace qwen3::eval {

struct EngineSourceOptions {
  std::filesystem::path directory;  // of the checkpoint, or a GGUF file
  LoadOptions load;
  int64_t max_model_len = 0;  // as in EngineOptions
  std::string kv_dtype = "auto";
  std::string version;  // of this program
};

class EngineSource final : public AnswerSource {
 public:
  // Loads the model. extra_body can name only what the engine knows: an error otherwise.
  EngineSource(const EvalConfig& config, Mode mode, const EngineSourceOptions& options);
  ~EngineSource() override;

  void ask(Question question) override;
  std::vector<Reply> wait(std::chrono::milliseconds patience) override;
  Json served() const override;

  const ModelInfo& model_info() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Tells checkpoints apart: "sha256:…" over the names, sizes and bytes of the files that shape an
// answer. Of a file beyond 256 MiB 256 evenly spaced pieces of 64 KiB count, the first and the last
// among them ("sampled-sha256:…").
std::string model_fingerprint(const std::filesystem::path& path);

}  // namespace qwen3::eval
