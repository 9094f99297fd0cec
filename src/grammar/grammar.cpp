#include "grammar/grammar.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/grammar_builder.h"
#include "grammar/limits.h"
#include "grammar/matcher.h"
#include "grammar/notations.h"

namespace qwen3 {

GrammarBuilder::Expr regex_expression(GrammarBuilder& builder, std::string_view regex) {
  TextDfa texts = TextDfa::full_match(regex);
  builder.spend();
  if (texts.empty()) {
    throw GrammarError(GrammarFault::invalid_regex, "", "no text matches this regular expression");
  }
  return builder.text(std::move(texts), GrammarBuilder::TextForm::raw);
}

GrammarBuilder::Expr choice_expression(GrammarBuilder& builder,
                                       const std::vector<std::string>& choices) {
  int64_t n_bytes = 0;
  for (const std::string& choice : choices) {
    n_bytes += std::ssize(choice);
    if (!utf8_valid(choice)) {
      throw GrammarError(GrammarFault::invalid_grammar, "", "a choice that is not UTF-8");
    }
  }
  if (choices.empty()) {
    throw GrammarError(GrammarFault::invalid_grammar, "", "expected at least one choice");
  }
  if (std::ssize(choices) > kMaxChoices || n_bytes > kMaxChoiceBytes) {
    throw GrammarError(GrammarFault::too_complex,
                       "",
                       fmt::format("{} choices of {} bytes; at most {} of {} bytes are taken",
                                   choices.size(),
                                   n_bytes,
                                   kMaxChoices,
                                   kMaxChoiceBytes));
  }
  std::vector<GrammarBuilder::Expr> ways;
  for (const std::string& choice : choices) ways.push_back(builder.bytes(choice));
  return builder.choice(std::move(ways));
}

GrammarPtr compile_regex(std::string_view regex, const GrammarBudget& budget) {
  GrammarBuilder builder(budget);
  return builder.build(regex_expression(builder, regex));
}

GrammarPtr compile_choice(const std::vector<std::string>& choices, const GrammarBudget& budget) {
  GrammarBuilder builder(budget);
  return builder.build(choice_expression(builder, choices));
}

std::unique_ptr<GrammarConstraint> start_grammar(GrammarPtr grammar,
                                                 std::shared_ptr<const TokenTrie> trie) {
  auto nodes = std::dynamic_pointer_cast<const TokenTrieNodes>(std::move(trie));
  QWEN3_CHECK(grammar != nullptr && nodes != nullptr,
              ErrorKind::internal,
              "a grammar and TokenTrie::make's tokens are needed");
  return std::make_unique<Matcher>(std::move(grammar), std::move(nodes));
}

void check_start(const GrammarPtr& grammar, const std::shared_ptr<const TokenTrie>& trie) {
  std::vector<uint64_t> allowed(static_cast<size_t>(trie->n_tokens() + 63) / 64);
  int32_t one = -1;
  try {
    start_grammar(grammar, trie)->fill(allowed, one);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    std::string_view message = error.what();
    if (message.starts_with(kTooComplex)) message.remove_prefix(message.find(": ") + 2);
    throw GrammarError(GrammarFault::too_complex, "", std::string(message));
  }
}

Membership match_bytes(const Grammar& grammar, std::string_view bytes) {
  constexpr int64_t kWork = 20 * kFirstWork;
  auto memory = std::make_unique<Configurations>(grammar);
  memory->allow_work(kWork);
  int32_t config = memory->start();
  size_t key_begin = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    const std::string_view key = bytes.substr(key_begin, i - key_begin);
    if (byte == '"' && memory->facts(config).opens_key) key_begin = i + 1;
    try {
      config = memory->next(config, byte, &key);
    } catch (const ArenaFull&) {
      auto fresh = std::make_unique<Configurations>(grammar);
      fresh->allow_work(memory->work_left());
      try {
        config = fresh->copy_from(*memory, config);
        memory = std::move(fresh);
        config = memory->next(config, byte, &key);
      } catch (const ArenaFull&) {
        fail(ErrorKind::unsupported, "{}: one byte takes too much memory", kTooComplex);
      }
    }
    if (config == Configurations::kDead) return Membership::no;
  }
  return memory->facts(config).may_end ? Membership::whole : Membership::beginning;
}

}  // namespace qwen3
