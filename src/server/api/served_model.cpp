#include "server/api/served_model.h"

#include <algorithm>
#include <utility>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/text.h"
#include "server/api/template_variables.h"

namespace qwen3::server {
namespace {

// Qwen's own words for a thought that has to end (Qwen3 technical report, thinking budget).
constexpr std::string_view kClosing =
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n</think>\n\n";

bool writes_xml_calls(const ChatConfig& chat) {
  const auto says = [](const std::optional<ChatTemplate>& t) {
    return t && t->source().find("<function=") != std::string::npos;
  };
  return says(chat.tool_use) || says(chat.chat);
}

bool has_few_bits(const ModelInfo& info) {
  return !info.dtype.empty() && info.dtype != "float32" && info.dtype != "bfloat16" &&
         info.dtype != "float16";
}

}  // namespace

Task detect_task(const std::filesystem::path& directory) {
  const std::filesystem::path clean = directory.lexically_normal();
  const std::string name =
      ascii_lower((clean.has_filename() ? clean : clean.parent_path()).filename().string());
  if (name.find("reranker") != name.npos) return Task::rerank;
  if (name.find("embedding") != name.npos) return Task::embed;
  // What sentence-transformers puts beside a checkpoint that makes embeddings.
  if (file_exists(directory / "modules.json") && file_exists(directory / "1_Pooling/config.json")) {
    return Task::embed;
  }
  return Task::generate;
}

std::unique_ptr<ServedModel> make_served_model(ServedParts parts, const ServiceOptions& options) {
  auto model = std::make_unique<ServedModel>(ServedModel{.text = std::move(parts.text),
                                                         .generator = std::move(parts.generator),
                                                         .defaults = std::move(parts.defaults),
                                                         .info = std::move(parts.info),
                                                         .shape = std::move(parts.shape),
                                                         .name = options.model_names.front(),
                                                         .task = parts.task});
  const Tokenizer& tokenizer = model->tokenizer();
  const auto id_of = [&](std::string_view token) {
    return tokenizer.token_to_id(token).value_or(-1);
  };
  model->max_model_len = model->generator->max_model_len();
  model->n_tokens = std::min(model->text.n_tokens(), model->info.vocab_size);
  for (int32_t id = 0; id < model->n_tokens; ++id) {
    const auto length = static_cast<int64_t>(tokenizer.token_bytes(id).size());
    model->longest_token_bytes = std::max(model->longest_token_bytes, length);
  }
  model->think_open = id_of("<think>");
  model->think_close = id_of("</think>");
  model->closing_ids = model->text.encode(kClosing);
  model->ending_ids = model->text.encode("\n</think>\n\n");
  model->grammars = std::make_unique<ModelGrammars>(tokenizer);
  model->abilities = chat_abilities(model->text, model->think_close >= 0);
  model->yes = id_of("yes");
  model->no = id_of("no");
  QWEN3_CHECK(model->task != Task::rerank || (model->yes >= 0 && model->no >= 0),
              ErrorKind::unsupported,
              "tokenizer: expected the tokens \"yes\" and \"no\", which a reranker answers with; "
              "serve this checkpoint with --task generate");
  model->tool_format = options.tool_format.value_or(
      writes_xml_calls(chat_config_of(model->text)) ? ToolFormat::qwen3_coder : ToolFormat::hermes);
  model->template_defaults = parse_default_variables(options.default_template_kwargs, model->text);
  if (model->task == Task::generate) {
    model->decision_labels = std::make_shared<const DecisionLabels>(decision_labels(model->text));
    model->presets = presets_for(model->text, has_few_bits(model->info));
  }
  return model;
}

}  // namespace qwen3::server
