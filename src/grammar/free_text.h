// Texts as far as words in them ("triggers") allow: what precedes a tool call or a tag.
#pragma once

#include <string>
#include <vector>

#include "grammar/text_dfa.h"

namespace qwen3 {

// Texts that end with triggers[which], before which no trigger has occurred. Triggers are UTF-8 and not empty.
TextDfa text_until(const std::vector<std::string>& triggers, size_t which);

// Texts in which no trigger occurs.
TextDfa text_without(const std::vector<std::string>& triggers);

}  // namespace qwen3
