// qwen3 render: messages to the prompt that the model would see, a line of JSON at a time. Reads
// the chat template and tokenizer_config.json only.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "chat/template_files.h"
#include "chat/text.h"
#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/options.h"

namespace qwen3::cli {
namespace {

struct RenderOptions {
  ModelOptions model;
  std::string template_file;
  bool model_given = false;
};

bool boolean_or(const Json& line, const char* key, bool fallback) {
  const auto found = line.find(key);
  if (found == line.end() || found->is_null()) return fallback;
  QWEN3_CHECK(found->is_boolean(),
              ErrorKind::invalid_argument,
              "\"{}\": expected true or false; got {}",
              key,
              found->type_name());
  return found->get<bool>();
}

Json render_line(const TemplateFiles& files, const Json& line) {
  ChatInput input;
  input.messages = required(line, "messages");
  if (const auto tools = line.find("tools"); tools != line.end()) input.tools = *tools;
  if (const auto kwargs = line.find("chat_template_kwargs"); kwargs != line.end()) {
    if (!kwargs->is_null()) input.template_kwargs = *kwargs;
  }
  input.add_generation_prompt = boolean_or(line, "add_generation_prompt", false);
  return {{"prompt", files.chat_template->render(template_context(input, files.special_tokens))}};
}

ExitCode render(const RenderOptions& options) {
  TemplateFiles files;
  // With a template of one's own the model only adds its special tokens, and may be absent.
  if (options.template_file.empty() || options.model_given) {
    files = load_template_files(resolve_model(options.model.model));
  }
  if (!options.template_file.empty()) {
    files.chat_template = load_chat_template(options.template_file);
  }
  QWEN3_CHECK(files.chat_template.has_value(),
              ErrorKind::not_found,
              "{}: no chat template; expected chat_template.jinja, or chat_template in "
              "tokenizer_config.json; give one with --template",
              options.model.model);
  return answer_json_lines(LineErrors::are_results,
                           [&](const Json& line) { return render_line(files, line); });
}

}  // namespace

void add_render(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "render",
      "Lines of {\"messages\":…,\"tools\":…,\"add_generation_prompt\":…,"
      "\"chat_template_kwargs\":{…}} on standard input to {\"prompt\":…} or {\"error\":…}");
  const auto options = std::make_shared<RenderOptions>();
  add_model_option(*command, options->model);
  command->add_option(
      "--template", options->template_file, "A Jinja template instead of the model's own");
  command->callback([options, command, &action] {
    options->model_given = command->count("--model") > 0;
    action = [options] { return render(*options); };
  });
}

}  // namespace qwen3::cli
