// Random texts that grammars of JSON Schemas allow, for a validator of somebody else (schema_walks.py).
//
//   schema_walks [--texts N] [--seed S] FILE...   one line for each schema that compiles: {"schema": …, "texts": […]}
//
// FILE: of tests/data/json_schema_suite, or {"schema": …}. Every walk goes byte by byte over what the constraint
// allows, half of the time by what closes strings, arrays and objects; a walk that does not end is cut and left out.
// Every other walk has a number of bytes within which it is closed: one that is not whole then is an error.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

constexpr int kMaxTextBytes = 400;

std::shared_ptr<const TokenTrie> byte_trie() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  return TokenTrie::make(bytes, {});
}

class Walker {
 public:
  Walker(GrammarPtr grammar, std::shared_ptr<const TokenTrie> trie, uint64_t seed)
      : grammar_(std::move(grammar)), trie_(std::move(trie)), random_(seed) {}

  std::optional<std::string> walk_closed() {
    const auto constraint = start_grammar(grammar_, trie_);
    const int64_t shortest = constraint->bytes_to_end();
    if (shortest > kMaxTextBytes) return std::nullopt;
    const int64_t limit = shortest + static_cast<int64_t>(random_() % 40);
    std::string text;
    while (std::ssize(text) < limit && !constraint->exhausted()) {
      constraint->close_within(limit - std::ssize(text));
      const int32_t next = choose(*constraint);
      if (next < 0) break;
      constraint->accept(next);
      text += static_cast<char>(next);
    }
    if (constraint->may_end()) return text;
    throw std::runtime_error(fmt::format("not whole within {} bytes: {}", limit, text));
  }

  std::optional<std::string> walk() {
    const auto constraint = start_grammar(grammar_, trie_);
    std::string text;
    while (text.size() < kMaxTextBytes) {
      if (constraint->exhausted()) return text;
      if (constraint->may_end() && random_() % 3 == 0) return text;
      const int32_t next = choose(*constraint);
      if (next < 0) return constraint->may_end() ? std::optional(text) : std::nullopt;
      constraint->accept(next);
      text += static_cast<char>(next);
    }
    return std::nullopt;
  }

 private:
  int32_t choose(TokenConstraint& constraint) {
    std::vector<uint64_t> mask(4);
    int32_t one = -1;
    const TokenConstraint::Fill fill = constraint.fill(mask, one);
    if (fill == TokenConstraint::Fill::one) return one;
    std::vector<int32_t> allowed;
    std::vector<int32_t> closing;
    for (int32_t byte = 0; byte < 256; ++byte) {
      const auto at = static_cast<size_t>(byte);
      if (fill == TokenConstraint::Fill::mask && (mask[at / 64] >> (at % 64) & 1) == 0) continue;
      allowed.push_back(byte);
      if (byte == '"' || byte == '}' || byte == ']') closing.push_back(byte);
    }
    if (allowed.empty()) return -1;
    const auto& from = !closing.empty() && random_() % 2 == 0 ? closing : allowed;
    return from[random_() % from.size()];
  }

  GrammarPtr grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::mt19937_64 random_;
};

std::vector<Json> schemas_of(const std::string& path) {
  const Json file = read_json(path);
  if (file.contains("schema")) return {file.at("schema")};
  const size_t slash = path.rfind('/') + 1;
  const std::string draft = path.substr(slash, path.rfind('.') - slash);
  const bool old =
      draft.starts_with("draft4") || draft.starts_with("draft6") || draft.starts_with("draft7");
  const std::string uri = old ? "http://json-schema.org/draft-0" + draft.substr(5, 1) + "/schema#"
                              : "https://json-schema.org/draft/" + draft.substr(5) + "/schema";
  std::vector<Json> out;
  for (const Json& groups : file) {
    for (const Json& group : groups) {
      out.push_back(group.at("schema"));
      if (out.back().is_object() && !out.back().contains("$schema")) out.back()["$schema"] = uri;
    }
  }
  return out;
}

void run(const std::string& path, int64_t n_texts, uint64_t seed) {
  const auto trie = byte_trie();
  for (const Json& schema : schemas_of(path)) {
    for (const bool open : {false, true}) {
      JsonSchemaOptions options;
      options.open_objects = open;
      GrammarPtr grammar;
      try {
        grammar = compile_json_schema(schema, options, {std::chrono::seconds(10)});
      } catch (const GrammarError&) {
        continue;
      }
      Walker walker(grammar, trie, seed++);
      Json texts = Json::array();
      for (int64_t i = 0; i < n_texts; ++i) {
        const auto text = i % 2 == 0 ? walker.walk() : walker.walk_closed();
        if (text) texts.push_back(*text);
      }
      fmt::print("{}\n", dump_json(Json{{"schema", schema}, {"texts", texts}}));
    }
  }
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  int64_t n_texts = 10;
  uint64_t seed = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--texts" && i + 1 < argc) {
      n_texts = std::stoll(argv[++i]);
    } else if (word == "--seed" && i + 1 < argc) {
      seed = std::stoull(argv[++i]);
    } else {
      qwen3::run(word, n_texts, seed);
    }
  }
}
