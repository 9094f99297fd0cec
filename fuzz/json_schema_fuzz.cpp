// JSON Schemas from anybody: compiling ends within its budget, with a grammar or a GrammarError; and a grammar has
// an answer: whatever the constraint allows can be followed to an end or goes on.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "grammar/grammar.h"

using namespace qwen3;

namespace {

constexpr int kSteps = 100;

void require(bool holds) {
  if (!holds) std::abort();
}

std::shared_ptr<const TokenTrie> byte_trie() {
  static const std::shared_ptr<const TokenTrie> trie = [] {
    std::vector<std::string> bytes;
    for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
    return TokenTrie::make(bytes, {});
  }();
  return trie;
}

// Live: there is a byte for every state that is not over, and match_bytes says the same of what came.
void walk(const GrammarPtr& grammar, std::string_view choices) {
  const auto constraint = start_grammar(grammar, byte_trie());
  std::string text;
  for (int step = 0; step < kSteps && !constraint->exhausted(); ++step) {
    std::vector<uint64_t> mask(4);
    int32_t one = -1;
    const TokenConstraint::Fill fill = constraint->fill(mask, one);
    if (fill != TokenConstraint::Fill::one) {
      std::vector<int32_t> allowed;
      for (size_t byte = 0; byte < 256; ++byte) {
        const bool may =
            fill == TokenConstraint::Fill::everything || (mask[byte / 64] >> (byte % 64) & 1) != 0;
        if (may) allowed.push_back(static_cast<int32_t>(byte));
      }
      if (allowed.empty()) {
        require(constraint->may_end());
        break;
      }
      const auto pick = static_cast<uint8_t>(choices[static_cast<size_t>(step) % choices.size()]);
      one = allowed[(pick + static_cast<size_t>(step)) % allowed.size()];
    }
    constraint->accept(one);
    text += static_cast<char>(one);
  }
  const Membership membership = match_bytes(*grammar, text);
  require(membership != Membership::no);
  require((membership == Membership::whole) == constraint->may_end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Json schema;
  try {
    schema = parse_json(text, "schema");
  } catch (const Error&) {
    return 0;
  }
  JsonSchemaOptions options;
  options.open_objects = size % 2 == 0;
  try {
    const GrammarPtr grammar = compile_json_schema(schema, options);
    walk(grammar, text);
  } catch (const GrammarError& e) {
    require(std::string_view(e.what()).starts_with(e.place()));
  } catch (const Error& e) {
    require(std::string_view(e.what()).find("grammar_too_complex") != std::string_view::npos);
  }
  return 0;
}
