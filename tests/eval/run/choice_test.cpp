// Multiple choice by log-likelihood: the definitions, a server that gives log probabilities in
// every way it should not, whole runs, and the model nano against transformers
// (tests/goldens/choices.json).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/input_file.h"
#include "eval/python/python_json.h"
#include "eval/run/choice_source.h"
#include "eval/run/client.h"
#include "eval/run/engine_source.h"
#include "eval/run/generate.h"
#include "eval/run/sample_line.h"
#include "eval/score/score.h"
#include "mock_server.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

using test::error_body;
using test::MockReply;
using test::MockRequest;
using test::MockServer;

EvalConfig choosing(ChooseBy by = ChooseBy::loglikelihood) {
  EvalConfig config;
  config.name = "c.yaml";
  config.model_name = "mock";
  config.choose_by = by;
  config.max_workers = 3;
  config.retry_base_seconds = 0.001;
  config.retry_max_seconds = 0.01;
  config.timeout_seconds = 60;
  config.server_wait_seconds = 60;
  return config;
}

// A model whose tokens are words with the space before them, and whose ln p is minus the bytes of
// the token, but -0.5 for a word that stands earlier in the text.
struct WordModel {
  std::vector<std::string> names;
  std::vector<double> logprobs;

  explicit WordModel(const std::string& text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(' ', begin + 1), text.size());
      const std::string word = text.substr(begin, end - begin);
      const bool known = std::find(names.begin(), names.end(), word) != names.end();
      logprobs.push_back(known ? -0.5 : -static_cast<double>(word.size()));
      names.push_back(word);
      begin = end;
    }
  }
};

Json completion(const MockRequest& request) {
  const Json asked = parse_json(request.body, "request");
  const WordModel model(asked["prompt"].get<std::string>());
  Json names = model.names;
  Json values = model.logprobs;
  values[0] = nullptr;
  names.push_back(" generated");
  values.push_back(-0.25);
  return {{"choices",
           {{{"text", asked["prompt"]},
             {"finish_reason", "length"},
             {"logprobs", {{"tokens", names}, {"token_logprobs", values}}}}}},
          {"usage", {{"prompt_tokens", model.names.size()}, {"completion_tokens", 1}}}};
}

MockReply word_server(const MockRequest& request) {
  return {.body = dump_json(completion(request))};
}

// One question, asked through the client.
Reply ask(const EvalConfig& config,
          const std::string& prompt,
          const std::vector<std::string>& choices) {
  ChoiceSource source(std::make_unique<HttpClient>(config, Mode::standard, "EMPTY"), config);
  source.ask({.tag = 7, .prompt = prompt, .choices = choices});
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < end) {
    std::vector<Reply> replies = source.wait(std::chrono::milliseconds(100));
    if (!replies.empty()) return std::move(replies.front());
  }
  ADD_FAILURE() << "no reply";
  return {};
}

Reply ask(MockServer::Handler handler,
          const std::string& prompt,
          const std::vector<std::string>& choices,
          ChooseBy by = ChooseBy::loglikelihood) {
  MockServer server(std::move(handler));
  EvalConfig config = choosing(by);
  config.base_urls = {server.url()};
  config.attempts = 2;
  return ask(config, prompt, choices);
}

std::string said(const Reply& reply) {
  if (const Answer* answer = std::get_if<Answer>(&reply.result)) return answer->text;
  const Failure& failure = std::get<Failure>(reply.result);
  return std::string(failure_name(failure.kind)) + ": " + failure.message;
}

TEST(Choices, TextsAreThoseOfTheHarness) {
  EvalConfig config = choosing();
  const std::vector<std::string> two = {"x", "y z"};
  ChoiceTexts texts = choice_texts(config, "Q:\nA:", two);
  EXPECT_EQ(texts.context, "Q:\nA:");
  EXPECT_EQ(texts.whole, (std::vector<std::string>{"Q:\nA: x", "Q:\nA: y z"}));
  // White space at the end of the context is the continuation's, as Python's rstrip() sees it.
  texts = choice_texts(config, "Q \xe2\x80\x83\n", two);
  EXPECT_EQ(texts.context, "Q");
  EXPECT_EQ(texts.whole[0], "Q \xe2\x80\x83\n x");
  config.choose_prompt = "<{prompt}>\n";
  config.choose_delimiter = "";
  texts = choice_texts(config, "{prompt}", two);
  EXPECT_EQ(texts.context, "<{prompt}>");
  EXPECT_EQ(texts.whole[1], "<{prompt}>\ny z");
}

TEST(Choices, TheLargestWinsByEachMeasure) {
  // "é" twice: two characters, four bytes.
  const std::vector<std::string> choices = {"abcdefgh", "\xc3\xa9\xc3\xa9", "ab"};
  const std::vector<double> sums = {-9, -5, -3};
  EXPECT_EQ(choose(ChooseBy::loglikelihood, choices, sums), 2u);
  // -9/8, -5/2, -3/2
  EXPECT_EQ(choose(ChooseBy::loglikelihood_per_character, choices, sums), 0u);
  // -9.9/8, -4.9/2, -3/2 and -9.9/8, -4.9/4, -3/2
  const std::vector<double> close = {-9.9, -4.9, -3};
  EXPECT_EQ(choose(ChooseBy::loglikelihood_per_character, choices, close), 0u);
  EXPECT_EQ(choose(ChooseBy::loglikelihood_per_byte, choices, close), 1u);
  const std::vector<double> equal = {-3, -3, -3};
  EXPECT_EQ(choose(ChooseBy::loglikelihood, choices, equal), 0u);
}

TEST(ChoiceSource, AsksForLogprobsAndSumsThoseOfTheChoice) {
  std::mutex mutex;
  std::vector<std::string> bodies;
  const Reply reply = ask(
      [&](const MockRequest& request) {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(request.path, "/v1/completions");
        bodies.push_back(request.body);
        return word_server(request);
      },
      "which word",
      {"blue", "green", "word one", "a b"});
  const auto* answer = std::get_if<Answer>(&reply.result);
  ASSERT_NE(answer, nullptr) << said(reply);
  // " blue" -5, " green" -6, " word" -0.5 " one" -4, " a" -2 " b" -2.
  EXPECT_EQ(answer->loglikelihoods, (std::vector<double>{-5, -6, -4.5, -4}));
  EXPECT_EQ(answer->text, "D");
  EXPECT_EQ(answer->finish_reason, "chosen");
  EXPECT_EQ(answer->prompt_tokens, 2 + 3 + 3 + 4 + 4);
  EXPECT_EQ(answer->completion_tokens, 0);
  EXPECT_EQ(reply.tag, 7u);
  EXPECT_EQ(reply.attempts, 1);
  ASSERT_EQ(bodies.size(), 5u);
  std::sort(bodies.begin(), bodies.end());
  EXPECT_EQ(bodies[0],
            R"({"prompt":"which word a b","echo":true,"logprobs":1,"model":"mock",)"
            R"("temperature":0,"max_tokens":1})");
  EXPECT_TRUE(bodies[4].starts_with(R"({"prompt":"which word",)") ||
              bodies[3].starts_with(R"({"prompt":"which word",)") ||
              bodies[2].starts_with(R"({"prompt":"which word",)"))
      << "the context alone";
}

TEST(ChoiceSource, TheMeasureDecides) {
  const std::vector<std::string> choices = {"it", "interestingly"};  // -3 of 2 bytes, -14 of 13
  EXPECT_EQ(said(ask(word_server, "say", choices)), "A");
  EXPECT_EQ(said(ask(word_server, "say", choices, ChooseBy::loglikelihood_per_character)), "B");
  EXPECT_EQ(said(ask(word_server, "say", choices, ChooseBy::loglikelihood_per_byte)), "B");
}

// Changes the reply to every request.
MockServer::Handler changed(std::function<void(Json&)> change) {
  return [change](const MockRequest& request) {
    Json reply = completion(request);
    change(reply);
    return MockReply{.body = dump_json(reply)};
  };
}

TEST(ChoiceSource, ServersWithoutLogprobsAreNamedAndEndTheRun) {
  const std::vector<std::pair<const char*, std::function<void(Json&)>>> kinds = {
      {"logprobs.tokens", [](Json& reply) { reply["choices"][0]["logprobs"] = nullptr; }},
      {"logprobs.tokens", [](Json& reply) { reply["choices"][0].erase("logprobs"); }},
      {"logprobs.tokens", [](Json& reply) { reply["choices"][0]["logprobs"] = "none"; }},
      {"logprobs.tokens",  // of the generated token alone: no echo
       [](Json& reply) {
         reply["choices"][0]["logprobs"] = {{"tokens", {" x"}}, {"token_logprobs", {-1}}};
       }},
      {"logprobs.tokens",
       [](Json& reply) { reply["choices"][0]["logprobs"]["token_logprobs"] = nullptr; }},
      {"token 1 of the prompt: expected text and a number; got \" word\" and null",
       [](Json& reply) { reply["choices"][0]["logprobs"]["token_logprobs"][1] = nullptr; }},
      {"token 0 of the prompt: expected text",
       [](Json& reply) { reply["choices"][0]["logprobs"]["tokens"][0] = 5; }},
      {"usage.prompt_tokens", [](Json& reply) { reply.erase("usage"); }},
      {"usage.prompt_tokens", [](Json& reply) { reply["usage"]["prompt_tokens"] = 0; }},
  };
  for (const auto& [words, change] : kinds) {
    const Reply reply = ask(changed(change), "which word", {"blue", "green"});
    const Failure* failure = std::get_if<Failure>(&reply.result);
    ASSERT_NE(failure, nullptr) << words;
    EXPECT_EQ(failure->kind, FailureKind::no_logprobs) << said(reply);
    EXPECT_NE(failure->message.find(words), std::string::npos) << said(reply);
    EXPECT_NE(failure->message.find("echo with logprobs"), std::string::npos) << said(reply);
    EXPECT_TRUE(ends_run(failure->kind));
  }
}

TEST(ChoiceSource, AServerThatGeneratesNothingMoreWillDo) {
  const auto without_last = [](Json& body) {
    for (const char* key : {"tokens", "token_logprobs"}) {
      Json& list = body["choices"][0]["logprobs"][key];
      list.erase(list.size() - 1);
    }
  };
  const Reply reply = ask(changed(without_last), "which word", {"bl", "green"});
  ASSERT_EQ(said(reply), "A");
  EXPECT_EQ(std::get<Answer>(reply.result).loglikelihoods, (std::vector<double>{-3, -6}));
}

TEST(ChoiceSource, FaultsPassAndRefusalsDoNot) {
  std::atomic<int> n_asked{0};
  const Reply again = ask(
      [&](const MockRequest& request) {
        return n_asked++ == 0 ? MockReply{.status = 500} : word_server(request);
      },
      "which word",
      {"blue", "green"});
  EXPECT_EQ(said(again), "A");
  EXPECT_EQ(again.attempts, 2);
  const auto refusing = [](int status, const std::string& words) {
    return [=](const MockRequest& request) {
      const bool odd = request.body.find("green") != std::string::npos;
      return odd ? MockReply{.status = status, .body = error_body(words)} : word_server(request);
    };
  };
  EXPECT_EQ(said(ask(refusing(400, "no green"), "which word", {"blue", "green"})),
            "rejected: no green");
  EXPECT_EQ(said(ask(refusing(404, "no such path"), "which word", {"blue", "green"})),
            "not_found: no such path");
  const std::string context = said(ask(
      refusing(400, "This model's maximum context length is 5"), "which word", {"blue", "green"}));
  EXPECT_TRUE(context.starts_with("context: ")) << context;
  EXPECT_EQ(said(ask([](const MockRequest&) { return MockReply{.body = "{\"choices\": []}"}; },
                     "which word",
                     {"blue", "green"})),
            "bad_reply: no \"choices\" in the reply: {\"choices\": []}");
}

// "which wor" is no word of "which word blue".
TEST(ChoiceSource, AChoiceThatChangesTheContextIsNoContinuation) {
  MockServer server(word_server);
  EvalConfig config = choosing();
  config.base_urls = {server.url()};
  config.choose_delimiter = "";
  EXPECT_EQ(said(ask(config, "which word", {" blue", "ly blue"})),
            "rejected: choice B and the end of its prompt share a token; set choose_delimiter or "
            "choose_prompt so that a choice begins with a token of its own");
  EXPECT_EQ(said(ask(config, "which word", {" blue", " it"})), "B");
}

// A source without a network, which counts.
class WordSource final : public AnswerSource {
 public:
  explicit WordSource(int64_t* most, int dies_after = -1) : most_(most), dies_after_(dies_after) {}

  void ask(Question question) override {
    questions_.push_back(std::move(question));
    *most_ = std::max(*most_, static_cast<int64_t>(questions_.size()));
  }

  std::vector<Reply> wait(std::chrono::milliseconds) override {
    if (questions_.empty()) return {};
    if (dies_after_ == 0) fail(ErrorKind::io, "no server has answered");
    --dies_after_;
    const Question question = std::move(questions_.back());
    questions_.pop_back();
    const WordModel model(question.prompt);
    Answer answer{.prompt_tokens = static_cast<int64_t>(model.names.size()),
                  .token_names = model.names};
    if (question.want == Want::logprobs) answer.token_logprobs = model.logprobs;
    EXPECT_NE(question.want, Want::answer);
    return {{.tag = question.tag, .result = std::move(answer), .server = "words"}};
  }

  Json served() const override { return Json::array({{{"version", "1"}}}); }

 private:
  int64_t* most_;
  int dies_after_;
  std::vector<Question> questions_;
};

class ChoiceRun : public testing::Test {
 protected:
  ChoiceRun() {
    options_.config = choosing();
    options_.config.input_file = dir_.write("data.jsonl", kRows).string();
    options_.config.output_file = (dir_.path() / "out.jsonl").string();
  }

  GenerateReport run(int dies_after = -1) {
    return generate(
        options_,
        [&] { return std::make_unique<WordSource>(&most_, dies_after); },
        GenerateHooks());
  }
  std::vector<std::string> sorted_lines() const {
    std::ifstream in(options_.config.output_file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  void remove_output() {
    for (const char* more : {"", ".manifest.json", ".failures.jsonl", ".timings.jsonl"}) {
      std::filesystem::remove(options_.config.output_file + more);
    }
  }

  // By ln p: A, B, A; by bytes: B, B, B.
  static constexpr const char* kRows =
      R"({"prompt": "one two", "choices": ["up", "down two"], "answer": "B", "task_id": "a"}
{"prompt": "one two", "choices": ["elephant", "two"], "answer": 1, "task_id": "b"}
{"prompt": "one", "choices": ["up", "extraordinary"], "answer": "up", "task_id": "c"}
)";
  test::TempDir dir_;
  GenerateOptions options_;
  int64_t most_ = 0;
};

TEST_F(ChoiceRun, WritesLettersThatScoreUnchanged) {
  EXPECT_TRUE(run().complete());
  EXPECT_EQ(most_, 3) << "max_workers";
  const auto lines = sorted_lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[0].starts_with(
      R"({"prompt": "one two", "choices": ["elephant", "two"], "answer": 1, "task_id": "b", )"
      R"("gen": ["B"], "qwen3": {"id": ")"))
      << lines[0];
  EXPECT_NE(lines[0].find(R"("finish_reason": "chosen", "prompt_tokens": 8, "completion_tokens": )"
                          R"(0, "loglikelihoods": [-9.0, -0.5], "crc32": ")"),
            std::string::npos)
      << lines[0];
  for (const std::string& line : lines) EXPECT_TRUE(read_sample_line(line));

  ScoreOptions score;
  score.input_file = options_.config.output_file;
  score.task = "multiple_choice";
  EXPECT_DOUBLE_EQ(score_file(score).accuracy, 2.0 / 3);
  options_.config.choose_by = ChooseBy::loglikelihood_per_byte;
  remove_output();
  EXPECT_TRUE(run().complete());
  EXPECT_DOUBLE_EQ(score_file(score).accuracy, 2.0 / 3);
  EXPECT_NE(sorted_lines()[2].find("\"gen\": [\"B\"]"), std::string::npos);
}

TEST_F(ChoiceRun, AnyInterruptionEndsTheSame) {
  ASSERT_TRUE(run().complete());
  const auto whole = sorted_lines();
  for (int dies_after = 0; dies_after < 9; ++dies_after) {
    remove_output();
    EXPECT_ERROR(run(dies_after), ErrorKind::io, "no server has answered");
    EXPECT_TRUE(run().complete());
    EXPECT_EQ(sorted_lines(), whole) << dies_after;
  }
}

TEST_F(ChoiceRun, IsNeverMixedWithAnother) {
  ASSERT_TRUE(run().complete());
  EvalConfig& config = options_.config;
  config.choose_by = ChooseBy::loglikelihood_per_byte;
  EXPECT_ERROR(run(),
               ErrorKind::invalid_argument,
               "identity.choose.by: was \"loglikelihood\", is \"loglikelihood_per_byte\"");
  config = choosing();
  config.input_file = (dir_.path() / "data.jsonl").string();
  config.output_file = (dir_.path() / "out.jsonl").string();
  config.choose_delimiter = "";
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "identity.choose.delimiter: was \" \", is \"\"");
  config.choose_delimiter = " ";
  config.choose_prompt = "{prompt}!";
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "identity.choose.prompt");
  config.choose_prompt = "{prompt}";
  config.choose_by = ChooseBy::text;
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "made by a different run: identity");
  // Without the manifest the keys still say so.
  std::filesystem::remove(config.output_file + ".manifest.json");
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "another run");
  // What another program generated has no keys.
  remove_output();
  dir_.write("out.jsonl",
             R"({"prompt": "one", "gen": ["B"]})"
             "\n");
  config.choose_by = ChooseBy::loglikelihood;
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "lines without \"qwen3\"");
}

TEST_F(ChoiceRun, IsNotStrict) {
  options_.mode = Mode::strict;
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "c.yaml: choose_by: loglikelihood", "--strict");
  EXPECT_FALSE(std::filesystem::exists(options_.config.output_file));
}

TEST_F(ChoiceRun, ARowThatIsNotRightIsNamedBeforeAnythingIsAsked) {
  struct BadRow {
    const char* row;
    const char* field;
    const char* got;
  };
  const std::vector<BadRow> rows = {
      {R"({"prompt": "p", "answer": "A"})", "choices: expected a list of 2 to 26 texts", "none"},
      {R"({"prompt": "p", "choices": "AB", "answer": "A"})", "choices: expected a list", "AB"},
      {R"({"prompt": "p", "choices": {"text": ["a", "b"]}})", "choices: expected a list", "text"},
      {R"({"prompt": "p", "choices": ["a"]})", "choices: expected a list of 2", "[\"a\"]"},
      {R"({"prompt": "p", "choices": ["a", 5], "answer": "A"})", "choices[1]: expected text", "5"},
      {R"({"prompt": "p", "choices": ["", "b"], "answer": "A"})", "choices[0]", "not empty"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": "C"})",
       "answer: expected a letter from A to B, a number from 0 to 1, or the text",
       "C"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": 2})", "answer: expected", "got 2"},
      {R"({"prompt": "p", "choices": ["a", "b"], "answer": ["A"]})", "answer: expected", "A"},
      {R"({"prompt": " \n", "choices": ["a", "b"], "answer": "A"})", "prompt", "white space"},
  };
  const std::string good = "{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"answer\": \"b\"}\n";
  const auto make_none = []() -> std::unique_ptr<AnswerSource> {
    ADD_FAILURE() << "a source is made";
    return nullptr;
  };
  for (const BadRow& bad : rows) {
    dir_.write("data.jsonl", good + bad.row + "\n");
    expect_error([&] { generate(options_, make_none, GenerateHooks()); },
                 ErrorKind::corrupt_file,
                 {"data.jsonl: line 2: ", bad.field, bad.got},
                 bad.row);
  }
  // The answers of a test may be kept secret.
  dir_.write("data.jsonl",
             R"({"prompt": "p", "choices": ["a", "b"], "answer": null})"
             "\n");
  EXPECT_TRUE(run().complete());
}

Reply ask_nano(const EvalConfig& config,
               const std::string& prompt,
               const std::vector<std::string>& choices,
               int64_t max_model_len = 0) {
  const EngineSourceOptions options{.directory = QWEN3_SOURCE_DIR "/models/nano",
                                    .load = {.dtype = "float32"},
                                    .max_model_len = max_model_len,
                                    .version = {}};
  ChoiceSource source(std::make_unique<EngineSource>(config, Mode::standard, options), config);
  source.ask({.prompt = prompt, .choices = choices});
  return source.wait(std::chrono::seconds(60)).at(0);
}

// The bounds are computed by the script: rounding of float32, summed over the choice's tokens.
TEST(ChoicesOfNano, AreAsLikelyAsInTransformers) {
  const Json golden =
      parse_json(read_text_file(QWEN3_SOURCE_DIR "/tests/goldens/choices.json", 1 << 20), "golden");
  double most = 0;
  for (const Json& row : golden["rows"]) {
    SCOPED_TRACE(row["prompt"].dump() + row["choices"].dump());
    EvalConfig config = choosing();
    config.choose_prompt = row["template"];
    config.choose_delimiter = row["delimiter"];
    const std::vector<std::string> choices = row["choices"];
    const Reply reply = ask_nano(config, row["prompt"], choices);
    const auto* answer = std::get_if<Answer>(&reply.result);
    ASSERT_NE(answer, nullptr) << said(reply);
    ASSERT_EQ(answer->loglikelihoods.size(), choices.size());
    int64_t n_tokens = row["n_context"];
    for (size_t i = 0; i < choices.size(); ++i) {
      const double bound = row["bounds"][i];
      const double difference =
          std::abs(answer->loglikelihoods[i] - row["loglikelihoods"][i].get<double>());
      EXPECT_LE(difference, bound) << i;
      most = std::max(most, difference / bound);
      n_tokens += static_cast<int64_t>(row["ids"][i].size());
    }
    EXPECT_EQ(answer->prompt_tokens, n_tokens);
    EXPECT_EQ(answer->text[0] - 'A', row["acc"].get<int>());
    const auto by = [&](ChooseBy measure) {
      return choose(measure, choices, answer->loglikelihoods);
    };
    EXPECT_EQ(by(ChooseBy::loglikelihood_per_character), row["acc_norm"].get<size_t>());
    EXPECT_EQ(by(ChooseBy::loglikelihood_per_byte), row["acc_bytes"].get<size_t>());
  }
  std::printf("largest difference: %.1e of its bound\n", most);
}

TEST(ChoicesOfNano, LongerThanTheContextIsAFailure) {
  const Reply reply = ask_nano(choosing(), "a b c d e f g h i j k l m n o p q r", {"s", "t"}, 16);
  EXPECT_TRUE(said(reply).starts_with("context: the prompt has ")) << said(reply);
}

// With "ou" the last word is another token.
TEST(ChoicesOfNano, AChoiceThatChangesTheContextIsNoContinuation) {
  EvalConfig config = choosing();
  config.choose_delimiter = "";
  const Reply reply = ask_nano(config, "I can hear y", {"!", "ou"});
  EXPECT_TRUE(said(reply).starts_with("rejected: choice B and the end")) << said(reply);
}

}  // namespace
}  // namespace qwen3::eval
