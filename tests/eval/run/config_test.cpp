#include "eval/run/config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "eval/run/yaml_values.h"
#include "support/expect_error.h"

namespace qwen3::eval {
namespace {

// Keys and values of the shipped official config.
constexpr const char* kOfficial = R"(# comment
input_file: "data/arc_agi_1.jsonl"
output_file: "output/ARCAGI.jsonl"
n_samples: 1
max_workers: 128
base_url: 'http://127.0.0.1:8030/v1'
model_name: 'Qwen/Qwen3-235B-A22B-Instruct-2507'
top_p: 0.8
temperature: 0.7
top_k: 20
max_tokens: 32768
presence_penalty: 1.5
eval_input_path: output/ARCAGI.jsonl
details_path: output/ARCAGI_details.jsonl
task_name: arc_agi_1
)";

TEST(EvalConfig, ReadsTheOfficialFile) {
  const EvalConfig config = parse_eval_config(kOfficial, "arc.yaml");
  EXPECT_EQ(config.input_file, "data/arc_agi_1.jsonl");
  EXPECT_EQ(config.output_file, "output/ARCAGI.jsonl");
  EXPECT_EQ(config.n_samples, 1);
  EXPECT_EQ(config.base_urls, std::vector<std::string>{"http://127.0.0.1:8030/v1"});
  EXPECT_EQ(config.model_name, "Qwen/Qwen3-235B-A22B-Instruct-2507");
  EXPECT_EQ(config.sampling["top_p"], 0.8);
  EXPECT_EQ(config.sampling["temperature"], 0.7);
  EXPECT_EQ(config.sampling["top_k"], 20);
  EXPECT_EQ(config.sampling["max_tokens"], 32768);
  EXPECT_EQ(config.sampling["presence_penalty"], 1.5);
  EXPECT_EQ(config.task_name, "arc_agi_1");
  EXPECT_EQ(config.details_path, "output/ARCAGI_details.jsonl");
  EXPECT_EQ(config.eval_input_path, "output/ARCAGI.jsonl");
  EXPECT_TRUE(config.unknown_keys.empty());
}

TEST(EvalConfig, HasTheOfficialDefaults) {
  const EvalConfig config = parse_eval_config("input_file: a\noutput_file: b\n", "c.yaml");
  EXPECT_EQ(config.n_samples, 1);
  EXPECT_EQ(config.max_workers, 128);
  EXPECT_EQ(config.base_urls, std::vector<std::string>{"http://10.77.249.36:8030/v1"});
  EXPECT_EQ(config.model_name, "Qwen/QwQ-32B");
  EXPECT_EQ(config.sampling["top_p"], 0.7);
  EXPECT_EQ(config.sampling["temperature"], 0.8);
  EXPECT_EQ(config.sampling["top_k"], 20);
  EXPECT_EQ(config.sampling["max_tokens"], 32768);
  EXPECT_EQ(config.sampling["presence_penalty"], 1.0);
}

TEST(EvalConfig, ReadsOurKeys) {
  const EvalConfig config = parse_eval_config(R"(
base_urls: [http://a/v1, "http://b/v1"]
seed: 7
min_p: 0.05
stop: ["\n\n", END]
thinking: off
chat_template_kwargs: {flag: yes, name: "yes"}
extra_body: {top_logprobs: 2, list: [1, 2.5, null]}
system: Be brief.
attempts: 3
timeout: 1:30
server_wait: 0
)",
                                              "c.yaml");
  EXPECT_EQ(config.base_urls, (std::vector<std::string>{"http://a/v1", "http://b/v1"}));
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.sampling["min_p"], 0.05);
  EXPECT_EQ(config.stop, (std::vector<std::string>{"\n\n", "END"}));
  EXPECT_EQ(config.thinking, false);
  EXPECT_EQ(dump_json(config.chat_template_kwargs),
            R"({"flag":true,"name":"yes","enable_thinking":false})");
  EXPECT_EQ(dump_json(config.extra_body), R"({"top_logprobs":2,"list":[1,2.5,null]})");
  EXPECT_EQ(config.system, "Be brief.");
  EXPECT_EQ(config.attempts, 3);
  EXPECT_EQ(config.timeout_seconds, 90);  // YAML 1.1 counts in sixties
}

TEST(EvalConfig, ReadsHowChoicesAreScored) {
  EvalConfig config = parse_eval_config("input_file: a\n", "c.yaml");
  EXPECT_EQ(config.choose_by, ChooseBy::text);
  EXPECT_FALSE(config.scores_choices());
  config = parse_eval_config("choose_by: loglikelihood\n", "c.yaml");
  EXPECT_EQ(config.choose_by, ChooseBy::loglikelihood);
  EXPECT_EQ(config.choose_prompt, "{prompt}");
  EXPECT_EQ(config.choose_delimiter, " ");
  config = parse_eval_config(
      "choose_by: loglikelihood_per_byte\nchoose_prompt: \"Q: {prompt}\\nA:\"\n"
      "choose_delimiter: \"\"\nn_samples: 1\ntask_name: multiple_choice\n",
      "c.yaml");
  EXPECT_EQ(config.choose_by, ChooseBy::loglikelihood_per_byte);
  EXPECT_EQ(config.choose_prompt, "Q: {prompt}\nA:");
  EXPECT_EQ(config.choose_delimiter, "");
  for (const char* by : {"text", "loglikelihood", "loglikelihood_per_character"}) {
    config = parse_eval_config(std::string("choose_by: ") + by + "\n", "c.yaml");
    EXPECT_EQ(choose_by_name(config.choose_by), by);
  }
}

void expect_refused(const std::string& text, std::initializer_list<std::string> parts) {
  expect_error(
      [&] { parse_eval_config(text, "c.yaml"); }, ErrorKind::corrupt_file, parts, text.c_str());
}

TEST(EvalConfig, NamesFileLineKeyAndWhatIsWrong) {
  expect_refused("a: 1\ntop_p: high\n", {"c.yaml: line 2: top_p", "number", "\"high\""});
  expect_refused("top_p: \"0.8\"\n", {"line 1: top_p", "number", "without quotes"});
  expect_refused("temperature: 1e-3\n", {"line 1", "text in YAML 1.1", "1.0e-3"});
  expect_refused("\n\nn_samples: 1.5\n", {"line 3: n_samples", "integer"});
  expect_refused("n_samples: 0\n", {"n_samples", "1 to"});
  expect_refused("n_samples: yes\n", {"n_samples", "true"});
  expect_refused("max_tokens:\n", {"max_tokens", "nothing"});
  expect_refused("top_p: .nan\n", {"finite"});
  expect_refused("input_file: [a]\n", {"input_file", "text"});
  expect_refused("base_url: []\n", {"base_url"});
  expect_refused("thinking: maybe\n", {"thinking", "true or false"});
  expect_refused("extra_body: 3\n", {"extra_body", "map"});
  expect_refused("top_k: 1\ntop_k: 2\n", {"line 2", "twice"});
  expect_refused("a: [1, 2\n", {"c.yaml: line", "YAML"});
  expect_refused("- a\n- b\n", {"map"});
  expect_refused("", {"map"});
  expect_refused("a: 1\n---\nb: 2\n", {"one YAML document"});
  expect_refused("a: \xff\n", {"UTF-8"});
  expect_refused("a: !!python/object:os.system x\n", {"tag"});
  expect_refused("a: &x [*x]\n", {"nested"});
  expect_refused("base_url: a\nbase_urls: b\n", {"both"});
  expect_refused("retry_base: 5\nretry_max: 1\n", {"retry_base"});
  expect_refused("thinking: on\nchat_template_kwargs: {enable_thinking: false}\n", {"differ"});
  expect_refused("a: 1\nchoose_by: logits\n", {"c.yaml: line 2: choose_by", "per_byte", "logits"});
  expect_refused("choose_by: 1\n", {"line 1: choose_by", "got 1"});
  const std::string choose = "choose_by: loglikelihood\n";
  expect_refused(choose + "choose_prompt: p\n", {"line 2: choose_prompt", "{prompt}"});
  expect_refused(choose + "choose_prompt: '{prompt}{prompt}'\n", {"line 2: choose_prompt", "once"});
  expect_refused(choose + "choose_delimiter: 3\n", {"line 2: choose_delimiter", "text"});
  expect_refused("choose_delimiter: ''\n", {"line 1: choose_delimiter", "choose_by"});
  expect_refused("choose_by: text\nchoose_prompt: '{prompt}'\n", {"line 2: choose_prompt"});
  expect_refused(choose + "system: Be brief.\n", {"line 2: system", "choose_prompt"});
  expect_refused("thinking: off\n" + choose, {"line 1: thinking", "renders no chat"});
  expect_refused(choose + "chat_template_kwargs: {a: 1}\n", {"line 2: chat_template_kwargs"});
  expect_refused(choose + "n_samples: 2\n", {"line 2: n_samples", "expected 1", "got 2"});
  expect_refused(choose + "task_name: exact_match\n", {"line 2: task_name", "multiple_choice"});
  // A thousand million laughs.
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int k = 0; k < 10; ++k) laughs += fmt::format("{}*a{}", k ? "," : "", i - 1);
    laughs += "]\n";
  }
  expect_refused(laughs, {"aliases"});
}

TEST(EvalConfig, MissingPathsAreNamed) {
  const EvalConfig config = parse_eval_config("input_file: a\n", "c.yaml");
  EXPECT_EQ(require_path(config, &EvalConfig::input_file, "input_file"), "a");
  EXPECT_ERROR(require_path(config, &EvalConfig::output_file, "output_file"),
               ErrorKind::invalid_argument,
               "c.yaml",
               "output_file",
               "missing");
}

TEST(EvalConfig, CollectsUnknownKeys) {
  const EvalConfig config = parse_eval_config("top_p: 1\ntop_q: 3\n", "c.yaml");
  ASSERT_EQ(config.unknown_keys.size(), 1u);
  EXPECT_EQ(config.unknown_keys[0].key, "top_q");
  EXPECT_EQ(config.unknown_keys[0].line, 2);
}

// What yaml.safe_load of PyYAML 6.0 gives for these words.
TEST(YamlValues, PlainScalarsAreReadAsPyYamlDoes) {
  const std::vector<std::pair<const char*, Json>> table = {
      {"12", 12},         {"+12", 12},     {"-12", -12},      {"1_000", 1000},
      {"0", 0},           {"-0", 0},       {"010", 8},        {"0o10", "0o10"},
      {"08", "08"},       {"0x1F", 31},    {"-0x1f", -31},    {"0b101", 5},
      {"1:30", 90},       {"-1:30", -90},  {"1:60", "1:60"},  {"190:20:30", 685230},
      {"1.5", 1.5},       {"1.", 1.0},     {".5", 0.5},       {"-.5", "-.5"},
      {"1e-3", "1e-3"},   {"1e3", "1e3"},  {"1.0e-3", 0.001}, {"1.0e3", "1.0e3"},
      {"1.0E+3", 1000.0}, {"1_0.5", 10.5}, {"0:30", "0:30"},  {"1:30.5", 90.5},
      {".", "."},         {"._5", "._5"},  {"yes", true},     {"No", false},
      {"ON", true},       {"off", false},  {"y", "y"},        {"TRUE", true},
      {"tRUE", "tRUE"},   {"~", nullptr},  {"null", nullptr}, {"", nullptr},
      {"nULL", "nULL"},   {"NaN", "NaN"},  {"inf", "inf"},    {"1 2", "1 2"},
      {"-", "-"},         {"0x", "0x"},    {"1__0", 10},      {"_1", "_1"},
      {"0.7", 0.7}};
  for (const auto& [word, value] : table) {
    const Json read = read_plain_scalar(word);
    EXPECT_EQ(read, value) << word << " gave " << dump_json(read);
    EXPECT_EQ(read.is_number_float(), value.is_number_float()) << word;
  }
  EXPECT_TRUE(std::isinf(read_plain_scalar("-.inf").get<double>()));
  EXPECT_TRUE(std::isnan(read_plain_scalar(".NaN").get<double>()));
}

}  // namespace
}  // namespace qwen3::eval
