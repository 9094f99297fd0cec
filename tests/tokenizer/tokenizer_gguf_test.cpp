// The tokenizer that GGUF holds: the same ids as the tokenizer.json it was made from, and nothing
// from arrays that do not fit each other.
#include "tokenizer/tokenizer_gguf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/expect_error.h"
#include "support/gguf_model.h"
#include "support/gguf_writer.h"
#include "support/temp_dir.h"
#include "tokenizer/fixture.h"

namespace qwen3::test {
namespace {

using Ids = std::vector<int32_t>;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kUnsupported = ErrorKind::unsupported;
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";

GgufWriter writer_of(const std::filesystem::path& directory, int64_t n_ids) {
  GgufWriter gguf;
  write_gguf_tokenizer(gguf, directory / "tokenizer.json", n_ids);
  return gguf;
}

class TokenizerGguf : public testing::Test {
 protected:
  Tokenizer load(GgufWriter gguf) const {
    return Tokenizer::load(dir_.write("m.gguf", gguf.file()));
  }
  // The tiny tokenizer with padding above its tokens.
  static GgufWriter tiny_gguf() {
    return writer_of(source_dir() / "tests/data/tiny_tokenizer", tiny().size() + 3);
  }

  void expect_same(const std::filesystem::path& directory, std::string_view golden_file) const {
    const Tokenizer whole = Tokenizer::load(directory);
    const Tokenizer rebuilt = load(writer_of(directory, whole.size() + 3));
    EXPECT_EQ(rebuilt.size(), whole.size());
    ASSERT_EQ(rebuilt.added_tokens().size(), whole.added_tokens().size());
    for (int32_t id = 0; id < whole.size(); ++id) {
      ASSERT_EQ(rebuilt.token_bytes(id), whole.token_bytes(id)) << id;
      ASSERT_EQ(rebuilt.is_special(id), whole.is_special(id)) << whole.token_bytes(id);
      ASSERT_EQ(rebuilt.is_added(id), whole.is_added(id)) << whole.token_bytes(id);
    }
    int n = 0;
    for_each_golden(golden_file, [&](const Json& line) {
      if (!line.contains("t")) return;
      const auto text = line["t"].get<std::string>();
      for (const ControlTokens mode : {ControlTokens::parse, ControlTokens::as_text}) {
        EXPECT_EQ(rebuilt.encode(text, mode), whole.encode(text, mode)) << line["t"].dump();
      }
      ++n;
    });
    EXPECT_GE(n, 500);
  }

  TempDir dir_;
};

TEST_F(TokenizerGguf, GivesTheIdsOfTheTinyFile) {
  expect_same(source_dir() / "tests/data/tiny_tokenizer", "tokenizer_tiny.jsonl");
}
TEST_F(TokenizerGguf, GivesTheIdsOfNano) {
  expect_same(source_dir() / "models/nano", "tokenizer_tiny.jsonl");
}
TEST_F(TokenizerGguf, GivesTheIdsOfTheOfficialFile) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  expect_same(official_dir(), "tokenizer_qwen3.jsonl");
}

TEST_F(TokenizerGguf, PaddingIsNoToken) {
  const int32_t n = tiny().size();
  const Tokenizer tokenizer = load(tiny_gguf());
  const std::string padding = fmt::format("[PAD{}]", n);
  EXPECT_EQ(tokenizer.encode(padding), tiny().encode(padding));
  EXPECT_EQ(tokenizer.token_to_id(padding), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(n), "");
  EXPECT_EQ(tokenizer.size(), n);
}

// é as two code points becomes one, which llama.cpp would not do.
TEST_F(TokenizerGguf, NfcIsQwens) {
  const Tokenizer tokenizer = load(tiny_gguf());
  EXPECT_EQ(tokenizer.encode("e\u0301"), tokenizer.encode("\u00e9"));
  constexpr const char* kPre = "tokenizer.ggml.pre";
  const Tokenizer plain = load(tiny_gguf().without(kPre).string(kPre, "deepseek-r1-qwen"));
  EXPECT_NE(plain.encode("e\u0301"), plain.encode("\u00e9"));
}

TEST_F(TokenizerGguf, TokensAroundAText) {
  const int32_t bos = *tiny().token_to_id("<|endoftext|>"), eos = *tiny().token_to_id("<|im_end|>");
  Ids ids = tiny().encode("hello");
  EXPECT_EQ(load(tiny_gguf()).encode_with_post_processor("hello"), ids);
  constexpr const char* kBos = "tokenizer.ggml.add_bos_token";
  const Tokenizer both = load(
      tiny_gguf().without(kBos).boolean(kBos, true).boolean("tokenizer.ggml.add_eos_token", true));
  ids.insert(ids.begin(), bos);
  ids.push_back(eos);
  EXPECT_EQ(both.encode_with_post_processor("hello"), ids);
  EXPECT_ERROR(load(tiny_gguf()
                        .boolean("tokenizer.ggml.add_eos_token", true)
                        .without("tokenizer.ggml.eos_token_id")),
               kCorrupt,
               "tokenizer.ggml.eos_token_id: expected this key");
}

TEST_F(TokenizerGguf, AWholeTokenizerJsonIsPreferred) {
  GgufWriter gguf = tiny_gguf().without(kMerges);
  gguf.string("tokenizer.huggingface.json", tiny_json());
  EXPECT_EQ(load(gguf).encode("the <think> there"), tiny().encode("the <think> there"));
  EXPECT_ERROR(load(tiny_gguf().string("tokenizer.huggingface.json", "{")),
               kCorrupt,
               "m.gguf: tokenizer.huggingface.json");
}

TEST_F(TokenizerGguf, OthersAreRefusedByName) {
  const auto changed = [](const char* key, const char* text) {
    return tiny_gguf().without(key).string(key, text);
  };
  EXPECT_ERROR(load(changed("tokenizer.ggml.model", "llama")),
               kUnsupported,
               "m.gguf: tokenizer.ggml.model: expected gpt2",
               "got \"llama\"");
  EXPECT_ERROR(load(changed("tokenizer.ggml.pre", "llama-bpe")),
               kUnsupported,
               "tokenizer.ggml.pre: expected qwen2",
               "got \"llama-bpe\"");
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", kTypes, kMerges}) {
    EXPECT_ERROR(
        load(tiny_gguf().without(key)), kCorrupt, std::string(key) + ": expected this key");
  }
  EXPECT_ERROR(load(tiny_gguf().without(kTokens)), ErrorKind::not_found, "without its tokenizer?");
}

// The tokenizer's arrays, to be written again with one thing wrong.
struct Arrays {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
};
Arrays arrays_of(const GgufFile& file) {
  Arrays arrays;
  const GgufStrings tokens = *file.strings(kTokens, 1 << 20),
                    merges = *file.strings(kMerges, 1 << 20);
  for (size_t i = 0; i < tokens.size(); ++i) arrays.tokens.emplace_back(tokens[i]);
  for (size_t i = 0; i < merges.size(); ++i) arrays.merges.emplace_back(merges[i]);
  const std::vector<int64_t> types = *file.integers(kTypes, {0, 9}, tokens.size());
  for (const int64_t type : types) arrays.types.push_back(static_cast<int32_t>(type));
  return arrays;
}

class TokenizerGgufArrays : public TokenizerGguf {
 protected:
  TokenizerGgufArrays() : good_(arrays_of(GgufFile(dir_.write("good.gguf", tiny_gguf().file())))) {}

  Tokenizer load_arrays(const Arrays& arrays) const {
    GgufWriter gguf = tiny_gguf().without(kTokens).without(kTypes).without(kMerges);
    gguf.strings(kTokens, arrays.tokens).strings(kMerges, arrays.merges);
    gguf.array(kTypes, GgufValue::i32, arrays.types);
    return load(gguf);
  }
  Arrays good_;
};

TEST_F(TokenizerGgufArrays, TokensOfEveryKind) {
  EXPECT_EQ(load_arrays(good_).size(), tiny().size());
  for (const int32_t type : {0, 2, 6, 7, -1, INT32_MAX}) {
    for (const char* text : {"<0x-1>", "<0xZZ>", "<0x>", "<0x100>", "<0x41>"}) {
      Arrays bad = good_;
      bad.tokens[300] = text;
      bad.types[300] = type;
      EXPECT_ERROR(load_arrays(bad),
                   kUnsupported,
                   "token_type[300]: \"<0x",
                   "expected the type 1, 3, 4 or 5, got");
    }
  }
  const auto n = static_cast<size_t>(tiny().size());
  Arrays twice = good_;
  twice.tokens[n - 1] = twice.tokens[n - 2];
  EXPECT_ERROR(load_arrays(twice), kCorrupt, "expected every added token once");
  Arrays empty = good_;
  empty.tokens[n - 1] = "";
  EXPECT_ERROR(load_arrays(empty), kCorrupt, "none empty");
  Arrays same = good_;
  same.tokens[300] = same.tokens[301];
  EXPECT_ERROR(load_arrays(same), kCorrupt, "m.gguf: model.vocab");
  Arrays no_byte = good_;
  no_byte.types[0] = 5;
  EXPECT_ERROR(load_arrays(no_byte), kCorrupt, "no token for the byte");
}

// Added tokens are looked for in the text as it comes, before NFC.
TEST_F(TokenizerGgufArrays, AddedTokensAreRaw) {
  const auto id = static_cast<size_t>(tiny().size());
  Arrays more = good_;
  more.tokens[id] = "e\u0301!";
  more.types[id] = 4;
  const Tokenizer tokenizer = load_arrays(more);
  EXPECT_EQ(tokenizer.encode("e\u0301!"), Ids{static_cast<int32_t>(id)});
  EXPECT_EQ(tokenizer.encode("\u00e9!"), tiny().encode("\u00e9!"));
}

TEST_F(TokenizerGgufArrays, Merges) {
  for (const char* merge : {"", " ", "ab", "a b c", "a  b", "zz\u4e2d qq"}) {
    Arrays bad = good_;
    bad.merges[7] = merge;
    EXPECT_ERROR(load_arrays(bad), kCorrupt, "m.gguf: model.merges[7]: ");
  }
  Arrays twice = good_;
  twice.merges[7] = twice.merges[8];
  EXPECT_ERROR(load_arrays(twice), kCorrupt, "m.gguf: ");
  Arrays none = good_;
  none.merges.clear();
  EXPECT_EQ(load_arrays(none).encode("the").size(), 3U) << "a file of bytes only is a tokenizer";
}

// T-G7: every array as an array of every type, of four lengths. Only integers may be token types.
TEST_F(TokenizerGgufArrays, EveryElementTypeAndLength) {
  int n_loaded = 0;
  for (const char* key : {kTokens, kTypes, kMerges}) {
    const size_t n = key == kMerges ? good_.merges.size() : good_.tokens.size();
    for (uint32_t type = 0; type <= 12; ++type) {
      for (const size_t count : {size_t{0}, n - 1, n, n + 1}) {
        GgufWriter gguf = tiny_gguf().without(key);
        std::string bytes = GgufWriter::raw(type) + GgufWriter::raw(uint64_t{count});
        constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 9, 16, 8, 8, 8};
        for (size_t i = 0; i < count; ++i) {
          std::string element(kBytes[type], '\0');
          element[0] = 1;
          bytes += element;
        }
        gguf.value(key, GgufValue::array, bytes);
        try {
          load(gguf);
          ++n_loaded;
          const bool no_merges = key == kMerges && count == 0 && type == 8;
          const bool integers = type <= 5 || type == 10 || type == 11;
          EXPECT_TRUE(no_merges || (key == kTypes && count == n && integers))
              << key << " " << type << " " << count;
        } catch (const Error& e) {
          EXPECT_TRUE(e.kind() == kCorrupt || e.kind() == kUnsupported) << e.what();
          EXPECT_NE(std::string(e.what()).find("m.gguf: "), std::string::npos) << e.what();
        }
      }
    }
  }
  EXPECT_EQ(n_loaded, 1 + 8);
}

}  // namespace
}  // namespace qwen3::test
