#include "tokenizer/bpe_text.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/byte_alphabet.h"

namespace qwen3 {
namespace {

struct Content {
  std::string bytes;
  TokenKind kind;
};

void spell_out(std::string_view spelling, Content& content) {
  content.bytes.clear();
  content.kind = TokenKind::bytes;
  if (!append_spelled_bytes(content.bytes, spelling)) {
    content.bytes = spelling;
    content.kind = TokenKind::literal;
  }
}

class Builder {
 public:
  Builder(const BpeText& model, const std::vector<AddedToken>& added, std::string_view where)
      : model_(model), added_(added), where_(where) {}

  Vocabulary vocabulary() const {
    Vocabulary vocabulary(n_ids(), n_bytes());
    Content content;
    for (const BpeText::Entry& entry : model_.vocab) {
      const std::string_view spelling = model_.at(entry.spelling);
      QWEN3_CHECK(!spelling.empty(),
                  ErrorKind::corrupt_file,
                  "{}: model.vocab: a token (id {}) is the empty string",
                  where_,
                  entry.id);
      spell_out(spelling, content);
      const auto added =
          vocabulary.add(static_cast<int32_t>(entry.id), content.bytes, content.kind);
      if (added == Vocabulary::Added::yes) continue;
      fail(
          ErrorKind::corrupt_file,
          "{}: model.vocab[\"{}\"]: {} {}; expected every token and id once",
          where_,
          quote_for_message(spelling),
          added == Vocabulary::Added::id_taken ? "another token has the id" : "duplicate token, id",
          entry.id);
    }
    check_bytes(vocabulary);
    add_added_tokens(vocabulary);
    return vocabulary;
  }

  std::vector<Merge> merges(const Vocabulary& vocabulary) const {
    std::vector<Merge> merges;
    merges.reserve(model_.merges.size());
    Content left, right;
    for (const auto& [l, r] : model_.merges) {
      const size_t rank = merges.size();
      spell_out(model_.at(l), left);
      spell_out(model_.at(r), right);
      merges.push_back({find(vocabulary, left, rank),
                        find(vocabulary, right, rank),
                        find_joined(vocabulary, left, right, l, r, rank)});
    }
    return merges;
  }

 private:
  int64_t n_ids() const {
    const int64_t limit = Vocabulary::id_limit(model_.vocab.size() + added_.size());
    int64_t n = 0;
    const auto see = [&](int64_t id, std::string_view field, std::string_view content) {
      QWEN3_CHECK(id >= 0 && id < limit && id < std::numeric_limits<int32_t>::max(),
                  ErrorKind::corrupt_file,
                  "{}: {}[\"{}\"]: id {} is out of range; expected 0 to {} for a file of this many "
                  "tokens",
                  where_,
                  field,
                  quote_for_message(content),
                  id,
                  limit - 1);
      n = std::max(n, id + 1);
    };
    for (const auto& entry : model_.vocab) see(entry.id, "model.vocab", model_.at(entry.spelling));
    for (const auto& token : added_) see(token.id, "added_tokens", token.content);
    return n;
  }

  size_t n_bytes() const {
    size_t n = 0;
    for (const auto& entry : model_.vocab) n += entry.spelling.length;
    for (const auto& token : added_) n += token.content.size();
    return n;
  }

  // Every byte needs a token: then all text can be encoded and unk_token is never used.
  void check_bytes(const Vocabulary& vocabulary) const {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      QWEN3_CHECK(vocabulary.find({&c, 1}, TokenKind::bytes) >= 0,
                  ErrorKind::corrupt_file,
                  "{}: model.vocab: no token for the byte 0x{:02X}; expected a byte-level "
                  "vocabulary with all 256 bytes",
                  where_,
                  byte);
    }
  }

  void add_added_tokens(Vocabulary& vocabulary) const {
    for (const AddedToken& token : added_) {
      // An added token may also be in the vocabulary, under the same id.
      Content content;
      spell_out(token.content, content);
      const int32_t known = vocabulary.find(content.bytes, content.kind);
      if (known == token.id) continue;
      QWEN3_CHECK(
          known < 0 && vocabulary.kind(token.id) == TokenKind::none &&
              vocabulary.add(token.id, token.content, TokenKind::literal) == Vocabulary::Added::yes,
          ErrorKind::corrupt_file,
          "{}: added_tokens: \"{}\" with id {}: another token has the same id or content",
          where_,
          quote_for_message(token.content),
          token.id);
    }
  }

  int32_t find(const Vocabulary& vocabulary, const Content& content, size_t rank) const {
    const int32_t id = vocabulary.find(content.bytes, content.kind);
    QWEN3_CHECK(id >= 0,
                ErrorKind::corrupt_file,
                "{}: model.merges[{}]: \"{}\" is not in model.vocab",
                where_,
                rank,
                quote_for_message(content.bytes));
    return id;
  }

  int32_t find_joined(const Vocabulary& vocabulary,
                      Content& left,
                      const Content& right,
                      BpeText::Span l,
                      BpeText::Span r,
                      size_t rank) const {
    if (left.kind == TokenKind::bytes && right.kind == TokenKind::bytes) {
      left.bytes += right.bytes;
    } else {
      left = {std::string(model_.at(l)).append(model_.at(r)), TokenKind::literal};
    }
    return find(vocabulary, left, rank);
  }

  const BpeText& model_;
  const std::vector<AddedToken>& added_;
  std::string_view where_;
};

}  // namespace

BpeText::Span BpeText::keep(std::string_view spelling) {
  QWEN3_CHECK(text.size() + spelling.size() <= std::numeric_limits<uint32_t>::max(),
              ErrorKind::unsupported,
              "tokenizer: more than 4 GiB of tokens");
  const Span span{static_cast<uint32_t>(text.size()), static_cast<uint32_t>(spelling.size())};
  text += spelling;
  return span;
}

void BpeText::add_merge_line(std::string_view line, std::string_view where) {
  if (line.starts_with("#version")) return;
  const size_t space = line.find(' ');
  QWEN3_CHECK(space != line.npos && line.find(' ', space + 1) == line.npos,
              ErrorKind::corrupt_file,
              "{}: model.merges[{}]: expected \"left right\", got \"{}\"",
              where,
              merges.size(),
              quote_for_message(line));
  const Span left = keep(line.substr(0, space));
  merges.emplace_back(left, keep(line.substr(space + 1)));
}

Bpe make_bpe(const BpeText& model, const std::vector<AddedToken>& added, std::string_view where) {
  const Builder builder(model, added, where);
  Vocabulary vocabulary = builder.vocabulary();
  const std::vector<Merge> merges = builder.merges(vocabulary);
  return Bpe(std::move(vocabulary), merges, model.ignore_merges, where);
}

}  // namespace qwen3
