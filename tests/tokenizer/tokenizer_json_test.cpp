// What Tokenizer::from_json and load accept, and how they refuse (T-T4, T-T5, T-T6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tokenizer/fixture.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using Ids = std::vector<int32_t>;

Json tiny_tree() { return parse_json(tiny_json(), "tiny"); }

Thrown refuse(const std::string& json) {
  return thrown_by([&] { Tokenizer::from_json(json, "t.json"); });
}

// The patch makes the file be refused with `kind` and a message that names `field`.
void expect_refused(const Json& patch, ErrorKind kind, const std::string& field) {
  const Thrown thrown = refuse(patched_tiny(patch));
  EXPECT_EQ(thrown.kind, kind) << thrown.message;
  EXPECT_THAT(thrown.message, testing::StartsWith("t.json: "));
  EXPECT_THAT(thrown.message, HasSubstr(field));
  EXPECT_EQ(thrown.message.find('\n'), std::string::npos) << thrown.message;
}

TEST(TokenizerJson, UnsupportedComponentsAreNamed) {
  const auto unsupported = [](const Json& patch, const std::string& field) {
    expect_refused(patch, ErrorKind::unsupported, field);
  };
  unsupported({{"version", "2.0"}}, "version");
  unsupported({{"model", {{"type", "Unigram"}}}}, "model.type");
  unsupported({{"model", {{"dropout", 0.1}}}}, "model.dropout");
  unsupported({{"model", {{"byte_fallback", true}}}}, "model.byte_fallback");
  unsupported({{"model", {{"continuing_subword_prefix", "##"}}}}, "continuing_subword_prefix");
  unsupported({{"model", {{"end_of_word_suffix", "</w>"}}}}, "end_of_word_suffix");
  unsupported({{"normalizer", {{"type", "NFKC"}}}}, "NFKC");
  unsupported({{"decoder", {{"type", "WordPiece"}}}}, "WordPiece");
  unsupported({{"pre_tokenizer", {{"type", "Whitespace"}}}}, "Whitespace");
  unsupported({{"pre_tokenizer", nullptr}}, "pre_tokenizer");
  unsupported({{"post_processor", {{"type", "BertProcessing"}}}}, "BertProcessing");
}

// T-T6: only known expressions, and the message has the text of the other one.
TEST(TokenizerJson, UnknownExpressionsAreRefusedWithTheirText) {
  for (const std::string regex : {R"(\p{N}{1,3}|(a+)+$)", R"(\s+)", ""}) {
    Json pre = tiny_tree()["pre_tokenizer"];
    pre["pretokenizers"][0]["pattern"]["Regex"] = regex;
    const Thrown thrown = refuse(patched_tiny({{"pre_tokenizer", pre}}));
    EXPECT_EQ(thrown.kind, ErrorKind::unsupported);
    EXPECT_THAT(thrown.message, HasSubstr(Json(regex).dump()));
  }
  Json pre = tiny_tree()["pre_tokenizer"];
  pre["pretokenizers"][0]["behavior"] = "Removed";
  expect_refused({{"pre_tokenizer", pre}}, ErrorKind::unsupported, "behavior");
  pre = tiny_tree()["pre_tokenizer"];
  pre["pretokenizers"][1]["add_prefix_space"] = true;
  expect_refused({{"pre_tokenizer", pre}}, ErrorKind::unsupported, "add_prefix_space");
}

TEST(TokenizerJson, WrongTypesAreNamed) {
  const auto corrupt = [](const Json& patch, const std::string& field) {
    expect_refused(patch, ErrorKind::corrupt_file, field);
  };
  corrupt({{"model", {{"vocab", Json::array({1, 2})}}}}, "model.vocab");
  corrupt({{"model", nullptr}}, "model.vocab");
  corrupt({{"model", {{"merges", "a b"}}}}, "model.merges");
  corrupt({{"model", {{"ignore_merges", "yes"}}}}, "model.ignore_merges");
  corrupt({{"model", {{"type", 7}}}}, "model.type");
  corrupt({{"added_tokens", {{"a", 1}}}}, "added_tokens");
  corrupt({{"added_tokens", Json::array({{{"id", 900}}})}}, "added_tokens[0].content");
  corrupt({{"added_tokens", Json::array({{{"content", "x"}}})}}, "added_tokens[0].id");
  corrupt({{"added_tokens", Json::array({{{"id", 900}, {"content", "x"}, {"special", 1}}})}},
          "added_tokens[0].special");
}

TEST(TokenizerJson, NotJson) {
  for (const std::string text :
       {"", "{", "[1,2", "nul", "{\"a\":1,\"a\":2}", "\xFF", "{\"model\":{\"vocab\":{\"a\":}}}"}) {
    const Thrown thrown = refuse(text);
    EXPECT_EQ(thrown.kind, ErrorKind::corrupt_file) << text;
    EXPECT_THAT(thrown.message, testing::StartsWith("t.json: "));
  }
  for (const std::string text : {"[]", "{}", "5", "null", "\"model\""}) {
    EXPECT_EQ(refuse(text).kind, ErrorKind::corrupt_file) << text;
  }
  EXPECT_EQ(refuse(std::string(100000, '[')).kind, ErrorKind::corrupt_file);
}

// Resident memory of this process in bytes.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// T-T5: the id decides about memory only within bounds.
TEST(TokenizerJson, WhatTheTreeLeavesOutIsStillHadOnce) {
  for (const char* again : {"{\"a\": 0}", "null"}) {
    const std::string json =
        std::string(R"({"model": {"vocab": {"a": 0}, "vocab": )") + again + "}}";
    EXPECT_THAT(refuse(json).message, HasSubstr("duplicate key \"vocab\"")) << json;
  }
  EXPECT_THAT(refuse(R"({"model": {"merges": [], "merges": []}})").message,
              HasSubstr("duplicate key \"merges\""));
}

TEST(TokenizerJson, NothingMayFollowANul) {
  EXPECT_THAT(refuse(tiny_json() + std::string("\0tail", 5)).message, HasSubstr("NUL"));
}

TEST(TokenizerJson, BadIdsAreRefusedWithoutLargeAllocations) {
  const int64_t before = resident_bytes();
  for (const std::string id : {"-1",
                               "2147483648",
                               "2147483647",
                               "9007199254740992",
                               "1e18",
                               "1.5",
                               "\"7\"",
                               "18446744073709551615",
                               "99999999999999999999999",
                               "null",
                               "true",
                               "[1]",
                               "{}",
                               "16777216"}) {
    std::string json = patched_tiny({{"model", {{"vocab", {{"zzzzq", 77777}}}}}});
    const size_t at = json.find("77777");
    ASSERT_NE(at, std::string::npos);
    json.replace(at, 5, id);
    const Thrown in_vocab = refuse(json);
    EXPECT_EQ(in_vocab.kind, ErrorKind::corrupt_file) << id;
    EXPECT_THAT(in_vocab.message, HasSubstr("zzzzq")) << id;

    json = patched_tiny({{"added_tokens", Json::array({{{"id", 77777}, {"content", "zzzzq"}}})}});
    json.replace(json.find("77777"), 5, id);
    const Thrown in_added = refuse(json);
    EXPECT_EQ(in_added.kind, ErrorKind::corrupt_file) << id;
    EXPECT_THAT(in_added.message, HasSubstr("added_tokens")) << id;
  }
  EXPECT_LT(resident_bytes() - before, int64_t{16} << 20);
}

TEST(TokenizerJson, VocabularyMustBeOneToOneAndHaveAllBytes) {
  const int32_t a = *tiny().token_to_id("a");
  expect_refused({{"model", {{"vocab", {{"zzzzq", a}}}}}}, ErrorKind::corrupt_file, "model.vocab");
  expect_refused({{"model", {{"vocab", {{"a", nullptr}}}}}}, ErrorKind::corrupt_file, "0x61");
  expect_refused({{"model", {{"vocab", {{"", 790}}}}}}, ErrorKind::corrupt_file, "empty string");
  std::string json = tiny_json();
  const size_t at = json.find("\"!\":0,");
  ASSERT_NE(at, std::string::npos);
  json.insert(at, "\"!\":799,");
  EXPECT_THAT(refuse(json).message, HasSubstr("model.vocab[\"!\"]"));
}

// tokenizers 0.23.3: such a token has its id both ways, and no text is ever encoded to it. A raw
// control character is no JSON, there and here.
TEST(TokenizerJson, ControlCharactersMayStandInTheVocabularyAsEscapes) {
  const int32_t next = tiny().size();
  const std::vector<std::string> keys = {"\x01", std::string("a\0b", 3), "\n", "\x7f\xC2\x85"};
  Json added = Json::object();
  for (size_t i = 0; i < keys.size(); ++i) added[keys[i]] = next + static_cast<int32_t>(i);
  const Tokenizer t = Tokenizer::from_json(patched_tiny({{"model", {{"vocab", added}}}}), "t");
  for (size_t i = 0; i < keys.size(); ++i) {
    const int32_t id = next + static_cast<int32_t>(i);
    EXPECT_EQ(t.token_to_id(keys[i]), id);
    EXPECT_EQ(t.decode(std::vector<int32_t>{id}), keys[i]);
    EXPECT_EQ(t.encode(keys[i]), tiny().encode(keys[i])) << "of the bytes' own tokens";
  }
  std::string raw = tiny_json();
  raw.replace(raw.find("\"!\":0"), 5, "\"\x01\":0");
  EXPECT_EQ(refuse(raw).kind, ErrorKind::corrupt_file);
}

TEST(TokenizerJson, MergesMustFitTheVocabulary) {
  const auto with = [](const Json& merges, const std::string& what) {
    expect_refused({{"model", {{"merges", merges}}}}, ErrorKind::corrupt_file, what);
  };
  with(Json::array({Json::array({"a", "nosuch"})}), "model.merges[0]: \"nosuch\"");
  with(Json::array({Json::array({"nosuch", "a"})}), "model.merges[0]: \"nosuch\"");
  with(Json::array({Json::array({"!", "a"})}), "model.merges[0]: \"!a\"");
  with(Json::array({Json::array({"i", "n"}), Json::array({"i", "n"})}), "model.merges[1]");
  with(Json::array({Json::array({"i"})}), "model.merges[0]");
  with(Json::array({Json::array({"i", "n", "g"})}), "model.merges[0]");
  with(Json::array({Json::array({"i", 5})}), "model.merges[0]");
  with(Json::array({Json::array({"i", Json::array({"n"})})}), "model.merges[0]");
  with(Json::array({"i  n"}), "model.merges[0]");
  with(Json::array({"in"}), "model.merges[0]");
  with(Json::array({5}), "model.merges[0]");
  with(Json::array({Json::object()}), "model.merges[0]");
}

// T-T4: an empty added token would match everywhere.
TEST(TokenizerJson, AddedTokensMustBeSound) {
  const auto with = [](const Json& tokens, const std::string& what) {
    expect_refused({{"added_tokens", tokens}}, ErrorKind::corrupt_file, what);
  };
  const int32_t a = *tiny().token_to_id("a");
  with(Json::array({{{"id", 790}, {"content", ""}}}), "added_tokens[0].content");
  with(Json::array({{{"id", 790}, {"content", "x1"}}, {{"id", 791}, {"content", "x1"}}}),
       "added_tokens[1]");
  with(Json::array({{{"id", 790}, {"content", "x1"}}, {{"id", 790}, {"content", "x2"}}}), "\"x2\"");
  with(Json::array({{{"id", a}, {"content", "x1"}}}), "\"x1\"");
  with(Json::array({{{"id", a + 1}, {"content", "a"}}}), "\"a\"");
  const Tokenizer same = Tokenizer::from_json(
      patched_tiny({{"added_tokens", Json::array({{{"id", a}, {"content", "a"}}})}}), "t");
  EXPECT_TRUE(same.is_added(a));
  EXPECT_EQ(same.encode("a a"), (Ids{a, *same.token_to_id(" "), a}));
  const std::string big(size_t{5} << 20, 'x');
  expect_refused({{"added_tokens", Json::array({{{"id", 790}, {"content", big}}})}},
                 ErrorKind::unsupported,
                 "added_tokens");
}

// Qwen3-Embedding: the post-processor appends <|endoftext|>.
TEST(TokenizerJson, TemplatePostProcessor) {
  const int32_t end = *tiny().token_to_id("<|endoftext|>"),
                start = *tiny().token_to_id("<|im_start|>");
  const Json token = {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const auto processor = [&](const Json& single, const Json& ids) {
    const Json special = {
        {"<|endoftext|>", {{"id", "<|endoftext|>"}, {"ids", ids}, {"tokens", Json::array()}}}};
    const Json step = {{"type", "TemplateProcessing"},
                       {"single", single},
                       {"pair", Json::array()},
                       {"special_tokens", special}};
    const Json sequence = {{"type", "Sequence"},
                           {"processors", Json::array({{{"type", "ByteLevel"}}, step})}};
    return patched_tiny({{"post_processor", sequence}});
  };
  const Tokenizer t =
      Tokenizer::from_json(processor(Json::array({text, token}), Json::array({end})), "t");
  EXPECT_EQ(t.encode_with_post_processor("a"), (Ids{*t.token_to_id("a"), end}));
  EXPECT_EQ(t.encode_with_post_processor(""), Ids{end});
  EXPECT_EQ(t.encode("a"), Ids{*t.token_to_id("a")});
  const Tokenizer both =
      Tokenizer::from_json(processor(Json::array({token, text}), Json::array({start, end})), "t");
  EXPECT_EQ(both.encode_with_post_processor("a"), (Ids{start, end, *t.token_to_id("a")}));
  EXPECT_EQ(refuse(processor(Json::array({text, text}), Json::array())).kind,
            ErrorKind::unsupported);
  EXPECT_EQ(refuse(processor(Json::array({token}), Json::array({end}))).kind,
            ErrorKind::unsupported);
  EXPECT_THAT(refuse(processor(Json::array({text, token}), Json::array({99999}))).message,
              HasSubstr("99999"));
  EXPECT_EQ(refuse(processor(Json::array({text, token}), Json::array({-1}))).kind,
            ErrorKind::corrupt_file);
}

class TokenizerDirectory : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("qwen3_tokenizer_test_" + std::to_string(getpid()) + "_" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }

  std::filesystem::path directory_;
};

TEST_F(TokenizerDirectory, VocabAndMergesGiveTheSameIds) {
  const Json tree = tiny_tree();
  std::string merges = "#version: 0.2\n";
  for (const Json& m : tree["model"]["merges"]) {
    merges += m[0].get<std::string>() + " " + m[1].get<std::string>() + "\n";
  }
  Json decoder = Json::object();
  for (const Json& token : tree["added_tokens"])
    decoder[std::to_string(token["id"].get<int>())] = token;
  write("vocab.json", dump_json(tree["model"]["vocab"]));
  write("merges.txt", merges);
  write("tokenizer_config.json", dump_json({{"added_tokens_decoder", decoder}}));
  const Tokenizer t = Tokenizer::load(directory_);
  EXPECT_EQ(t.size(), tiny().size());
  for (const std::string text :
       {"Hello, it's e\u0301 <|im_start|> 12", "aaaa<think>\n\n中文", ""}) {
    EXPECT_EQ(t.encode(text), tiny().encode(text));
  }
  EXPECT_TRUE(t.is_special(*t.token_to_id("<|im_end|>")));
}

TEST_F(TokenizerDirectory, ConfigAddsMissingTokensOnly) {
  write("tokenizer.json", tiny_json());
  const std::string next = std::to_string(tiny().size());
  write("tokenizer_config.json",
        R"({"added_tokens_decoder":{"0":{"content":"taken"},")" + next +
            R"(":{"content":"<new>","special":true},"900":{"content":"<think>"}}})");
  const Tokenizer t = Tokenizer::load(directory_);
  EXPECT_EQ(t.token_to_id("<new>"), tiny().size());
  EXPECT_TRUE(t.is_special(tiny().size()));
  EXPECT_EQ(t.token_to_id("<think>"), tiny().token_to_id("<think>"));
  EXPECT_EQ(t.token_to_id("taken"), std::nullopt);
}

TEST_F(TokenizerDirectory, MissingAndBrokenFilesAreNamed) {
  Thrown thrown = thrown_by([&] { Tokenizer::load(directory_); });
  EXPECT_EQ(thrown.kind, ErrorKind::not_found);
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json"));
  write("vocab.json", "[]");
  write("merges.txt", "a b\n");
  thrown = thrown_by([&] { Tokenizer::load(directory_); });
  EXPECT_EQ(thrown.kind, ErrorKind::corrupt_file);
  EXPECT_THAT(thrown.message, HasSubstr("vocab.json"));
  write("tokenizer.json", "{");
  thrown = thrown_by([&] { Tokenizer::load(directory_); });
  EXPECT_EQ(thrown.kind, ErrorKind::corrupt_file);
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json"));
  write("tokenizer.json", tiny_json());
  std::filesystem::create_symlink("tokenizer_config.json", directory_ / "tokenizer_config.json");
  thrown = thrown_by([&] { Tokenizer::load(directory_); });
  EXPECT_EQ(thrown.kind, ErrorKind::not_found) << "there, but not to be read: not passed over";
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer_config.json: cannot open"));
  std::filesystem::remove(directory_ / "tokenizer_config.json");
  write("tokenizer_config.json", R"({"added_tokens_decoder":{"-5":{"content":"x"}}})");
  thrown = thrown_by([&] { Tokenizer::load(directory_); });
  EXPECT_THAT(thrown.message, HasSubstr("added_tokens_decoder"));
}

}  // namespace
}  // namespace qwen3::test
