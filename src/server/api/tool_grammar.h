// The grammar of tool calls, in the spelling that the model's template teaches:
//
//   hermes       <tool_call>\n{"name": "f", "arguments": {…}}\n</tool_call>
//   qwen3_coder  <tool_call>\n<function=f>\n<parameter=k>\nv\n</parameter>\n</function>\n</tool_call>
//
// Arguments obey the tool's `parameters`. Those of a tool that does not say `strict` and that cannot be
// enforced as they stand are widened, at worst to any object; nothing is refused for them.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "chat/tool_calls.h"
#include "server/api/answer_format.h"

namespace qwen3::server {

struct ToolRules {
  ToolFormat format = ToolFormat::hermes;
  std::vector<std::string> names = {};  // that may be called
  bool single = false;                  // one call and no more
  bool opened = false;                  // the first <tool_call> has been written
  bool in_text = false;                 // free text may come before the calls, or instead
  // The ids of the tags; -1: the tokenizer spells them.
  int32_t open = -1, close = -1;
  ExactNumbers numbers = {};  // of the schemas
};

// One call or more. With `format`: that, or calls. Refuses a tool that says `strict` and cannot be kept. Relaxed are
// the tools whose schemas were widened.
CompiledGrammar compile_calls(const Json& tools,
                              const ToolRules& rules,
                              const AnswerFormat& format,
                              const TokenTrie& trie);

// Everything that decides what compile_calls returns.
std::string source_of(const Json& tools, const ToolRules& rules, const AnswerFormat& format);

// Widens a schema by what stands at `place`, a JSON pointer as of a GrammarError. False: nothing to drop.
bool widen_schema(Json& schema, std::string_view place);

}  // namespace qwen3::server
