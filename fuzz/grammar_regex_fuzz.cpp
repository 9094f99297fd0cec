// The input up to the first NUL as a regular expression; what is behind it chooses the tokens of an answer.
// Besides crashes it checks that a full match is found by a search, that algebra is that of sets, and the walk.
#include <string_view>

#include "base/utf8.h"
#include "grammar/text_dfa.h"
#include "grammar_fuzz_tokens.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 512) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view regex = input.substr(0, input.find('\0'));
  const std::string_view steps = input.substr(std::min(input.size(), regex.size() + 1));
  try {
    const auto whole = qwen3::TextDfa::full_match(regex), found = qwen3::TextDfa::search(regex);
    qwen3::require((whole & found.complement()).empty());
    qwen3::require((whole & whole.complement()).empty());
    if (qwen3::utf8_valid(steps)) qwen3::require(!whole.contains(steps) || found.contains(steps));
    if (whole.empty()) return 0;
    const auto grammar = qwen3::compile_regex(regex, {.time = std::chrono::seconds(20)});
    if (qwen3::utf8_valid(steps)) {
      qwen3::require((qwen3::match_bytes(*grammar, steps) == qwen3::Membership::whole) ==
                     whole.contains(steps));
    }
    qwen3::fuzz_walk(grammar, steps);
  } catch (const qwen3::GrammarError& e) {
    qwen3::require(qwen3::utf8_valid(e.what()));
    qwen3::require(e.fault() == qwen3::GrammarFault::invalid_regex ||
                   e.fault() == qwen3::GrammarFault::too_complex);
  } catch (const qwen3::Error& e) {
    qwen3::require(std::string_view(e.what()).starts_with("grammar_too_complex"));
  }
  return 0;
}
