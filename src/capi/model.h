// The model behind a handle: weights, tokenizer, chat template, and the grammars that its answers were held to.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "capi/handles.h"
#include "grammar/grammar_cache.h"
#include "grammar/token_trie.h"
#include "qwen3/model.h"
#include "qwen3/text.h"

namespace qwen3::capi {

struct ModelObject : Object {
  static constexpr Kind kKind = Kind::model;
  ModelObject() : Object(kKind) {}

  std::string name;
  std::shared_ptr<Model> weights;  // null: opened without
  std::optional<Text> text;        // empty: the checkpoint has no tokenizer
  GrammarCache grammars;

  // Throw Error{unsupported} where there is none.
  const Text& need_text() const;
  const std::shared_ptr<Model>& need_weights() const;
  std::shared_ptr<const TokenTrie> trie();  // of `text`, made when it is first wanted

 private:
  std::once_flag trie_once_;
  std::shared_ptr<const TokenTrie> trie_;
};

}  // namespace qwen3::capi
