#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer_json_reader.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxAddedTokens = 65536;
constexpr size_t kMaxAddedBytes = size_t{4} << 20;
constexpr size_t kMaxPostProcessorTokens = 64;

// A value of the tree together with its name for messages.
class Field {
 public:
  Field(const Json& value, std::string name) : value_(&value), name_(std::move(name)) {}

  // The member `key`, or null when there is none.
  Field operator[](std::string_view key) const {
    static const Json null;
    const std::string_view joint = name_.ends_with(':') ? " " : ".";
    std::string name = name_ + std::string(joint) + std::string(key);
    if (value_->is_object()) {
      for (const auto& [k, v] : value_->items()) {
        if (k == key) return {v, std::move(name)};
      }
    }
    return {null, std::move(name)};
  }

  bool is_null() const { return value_->is_null(); }

  std::string_view string() const {
    if (!value_->is_string()) wrong("a string");
    return value_->get_ref<const std::string&>();
  }

  bool boolean(bool when_null) const {
    if (is_null()) return when_null;
    if (!value_->is_boolean()) wrong("true or false");
    return value_->get<bool>();
  }

  int32_t id() const {
    const bool in_range = value_->is_number_unsigned() && value_->get<uint64_t>() < INT32_MAX;
    if (!in_range) wrong("an id, a whole number from 0 to 2^31-2");
    return value_->get<int32_t>();
  }

  std::vector<Field> elements() const {
    if (!value_->is_array()) wrong("an array");
    std::vector<Field> fields;
    for (const Json& element : *value_) {
      fields.emplace_back(element, fmt::format("{}[{}]", name_, fields.size()));
    }
    return fields;
  }

  const Json& object() const {
    if (!value_->is_object()) wrong("an object");
    return *value_;
  }

  // The component's "type", or "" for null.
  std::string_view type() const { return is_null() ? "" : (*this)["type"].string(); }

  [[noreturn]] void wrong(std::string_view expected) const {
    fail(ErrorKind::corrupt_file, "{}: expected {}, got {}", name_, expected, shown());
  }

  [[noreturn]] void unsupported(std::string_view expected) const {
    fail(ErrorKind::unsupported, "{}: expected {}, got {}", name_, expected, shown());
  }

  void require(bool accepted, std::string_view expected) const {
    if (!accepted) unsupported(expected);
  }

 private:
  std::string shown() const {
    const std::string text = dump_json(*value_);
    return utf8_lossy(std::string_view(text).substr(0, 300));
  }

  const Json* value_;
  std::string name_;
};

AddedToken read_added_token(const Field& field, int32_t id) {
  AddedToken token;
  token.id = id;
  token.content = field["content"].string();
  if (token.content.empty()) field["content"].wrong("a string that is not empty");
  token.special = field["special"].boolean(false);
  token.single_word = field["single_word"].boolean(false);
  token.lstrip = field["lstrip"].boolean(false);
  token.rstrip = field["rstrip"].boolean(false);
  token.normalized = field["normalized"].boolean(!token.special);
  return token;
}

void read_added_tokens(TokenizerSpec& spec, const Field& field, std::string_view where) {
  if (field.is_null()) return;
  std::unordered_set<std::string> contents;
  for (const Field& element : field.elements()) {
    spec.added_tokens.push_back(read_added_token(element, element["id"].id()));
    if (!contents.insert(spec.added_tokens.back().content).second) {
      element["content"].wrong("every added token once");
    }
  }
  check_added_tokens(spec.added_tokens, where);
}

void read_model(TokenizerSpec& spec, const Field& model) {
  const auto is_empty = [](const Field& f) { return f.is_null() || f.string().empty(); };
  model["type"].require(model["type"].is_null() || model["type"].string() == "BPE", "\"BPE\"");
  model["dropout"].require(model["dropout"].is_null(), "null: dropout makes ids random");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    model[affix].require(is_empty(model[affix]), "null or \"\"");
  }
  model["byte_fallback"].require(!model["byte_fallback"].boolean(false), "false");
  // unk_token and fuse_unk have no effect: every byte has a token.
  const bool ignore_merges = model["ignore_merges"].boolean(false);
  spec.model.ignore_merges = ignore_merges ? IgnoreMerges::yes : IgnoreMerges::no;
}

void read_normalizer(TokenizerSpec& spec, const Field& normalizer) {
  normalizer.require(normalizer.is_null() || normalizer.type() == "NFC", "null or NFC");
  spec.normalization = normalizer.is_null() ? Normalization::none : Normalization::nfc;
}

void read_byte_level(const Field& field, bool use_regex) {
  field.require(field.type() == "ByteLevel", "a ByteLevel pre-tokenizer");
  field["add_prefix_space"].require(!field["add_prefix_space"].boolean(true), "false");
  field["use_regex"].require(field["use_regex"].boolean(true) == use_regex,
                             use_regex ? "true" : "false");
}

void read_pre_tokenizer(TokenizerSpec& spec, const Field& field) {
  constexpr std::string_view kExpected =
      "Sequence[Split by a known expression, ByteLevel] or ByteLevel with use_regex";
  if (field.type() == "ByteLevel") {
    read_byte_level(field, true);
    spec.split_pattern = SplitPattern::gpt2;
    return;
  }
  field.require(field.type() == "Sequence", kExpected);
  const std::vector<Field> steps = field["pretokenizers"].elements();
  field.require(steps.size() == 2 && steps[0].type() == "Split", kExpected);
  const Field regex = steps[0]["pattern"]["Regex"];
  const auto pattern = find_split_pattern(regex.string());
  regex.require(pattern.has_value(), "the expression of Qwen2 or GPT-2, character by character");
  spec.split_pattern = *pattern;
  const Field behavior = steps[0]["behavior"];
  behavior.require(behavior.string() == "Isolated", "\"Isolated\"");
  steps[0]["invert"].require(!steps[0]["invert"].boolean(false), "false");
  read_byte_level(steps[1], false);
}

// The ids that a TemplateProcessing puts before and after the sequence A.
void read_template(TokenizerSpec& spec, const Field& field) {
  bool after_text = false;
  for (const Field& piece : field["single"].elements()) {
    if (!piece["Sequence"].is_null()) {
      const bool first_a = piece["Sequence"]["id"].string() == "A" && !after_text;
      piece.require(first_a, "the sequence A once");
      after_text = true;
      continue;
    }
    const std::string_view name = piece["SpecialToken"]["id"].string();
    std::vector<int32_t>& ids = after_text ? spec.suffix_ids : spec.prefix_ids;
    for (const Field& id : field["special_tokens"][name]["ids"].elements()) ids.push_back(id.id());
    field.require(ids.size() <= kMaxPostProcessorTokens, "at most 64 special tokens");
  }
  field["single"].require(after_text, "the sequence A once");
}

void read_post_processor(TokenizerSpec& spec, const Field& field) {
  std::vector<Field> steps{field};
  if (field.type() == "Sequence") steps = field["processors"].elements();
  bool has_template = false;
  for (const Field& step : steps) {
    if (step.is_null() || step.type() == "ByteLevel") continue;  // ByteLevel moves offsets only
    const bool first_template = step.type() == "TemplateProcessing" && !has_template;
    step.require(first_template, "ByteLevel and at most one TemplateProcessing");
    read_template(spec, step);
    has_template = true;
  }
}

// Removes the tokens that share an id or a content, but not both, with a token of the model.
void drop_conflicts(std::vector<AddedToken>& tokens, const BpeText& model) {
  std::unordered_map<int64_t, std::string_view> content_of;
  std::unordered_map<std::string_view, int64_t> id_of;
  for (const BpeText::Entry& entry : model.vocab) {
    content_of.emplace(entry.id, model.at(entry.spelling));
    id_of.emplace(model.at(entry.spelling), entry.id);
  }
  std::erase_if(tokens, [&](const AddedToken& token) {
    const auto content = content_of.find(token.id);
    const auto id = id_of.find(token.content);
    return (content != content_of.end() && content->second != token.content) ||
           (id != id_of.end() && id->second != token.id);
  });
}

}  // namespace

// The search automaton's nodes number at most the bytes of all contents.
void check_added_tokens(const std::vector<AddedToken>& tokens, std::string_view where) {
  size_t n_bytes = 0;
  for (const AddedToken& token : tokens) n_bytes += token.content.size();
  QWEN3_CHECK(tokens.size() <= kMaxAddedTokens && n_bytes <= kMaxAddedBytes,
              ErrorKind::unsupported,
              "{}: added_tokens: expected at most {} tokens of {} bytes together; got {} of {}",
              where,
              kMaxAddedTokens,
              kMaxAddedBytes,
              tokens.size(),
              n_bytes);
}

TokenizerSpec read_tokenizer_json(std::string_view text, std::string_view where) {
  TokenizerSpec spec;
  const Json tree = read_tokenizer_tree(text, where, spec.model);
  const Field root(tree, fmt::format("{}:", where));
  const Field version = root["version"];
  version.require(version.is_null() || version.string() == "1.0", "\"1.0\"");
  read_model(spec, root["model"]);
  read_added_tokens(spec, root["added_tokens"], where);
  read_normalizer(spec, root["normalizer"]);
  read_pre_tokenizer(spec, root["pre_tokenizer"]);
  read_post_processor(spec, root["post_processor"]);
  root["decoder"].require(root["decoder"].type() == "ByteLevel", "a ByteLevel decoder");
  return spec;
}

TokenizerSpec read_vocab_and_merges(const std::filesystem::path& vocab_json,
                                    const std::filesystem::path& merges_txt) {
  TokenizerSpec spec;
  spec.normalization = Normalization::nfc;
  spec.split_pattern = SplitPattern::qwen2;
  const std::string vocab = read_text_file(vocab_json, kMaxTokenizerBytes);
  read_vocab(vocab, vocab_json.string(), spec.model);
  const std::string merges = read_text_file(merges_txt, kMaxTokenizerBytes);
  const std::string merges_name = merges_txt.string();
  std::string_view rest = merges;
  const size_t invalid = utf8_first_invalid(rest);
  QWEN3_CHECK(invalid == rest.npos,
              ErrorKind::corrupt_file,
              "{}: ill-formed UTF-8 at byte {}",
              merges_name,
              invalid);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) spec.model.add_merge_line(line, merges_name);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return spec;
}

void add_tokens_of_config(TokenizerSpec& spec, std::string_view text, std::string_view where) {
  const Json tree = parse_json(text, where);
  const Field decoder = Field(tree, fmt::format("{}:", where))["added_tokens_decoder"];
  if (decoder.is_null()) return;
  std::unordered_set<std::string> contents;
  std::unordered_set<int64_t> ids;
  const auto is_new = [&](const AddedToken& token) {
    return ids.insert(token.id).second && contents.insert(token.content).second;
  };
  std::for_each(spec.added_tokens.begin(), spec.added_tokens.end(), is_new);
  std::vector<AddedToken> missing;
  for (const auto& [key, value] : decoder.object().items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const bool is_id = error == std::errc() && end == key.data() + key.size() && id >= 0;
    const Field field(value,
                      fmt::format("{}: added_tokens_decoder.{}", where, quote_for_message(key)));
    if (!is_id) field.wrong("an id as key");
    AddedToken token = read_added_token(field, id);
    if (is_new(token)) missing.push_back(std::move(token));
  }
  if (missing.empty()) return;
  drop_conflicts(missing, spec.model);
  std::move(missing.begin(), missing.end(), std::back_inserter(spec.added_tokens));
  check_added_tokens(spec.added_tokens, where);
}

}  // namespace qwen3
