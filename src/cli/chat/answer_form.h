// --json-schema, --grammar, --regex, --choice: the form that an answer must have.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "qwen3/text.h"

namespace CLI {
class App;
}

namespace qwen3::cli {

struct FormOptions {
  std::optional<std::filesystem::path> json_schema, grammar;
  std::optional<std::string> regex;
  std::vector<std::string> choices;

  bool any() const { return json_schema || grammar || regex || !choices.empty(); }
};

// One of them at most.
void add_form_options(CLI::App& command, FormOptions& options);

// What is asked for, compiled for the text's tokens; null without options.
struct AnswerForm {
  GrammarPtr grammar;
  std::shared_ptr<const TokenTrie> trie;
};
AnswerForm compile_form(const FormOptions& options, const Text& text);

// The constraint of one answer that follows a prompt which ends in that state; null without a form.
std::shared_ptr<TokenConstraint> constraint_of(const AnswerForm& form,
                                               const Text& text,
                                               PromptState state);

}  // namespace qwen3::cli
