// qwen3 tokenize: text to ids and back, a line of JSON at a time. Reads the tokenizer's files only.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/text/json_lines.h"
#include "qwen3/text.h"

namespace qwen3::cli {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  bool decode = false;
  bool as_text = false;
};

Json encode_line(const Text& text, const Json& line, bool as_text) {
  const Json& value = required(line, "text");
  QWEN3_CHECK(value.is_string(),
              ErrorKind::invalid_argument,
              "\"text\": expected a string; got {}",
              value.type_name());
  const auto& string = value.get_ref<const std::string&>();
  return {{"ids", as_text ? text.encode_untrusted(string) : text.encode(string)}};
}

Json decode_line(const Text& text, const Json& line) {
  const Json& value = required(line, "ids");
  QWEN3_CHECK(value.is_array(),
              ErrorKind::invalid_argument,
              "\"ids\": expected an array of integers; got {}",
              value.type_name());
  std::vector<int32_t> ids;
  for (const Json& id : value) {
    const bool fits = id.is_number_integer() && id >= 0 && id < text.n_tokens();
    QWEN3_CHECK(fits,
                ErrorKind::invalid_argument,
                "\"ids\"[{}]: expected an integer from 0 to {}; got {}",
                ids.size(),
                text.n_tokens() - 1,
                dump_json(id).substr(0, 40));
    ids.push_back(id.get<int32_t>());
  }
  return {{"text", text.decode(ids)}};
}

ExitCode tokenize(const TokenizeOptions& options) {
  const Text text = Text::load(resolve_model(options.model.model));
  return answer_json_lines(LineErrors::are_failures, [&](const Json& line) {
    return options.decode ? decode_line(text, line) : encode_line(text, line, options.as_text);
  });
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "tokenize",
      "Lines of {\"text\":…} on standard input to {\"ids\":…}; needs the tokenizer's files only");
  const auto options = std::make_shared<TokenizeOptions>();
  add_model_option(*command, options->model);
  auto* decode = command->add_flag(
      "--decode", options->decode, "Lines of {\"ids\":…} to {\"text\":…} instead");
  command
      ->add_flag("--as-text",
                 options->as_text,
                 "Control tokens spelled in the text stay text, as in messages of a chat")
      ->excludes(decode);
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace qwen3::cli
