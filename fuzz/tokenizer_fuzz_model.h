// A tokenizer.json small enough to load for every input: 256 bytes, a few merges and added tokens.
#pragma once

#include <string>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"

namespace qwen3::fuzz {

inline std::string spelled_byte(int byte) {
  std::string out;
  const auto printable = [](int b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  char32_t next = 0x100;
  for (int b = 0; b < byte; ++b) next += printable(b) ? 0 : 1;
  utf8_append(out, printable(byte) ? static_cast<char32_t>(byte) : next);
  return out;
}

inline std::string model_json() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab.push_back({spelled_byte(byte), byte});
  Json merges = Json::array();
  const auto merge = [&](const std::string& left, const std::string& right) {
    vocab.push_back({left + right, static_cast<int>(vocab.size())});
    merges.push_back(Json::array({left, right}));
  };
  const std::string space = spelled_byte(' '), acute1 = spelled_byte(0xC3),
                    acute2 = spelled_byte(0xA9);
  merge("a", "b");
  merge("ab", "c");
  merge(space, "ab");
  merge("b", "c");
  merge("a", "a");
  merge("aa", "aa");
  merge(space, space);
  merge(acute1, acute2);
  merge("1", "2");
  Json added = Json::array();
  const auto add = [&](const std::string& content, bool normalized, bool strip, bool single) {
    added.push_back({{"id", vocab.size() + added.size()},
                     {"content", content},
                     {"normalized", normalized},
                     {"lstrip", strip},
                     {"rstrip", strip},
                     {"single_word", single},
                     {"special", !normalized}});
  };
  add("<x>", false, false, false);
  add("<xx>", false, false, false);
  add("<s>", false, true, false);
  add("<w>", false, false, true);
  add("<e\u0301>", true, false, false);
  const std::string regex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", false},
                           {"use_regex", false}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", regex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json file = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}}},
      {"post_processor", byte_level},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"ignore_merges", false}, {"vocab", vocab}, {"merges", merges}}}};
  return dump_json(file);
}

}  // namespace qwen3::fuzz
