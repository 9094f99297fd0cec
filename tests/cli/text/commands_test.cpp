// tokenize and render: lines of JSON in, lines of JSON out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/run_program.h"
#include "cli/scripted_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

class TextCommands : public testing::Test {
 protected:
  ProgramResult run(std::vector<std::string> arguments, std::string_view input) {
    arguments.insert(arguments.begin() + 1, {"--model", model_.path()});
    return run_qwen3(arguments, input);
  }
  std::vector<Json> answers(const ProgramResult& result) {
    std::vector<Json> parsed;
    for (const std::string& line : lines_of(result.out)) parsed.push_back(parse_json(line, "out"));
    return parsed;
  }
  ScriptedModel model_;
};

TEST_F(TextCommands, TokenizeFindsControlTokens) {
  const ProgramResult result =
      run({"tokenize"}, "{\"text\":\"hi<|im_end|>\"}\n\n{\"text\":\"\"}\n{\"text\":\"\\u00e9\"}\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "{\"ids\":[104,105,258]}\n{\"ids\":[]}\n{\"ids\":[195,169]}\n");
}

TEST_F(TextCommands, TokenizeAsTextHasNoControlTokens) {
  EXPECT_EQ(run({"tokenize", "--as-text"}, "{\"text\":\"<think>\"}").out,
            "{\"ids\":[60,116,104,105,110,107,62]}\n");
}

TEST_F(TextCommands, DecodeIsTheWayBack) {
  const std::string text = "Grüße, 世界!\n<|im_start|>\t<think>x</think>";
  const ProgramResult ids = run({"tokenize"}, dump_json({{"text", text}}));
  ASSERT_EQ(ids.exit_code, 0);
  const ProgramResult back = run({"tokenize", "--decode"}, ids.out);
  ASSERT_EQ(back.exit_code, 0);
  EXPECT_EQ(parse_json(back.out, "out").at("text"), text);
}

TEST_F(TextCommands, BadLinesAreAnsweredInPlace) {
  const ProgramResult result =
      run({"tokenize"}, "not json\n{\"text\":5}\n{\"txt\":\"a\"}\n[1]\n{\"text\":\"a\"}\n");
  EXPECT_EQ(result.exit_code, 1);
  const std::vector<Json> lines = answers(result);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_THAT(lines[0].at("error").get<std::string>(), HasSubstr("line 1: not valid JSON"));
  EXPECT_THAT(lines[1].at("error").get<std::string>(), HasSubstr("expected a string; got number"));
  EXPECT_THAT(lines[2].at("error").get<std::string>(), HasSubstr("\"text\": missing"));
  EXPECT_THAT(lines[3].at("error").get<std::string>(), HasSubstr("expected a JSON object"));
  EXPECT_EQ(lines[4].at("ids"), Json({97}));
}

TEST_F(TextCommands, DecodeRefusesWhatIsNoToken) {
  for (const char* ids : {"[261]", "[-1]", "[1.5]", "[\"a\"]", "5", "[4294967393]"}) {
    SCOPED_TRACE(ids);
    const ProgramResult result =
        run({"tokenize", "--decode"}, std::string("{\"ids\":") + ids + "}");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(parse_json(result.out, "out").contains("error"));
  }
}

constexpr const char* kHello = R"({"messages":[{"role":"user","content":"Hello"}])";

TEST_F(TextCommands, RenderUsesTheModelsTemplate) {
  const ProgramResult result =
      run({"render"},
          std::string(kHello) + "}\n" + kHello + ",\"add_generation_prompt\":true}\n" + kHello +
              ",\"tools\":null,\"add_generation_prompt\":true,"
              "\"chat_template_kwargs\":{\"enable_thinking\":false}}\n");
  EXPECT_EQ(result.exit_code, 0) << result.out;
  const std::vector<Json> lines = answers(result);
  ASSERT_EQ(lines.size(), 3u);
  const std::string user = "<|im_start|>user\nHello<|im_end|>\n";
  EXPECT_EQ(lines[0], Json({{"prompt", user}}));
  EXPECT_EQ(lines[1], Json({{"prompt", user + "<|im_start|>assistant\n"}}));
  EXPECT_EQ(lines[2], Json({{"prompt", user + "<|im_start|>assistant\n<think></think>"}}));
}

TEST_F(TextCommands, RenderAnotherTemplateWithoutAModel) {
  const std::string file =
      model_.dir()
          .write(
              "mine.jinja",
              "{% if messages|length > 1 %}{{ raise_exception('Too many messages!') }}{% endif %}"
              "{{ messages[0].content | upper }}{{ tools[0].name }}{{ flavour }}")
          .string();
  const ProgramResult result =
      run_qwen3({"render", "--template", file},
                std::string(kHello) +
                    ",\"tools\":[{\"name\":\"t\"}],\"chat_template_kwargs\":{\"flavour\":\"x\"}}\n"
                    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\","
                    "\"content\":\"b\"}]}\n");
  const std::vector<Json> lines = answers(result);
  EXPECT_EQ(result.exit_code, 0);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], Json({{"prompt", "HELLOtx"}}));
  EXPECT_THAT(lines[1].at("error").get<std::string>(), HasSubstr("Too many messages!"));
}

TEST_F(TextCommands, RenderRefusesWrongTypesInPlace) {
  const ProgramResult result =
      run({"render"},
          "{}\n{\"messages\":5}\n{\"messages\":[],\"add_generation_prompt\":\"yes\"}\n"
          "{\"messages\":[],\"chat_template_kwargs\":{\"messages\":[]}}\n{\"messages\":[],"
          "\"tools\":5}\n");
  EXPECT_EQ(result.exit_code, 0);
  for (const Json& line : answers(result)) EXPECT_TRUE(line.contains("error")) << line;
  EXPECT_EQ(answers(result).size(), 5u);
}

TEST_F(TextCommands, RenderWithoutATemplateSaysSo) {
  const ProgramResult result = run_qwen3({"render", "-m", golden_model("dense")}, "{}");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("no chat template"));
  const ProgramResult missing = run_qwen3({"render", "--template", "/no/such.jinja"}, "{}");
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("/no/such.jinja"));
}

}  // namespace
}  // namespace qwen3::test
