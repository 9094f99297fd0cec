#include "cli/chat/answer_form.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <utility>

#include "chat/steering.h"
#include "chat/text.h"
#include "cli/help.h"
#include "cli/input.h"
#include "cli/options.h"
#include "grammar/limits.h"

namespace qwen3::cli {
namespace {

GrammarPtr compile(const FormOptions& options, const TokenTrie& trie) {
  if (options.json_schema) {
    const std::string text =
        read_input_file(*options.json_schema, static_cast<size_t>(kMaxSchemaBytes));
    const Json schema = parse_json(text, options.json_schema->string());
    JsonSchemaOptions form;
    form.numbers.add_for(schema, text);
    return compile_json_schema(schema, form);
  }
  if (options.grammar) {
    return compile_gbnf(read_input_file(*options.grammar, static_cast<size_t>(kMaxGbnfBytes)),
                        trie);
  }
  return options.regex ? compile_regex(*options.regex) : compile_choice(options.choices);
}

std::string source_of(const FormOptions& options) {
  if (options.json_schema) return options.json_schema->string();
  if (options.grammar) return options.grammar->string();
  return options.regex ? "--regex" : "--choice";
}

}  // namespace

void add_form_options(CLI::App& command, FormOptions& options) {
  const OptionGroup group(command, "Form of the answer");
  auto* schema = command.add_option("--json-schema",
                                    options.json_schema,
                                    "The answer is JSON that this JSON Schema (a file) allows");
  auto* grammar = command.add_option(
      "--grammar", options.grammar, "The answer is of this grammar: a file in llama.cpp's GBNF");
  auto* regex = command.add_option(
      "--regex", options.regex, "The answer is a text that this regular expression matches whole");
  auto* choice = command.add_option(
      "--choice", options.choices, "The answer is one of these texts; repeat the option");
  schema->type_name("FILE")->excludes(grammar)->excludes(regex)->excludes(choice);
  grammar->type_name("FILE")->excludes(regex)->excludes(choice);
  regex->type_name("RE")->excludes(choice);
  choice->type_name("TEXT")->allow_extra_args(false);
}

AnswerForm compile_form(const FormOptions& options, const Text& text) {
  if (!options.any()) return {};
  AnswerForm form{.grammar = nullptr, .trie = TokenTrie::make(tokenizer_of(text))};
  try {
    form.grammar = compile(options, *form.trie);
  } catch (const GrammarError& error) {
    throw Error(error.kind(), fmt::format("{}: {}", source_of(options), error.what()));
  }
  return form;
}

std::shared_ptr<TokenConstraint> constraint_of(const AnswerForm& form,
                                               const Text& text,
                                               PromptState state) {
  if (form.grammar == nullptr) return nullptr;
  SteeringPlan plan = steering_plan(text, state);
  plan.grammar = form.grammar;
  plan.trie = form.trie;
  return make_steering(std::move(plan));
}

}  // namespace qwen3::cli
