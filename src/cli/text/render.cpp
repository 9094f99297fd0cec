// qwen3 render: messages to the prompt that the model would see, a line of JSON at a time. Reads
// the chat template and tokenizer_config.json only.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/chat_config.h"
#include "chat/message.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/text/json_lines.h"

namespace qwen3::cli {
namespace {

constexpr size_t kMaxTemplateBytes = 4 << 20;

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

// Messages go to the template as they came, like transformers' apply_chat_template.
constexpr MessageOptions kAsGiven = {
    .join_text_parts = false, .null_content_as_empty = false, .parse_tool_arguments = false};

Json render_line(const ChatConfig& config, const Json& line) {
  PromptOptions options;
  options.add_generation_prompt = boolean_or(line, "add_generation_prompt", false);
  options.special_tokens = config.special_tokens;
  if (const auto kwargs = line.find("chat_template_kwargs"); kwargs != line.end()) {
    if (!kwargs->is_null()) options.extra = *kwargs;
  }
  QWEN3_CHECK(options.extra.is_object(),
              ErrorKind::invalid_argument,
              "\"chat_template_kwargs\": expected an object; got {}",
              options.extra.type_name());
  const auto found = line.find("tools");
  const Json tools = found != line.end() ? *found : Json();
  QWEN3_CHECK(tools.is_array() || tools.is_null(),
              ErrorKind::invalid_argument,
              "\"tools\": expected an array or null; got {}",
              tools.type_name());
  const std::vector<Message> messages = parse_messages(required(line, "messages"), kAsGiven);
  const ChatTemplate& chat = config.template_for(!tools.empty());
  return {{"prompt", join_segments(render_chat(chat, messages, tools, options))}};
}

ChatTemplate read_template(const std::string& path) {
  return ChatTemplate::parse(read_input_file(path, kMaxTemplateBytes), path);
}

ExitCode render(const RenderOptions& options) {
  ChatConfig config;
  // With a template of one's own the model only adds its special tokens, and may be absent.
  if (options.template_file.empty() || options.model_given) {
    config = load_chat_config(resolve_model(options.model.model));
  }
  if (!options.template_file.empty()) {
    config.chat = read_template(options.template_file);
    config.tool_use.reset();
  }
  QWEN3_CHECK(config.chat.has_value(),
              ErrorKind::not_found,
              "{}: no chat template; expected chat_template.jinja, or chat_template in "
              "tokenizer_config.json; give one with --template",
              options.model.model);
  return answer_json_lines(LineErrors::are_results,
                           [&](const Json& line) { return render_line(config, line); });
}

}  // namespace

void add_render(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "render",
      "Lines of {\"messages\":…,\"tools\":…,\"add_generation_prompt\":…,"
      "\"chat_template_kwargs\":{…}} on standard input to {\"prompt\":…} or {\"error\":…}");
  const auto options = std::make_shared<RenderOptions>();
  add_model_option(*command, options->model);
  command
      ->add_option(
          "--template", options->template_file, "A Jinja template instead of the model's own")
      ->type_name("FILE")
      ->check(some_name());
  command->callback([options, command, &action] {
    action = [options, command] {
      options->model_given = command->count("--model") > 0;
      return render(*options);
    };
  });
}

}  // namespace qwen3::cli
