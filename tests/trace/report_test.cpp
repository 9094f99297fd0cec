// The report: one page, self-contained, whatever the text of tokens and models is.
#include "trace/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Report : public ::testing::Test {
 protected:
  Report() {
    input_.model_name = "</script><script>alert(1)</script>";
    shape_.num_hidden_layers = 1;
    shape_.layer_is_sparse = {true};
    input_.shape = &shape_;
    input_.subtitle = "<img src=x onerror=alert(2)> /*SCRIPT*/ & more";
    input_.tokens = {{5, "<!-- \xff</script>"}, {6, "/*DATA*/\xe2\x80\xa8"}};
  }

  // The JSON text that the page carries.
  static std::string data_of(const std::string& page) {
    const std::string begin_mark = "<script type=\"application/json\" id=\"data\">";
    const size_t begin = page.find(begin_mark) + begin_mark.size();
    return page.substr(begin, page.find("</script>", begin) - begin);
  }

  ModelShape shape_;
  ReportInput input_;
};

TEST_F(Report, TextStaysData) {
  const std::string page = html_report(input_);
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  size_t n_scripts = 0;
  for (size_t at = page.find("<script"); at != page.npos; at = page.find("<script", at + 1)) {
    ++n_scripts;
  }
  EXPECT_EQ(n_scripts, 2u);
  const Json data = parse_json(data_of(page), "report");
  EXPECT_EQ(data["model"]["name"], input_.model_name);
  EXPECT_EQ(data["subtitle"], input_.subtitle);
  EXPECT_EQ(data["tokens"][0][1], "<!-- \xef\xbf\xbd</script>");
  EXPECT_EQ(data["tokens"][1][1], "/*DATA*/\xe2\x80\xa8");
}

// What kept the page from being wider than a phone, and its bars in the middle of their rows.
TEST_F(Report, FitsOnAPhone) {
  const std::string page = html_report(input_);
  EXPECT_THAT(page,
              HasSubstr(".beside > .readout { flex: 1 1 20rem; min-width: 0; max-width: 100%; }"));
  EXPECT_THAT(page, HasSubstr("td.middle { vertical-align: middle; }"));
  EXPECT_THAT(page, HasSubstr("name=\"viewport\""));
}

TEST_F(Report, AsksForNothingElse) {
  const std::string page = html_report(input_);
  for (const char* word : {"http:", "https:", "src=\"", "@import", "url(", "fetch(", "innerHTML"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST_F(Report, MarksWhatWasGenerated) {
  EXPECT_EQ(parse_json(data_of(html_report(input_)), "report")["n_prompt"], 2);
  input_.n_prompt = 1;
  EXPECT_EQ(parse_json(data_of(html_report(input_)), "report")["n_prompt"], 1);
}

TEST_F(Report, CarriesRoutingCompactly) {
  const std::vector<LayerRouting> routing{{.layer = 0,
                                           .n_tokens = 2,
                                           .top_k = 1,
                                           .n_experts = 300,
                                           .router_logits = std::vector<float>(600),
                                           .weights = {1, .5f},
                                           .experts = {258, 3}}};
  input_.routing = &routing;
  const Json data = parse_json(data_of(html_report(input_)), "report");
  EXPECT_EQ(data["routing"][0]["experts"], "AgEDAA==");  // 2 1 3 0
  EXPECT_EQ(data["routing"][0]["weights"], "/4A=");      // 255 128
}

// Every tensor that a model can show has its place in the page's diagram.
TEST_F(Report, KnowsEveryTap) {
  const std::string page = html_report(input_);
  for (const bool rope_first : {false, true}) {
    shape_.num_hidden_layers = 2;
    shape_.layer_is_sparse = {true, false};
    shape_.num_experts = 1;
    shape_.qk_norm_after_rope = rope_first;
    for (const std::string& name : all_tap_names(shape_)) {
      const TapName tap = parse_tap_name(name);
      if (tap.expert >= 0) continue;  // found by their beginning
      std::string part(tap.part);
      for (const char* of_norms : {"q_norm", "k_norm", "q_rope", "k_rope"}) {
        if (part == std::string("self_attn.") + of_norms) part = of_norms;
      }
      EXPECT_THAT(page, HasSubstr('"' + part + '"')) << name;
    }
  }
}

TEST_F(Report, SaysHowManyTensorsOfExpertsItLeavesOut) {
  TapRecord record;
  record.name = "layers.0.mlp.experts.1.act";
  std::vector<TapRecord> taps(2000, record);
  input_.taps = &taps;
  const auto left_out = [&] {
    const Json data = parse_json(data_of(html_report(input_)), "report");
    return std::pair(data["taps"].size(), data["expert_taps_left_out"].get<int64_t>());
  };
  EXPECT_EQ(left_out(), std::pair(size_t{2000}, int64_t{0}));
  taps.push_back(record);
  record.name = "norm";
  taps.push_back(record);
  EXPECT_EQ(left_out(), std::pair(size_t{1}, int64_t{2001}));
}

// The large case: 1,000 tokens, 48 layers of 128 experts, eight chosen.
TEST_F(Report, StaysUsableWhenLarge) {
  std::vector<LayerRouting> routing;
  for (int64_t layer = 0; layer < 48; ++layer) {
    LayerRouting one{.layer = layer,
                     .n_tokens = 1000,
                     .top_k = 8,
                     .n_experts = 128,
                     .router_logits = std::vector<float>(128000),
                     .weights = std::vector<float>(8000, .125f),
                     .experts = {}};
    for (int32_t i = 0; i < 8000; ++i) one.experts.push_back((i * 37 + i / 8) % 128);
    routing.push_back(std::move(one));
  }
  input_.routing = &routing;
  input_.tokens.assign(1000, {7, " word"});
  EXPECT_LE(html_report(input_).size(), 3'000'000u);
}

}  // namespace
}  // namespace qwen3
