#include "tokenizer/tokenizer.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/gguf_file.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer_files.h"
#include "tokenizer/tokenizer_gguf.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // positions fit int32_t with room to spare

AddedTokenMatcher make_matcher(const TokenizerSpec& spec, bool normalized) {
  std::vector<AddedToken> tokens;
  std::string storage;
  for (const AddedToken& token : spec.added_tokens) {
    if (token.normalized != normalized) continue;
    tokens.push_back(token);
    if (normalized && spec.normalization == Normalization::nfc) {
      tokens.back().content = to_nfc(token.content, storage);
    }
  }
  return AddedTokenMatcher(std::move(tokens));
}

}  // namespace

// One call of Tokenizer::encode: the steps, and the working memory that they share.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, ControlTokens mode, std::vector<int32_t>& ids)
      : tokenizer_(tokenizer), mode_(mode), ids_(ids) {}

  void encode(std::string_view text) {
    if (mode_ == ControlTokens::as_text || tokenizer_.raw_matcher_.empty()) {
      encode_raw(text);
      return;
    }
    std::vector<TextPart> parts;
    tokenizer_.raw_matcher_.split(text, parts);
    for (const TextPart& part : parts) {
      if (part.id >= 0) {
        ids_.push_back(part.id);
      } else {
        encode_raw(part.text);
      }
    }
  }

 private:
  void encode_raw(std::string_view text) {
    if (tokenizer_.nfc_) text = to_nfc(text, normalized_);
    if (mode_ == ControlTokens::as_text) {
      const size_t first = ids_.size();
      encode_pieces(text);
      break_added_tokens(first);
      return;
    }
    if (tokenizer_.normalized_matcher_.empty()) {
      encode_pieces(text);
      return;
    }
    std::vector<TextPart> parts;
    tokenizer_.normalized_matcher_.split(text, parts);
    for (const TextPart& part : parts) {
      if (part.id >= 0) {
        ids_.push_back(part.id);
      } else {
        encode_pieces(part.text);
      }
    }
  }

  void encode_pieces(std::string_view text) {
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = piece_end(tokenizer_.split_pattern_, text, pos);
      tokenizer_.bpe_.encode(text.substr(pos, end - pos), ids_, scratch_);
      pos = end;
    }
  }

  // An added token may also be a word of the vocabulary. As text it must not give the control id:
  // it becomes its single bytes.
  void break_added_tokens(size_t first) {
    size_t at = first;
    while (at < ids_.size() && !tokenizer_.is_added(ids_[at])) ++at;
    if (at == ids_.size()) return;
    const std::vector<int32_t> found(ids_.begin() + static_cast<ptrdiff_t>(at), ids_.end());
    ids_.resize(at);
    for (const int32_t id : found) {
      if (!tokenizer_.is_added(id)) {
        ids_.push_back(id);
        continue;
      }
      for (const char c : tokenizer_.token_bytes(id)) {
        ids_.push_back(tokenizer_.bpe_.byte_token(static_cast<unsigned char>(c)));
      }
    }
  }

  const Tokenizer& tokenizer_;
  ControlTokens mode_;
  std::vector<int32_t>& ids_;
  std::string normalized_;
  Bpe::Scratch scratch_;
};

Tokenizer::Tokenizer(TokenizerSpec&& spec, std::string_view where)
    : bpe_(make_bpe(spec.model, spec.added_tokens, where)),
      raw_matcher_(make_matcher(spec, false)),
      normalized_matcher_(make_matcher(spec, true)),
      flags_(static_cast<size_t>(bpe_.vocabulary().size())),
      prefix_ids_(std::move(spec.prefix_ids)),
      suffix_ids_(std::move(spec.suffix_ids)),
      split_pattern_(spec.split_pattern),
      nfc_(spec.normalization == Normalization::nfc) {
  added_tokens_ = std::move(spec.added_tokens);
  for (const AddedToken& token : added_tokens_) {
    const int flags = kAdded | (token.special ? kSpecial : 0);
    flags_[static_cast<size_t>(token.id)] = static_cast<uint8_t>(flags);
  }
  for (const auto* ids : {&prefix_ids_, &suffix_ids_}) {
    for (const int32_t id : *ids) {
      QWEN3_CHECK(id < size(),
                  ErrorKind::corrupt_file,
                  "{}: post_processor.special_tokens: id {} has no token; ids end at {}",
                  where,
                  id,
                  size());
    }
  }
}

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  return Tokenizer(read_tokenizer_gguf(file), file.name());
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  TokenizerFiles files = read_tokenizer_files(path);
  return Tokenizer(std::move(files.spec), files.where);
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view where) {
  return Tokenizer(read_tokenizer_json(tokenizer_json, where), where);
}

void Tokenizer::check_text(std::string_view text) const {
  QWEN3_CHECK(text.size() <= kMaxTextBytes,
              ErrorKind::invalid_argument,
              "text: expected at most {} bytes, got {}",
              kMaxTextBytes,
              text.size());
  const size_t ascii = skip_ascii(text, 0);
  const size_t invalid = utf8_first_invalid(text.substr(ascii));
  QWEN3_CHECK(invalid == text.npos,
              ErrorKind::invalid_argument,
              "text: ill-formed UTF-8 at byte {}; expected UTF-8",
              ascii + invalid);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, ControlTokens mode) const {
  check_text(text);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  Encoder(*this, mode, ids).encode(text);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_with_post_processor(std::string_view text,
                                                           ControlTokens mode) const {
  std::vector<int32_t> ids = encode(text, mode);
  ids.insert(ids.begin(), prefix_ids_.begin(), prefix_ids_.end());
  ids.insert(ids.end(), suffix_ids_.begin(), suffix_ids_.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialTokens special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (special == SpecialTokens::skip && is_special(id)) continue;
    bytes += token_bytes(id);
  }
  return utf8_lossy(bytes);
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view content) const {
  for (const TokenKind kind : {TokenKind::literal, TokenKind::bytes}) {
    const int32_t id = bpe_.vocabulary().find(content, kind);
    if (id >= 0) return id;
  }
  return std::nullopt;
}

}  // namespace qwen3
