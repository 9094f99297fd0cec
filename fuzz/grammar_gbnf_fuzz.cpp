// The input up to the first NUL as a GBNF grammar; what is behind it chooses the tokens of an answer.
#include <string_view>

#include "base/utf8.h"
#include "grammar_fuzz_tokens.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 2048) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view source = input.substr(0, input.find('\0'));
  const std::string_view steps = input.substr(std::min(input.size(), source.size() + 1));
  try {
    const auto grammar =
        qwen3::compile_gbnf(source, *qwen3::fuzz_trie(), {.time = std::chrono::seconds(20)});
    qwen3::fuzz_walk(grammar, steps);
  } catch (const qwen3::GrammarError& e) {
    qwen3::require(qwen3::utf8_valid(e.what()));
    qwen3::require(e.fault() == qwen3::GrammarFault::invalid_grammar ||
                   e.fault() == qwen3::GrammarFault::too_complex ||
                   e.fault() == qwen3::GrammarFault::unsupported_grammar);
  } catch (const qwen3::Error& e) {
    qwen3::require(std::string_view(e.what()).starts_with("grammar_too_complex"));
  }
  return 0;
}
