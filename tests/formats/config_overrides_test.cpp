#include "formats/config_overrides.h"

#include <gtest/gtest.h>

#include <string>

#include "formats/hf_config.h"
#include "formats/official_configs.h"
#include "support/expect_error.h"

namespace qwen3 {
namespace {

constexpr auto kInvalid = ErrorKind::invalid_argument;
constexpr auto kCorrupt = ErrorKind::corrupt_file;

constexpr const char* kYarn =
    R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768})";

std::string official(Spelling spelling, bool moe = false) {
  for (const OfficialModel& model : official_models()) {
    if (model.moe() == moe && model.context == 40960) return official_config(model, spelling);
  }
  return {};
}

HfConfig with(const std::string& overrides, Spelling spelling = Spelling::transformers_4) {
  return parse_hf_config(official(spelling), "config.json", overrides);
}

TEST(ConfigOverrides, YarnInEitherSpellingOnEitherSpelling) {
  for (const Spelling spelling : {Spelling::transformers_4, Spelling::transformers_5}) {
    const double theta = with("{}", spelling).rope_theta;
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      const HfConfig c = with(std::string("{\"") + key + "\":" + kYarn + "}", spelling);
      EXPECT_EQ(c.rope_scaling.type, RopeScaling::Type::yarn);
      EXPECT_EQ(c.rope_scaling.factor, 4);
      EXPECT_EQ(c.rope_scaling.original_max_position_embeddings, 32768);
      EXPECT_EQ(c.rope_theta, theta) << "what is not named stays";
      EXPECT_EQ(c.context_length(), 131072);
    }
    EXPECT_EQ(with(R"({"rope_theta":5e5})", spelling).rope_theta, 5e5);
    EXPECT_EQ(with(R"({"rope_parameters":{"rope_theta":5e5}})", spelling).rope_theta, 5e5);
    const HfConfig none = with(R"({"rope_scaling":null})", spelling);
    EXPECT_EQ(none.rope_scaling.type, RopeScaling::Type::none);
    EXPECT_EQ(none.rope_theta, theta);
  }
}

TEST(ConfigOverrides, ObjectsAreMergedKeyByKey) {
  Json config = Json::parse(official(Spelling::transformers_4));
  config["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 20480}};
  const auto laid = [&](const char* overrides) {
    return parse_hf_config(config.dump(), "config.json", overrides).rope_scaling;
  };
  EXPECT_EQ(laid(R"({"rope_scaling":{"factor":4}})").factor, 4);
  EXPECT_EQ(laid(R"({"rope_scaling":{"factor":4}})").original_max_position_embeddings, 20480);
  // The old word "type" gives way to the new one.
  EXPECT_EQ(laid(R"({"rope_scaling":{"rope_type":"linear"}})").type, RopeScaling::Type::linear);
  EXPECT_EQ(laid(R"({"rope_scaling":{"rope_type":"default","factor":null}})").type,
            RopeScaling::Type::none);
  EXPECT_EQ(laid(R"({"rope_scaling":{"beta_fast":64}})").beta_fast, 64);
}

TEST(ConfigOverrides, AreCheckedAsTheFileIs) {
  EXPECT_ERROR(with(R"({"rope_scaling":{"rope_type":"yarn","factor":0.5}})"),
               kCorrupt,
               "config.json with hf_overrides: rope_scaling.factor",
               "0.5");
  EXPECT_ERROR(with(R"({"rope_scaling":{"rope_type":"llama3","factor":4}})"),
               ErrorKind::unsupported,
               "rope_scaling.rope_type",
               "llama3");
  EXPECT_ERROR(with(R"({"max_position_embeddings":-1})"), kCorrupt, "max_position_embeddings");
  EXPECT_ERROR(with(R"({"rope_scaling":7})"), kCorrupt, "rope_scaling", "an object or null");
  EXPECT_ERROR(with(R"({"rope_scaling":{"factor":4}})"), kCorrupt, "beside a factor");
}

TEST(ConfigOverrides, WhatWouldChangeNothingIsRefused) {
  EXPECT_ERROR(with(R"({"rope_scalling":{}})"),
               kInvalid,
               "hf_overrides: rope_scalling",
               "did you mean \"rope_scaling\"?");
  EXPECT_ERROR(with(R"({"rope_scaling":{"rope_type":"yarn","facto":4,"factor":4}})"),
               kInvalid,
               "rope_scaling.facto",
               "did you mean \"rope_scaling.factor\"?");
  // Of a dense model, a key of the others.
  EXPECT_ERROR(with(R"({"num_experts_per_tok":4})"), kInvalid, "num_experts_per_tok");
  EXPECT_EQ(
      parse_hf_config(
          official(Spelling::transformers_5, true), "config.json", R"({"num_experts_per_tok":4})")
          .num_experts_per_tok,
      4);
}

TEST(ConfigOverrides, MustBeAnObjectThatSaysAKeyOnce) {
  for (const char* text : {"", "7", "[]", "{\"a\":", "{\"a\":1,\"a\":2}", "null", "\xff"}) {
    EXPECT_ERROR(parse_config_overrides(text), kInvalid, "hf_overrides");
  }
  EXPECT_ERROR(parse_config_overrides(R"({"rope_scaling":null,"rope_parameters":{}})"),
               kInvalid,
               "rope_scaling and rope_parameters are one key");
  EXPECT_ERROR(parse_config_overrides(R"({"rope_scaling":{"type":"yarn","rope_type":"yarn"}})"),
               kInvalid,
               "rope_type and type are one key");
  // The file is wrong, and is what the message names.
  EXPECT_ERROR(parse_hf_config("[]", "config.json", "{}"), kCorrupt, "config.json");
}

TEST(ConfigOverrides, AddUpWithTheirNulls) {
  Json all = Json::parse(R"({"a":1,"b":{"c":1,"d":2}})");
  add_overrides(all, Json::parse(R"({"b":{"c":null,"e":3},"f":null})"));
  EXPECT_EQ(all, Json::parse(R"({"a":1,"b":{"c":null,"d":2,"e":3},"f":null})"));
}

}  // namespace
}  // namespace qwen3
