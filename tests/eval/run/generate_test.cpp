// Whole runs, with answers from a function instead of a server.
#include "eval/run/generate.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "base/error.h"
#include "eval/python/python_json.h"
#include "eval/run/merge.h"
#include "eval/run/sample_line.h"
#include "eval/score/score.h"
#include "eval/score/score_text.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> sorted_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::istringstream in(read_file(path));
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// What a server does, decided by the question alone, in any order.
struct Behaviour {
  std::function<std::variant<Answer, Failure>(const Question&)> reply = [](const Question& q) {
    return Answer{.text = "answer " + q.prompt + std::to_string(q.sample),
                  .prompt_tokens = 2,
                  .completion_tokens = 3};
  };
  Json served = Json::array({{{"version", "1"}}});
  int dies_after = -1;  // replies, then wait() throws
  uint64_t seed = 0;
};

class FakeSource final : public AnswerSource {
 public:
  explicit FakeSource(Behaviour& behaviour) : behaviour_(behaviour), random_(behaviour.seed) {}

  void ask(Question question) override { waiting_.push_back(std::move(question)); }

  std::vector<Reply> wait(std::chrono::milliseconds) override {
    std::shuffle(waiting_.begin(), waiting_.end(), random_);
    size_t n = 1 + random_() % 3;
    std::vector<Reply> replies;
    while (n-- > 0 && !waiting_.empty()) {
      if (behaviour_.dies_after == 0) fail(ErrorKind::io, "no server has answered");
      if (behaviour_.dies_after > 0) --behaviour_.dies_after;
      Reply reply;
      reply.tag = waiting_.back().tag;
      reply.result = behaviour_.reply(waiting_.back());
      reply.server = "fake";
      replies.push_back(std::move(reply));
      waiting_.pop_back();
    }
    return replies;
  }

  Json served() const override { return behaviour_.served; }

 private:
  Behaviour& behaviour_;
  std::mt19937_64 random_;
  std::vector<Question> waiting_;
};

// All that scoring says of a file of answers.
std::string score_of(const std::filesystem::path& answers) {
  ScoreOptions options;
  options.input_file = answers;
  options.resamples = 10;
  return dump_json(score_json(score_file(options)));
}

class Generate : public testing::Test {
 protected:
  // Hundreds of runs, each of which syncs dozens of times: in memory where there is such a place.
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
  }

  Generate() {
    std::string rows;
    for (int i = 0; i < kRows; ++i) {
      rows += "{\"prompt\": \"p" + std::to_string(i / 2 * 2) +
              "\", \"answer\": [[1]], \"task_id\": \"t" + std::to_string(i / 2) +
              "\"}\n";  // pairs of equal rows
    }
    options_.config.name = "c.yaml";
    options_.config.input_file = dir_.write("data.jsonl", rows).string();
    options_.config.output_file = out("out.jsonl").string();
    options_.config.n_samples = 2;
    options_.config.max_workers = 4;
    options_.version = "0.0.0";
  }

  std::filesystem::path out(const std::string& name) const { return dir_.path() / name; }

  GenerateReport run() { return run(options_); }
  GenerateReport run(const GenerateOptions& options, const GenerateHooks& hooks = {}) {
    return generate(
        options, [this] { return std::make_unique<FakeSource>(behaviour_); }, hooks);
  }

  static constexpr int kRows = 10;
  test::TempDir dir_;
  GenerateOptions options_;
  Behaviour behaviour_;
};

TEST_F(Generate, WritesEverySampleOnce) {
  const GenerateReport report = run();
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.tally.wanted, 2 * kRows);
  EXPECT_EQ(report.tally.prompt_tokens, 2 * 2 * kRows);
  const auto lines = sorted_lines(out("out.jsonl"));
  ASSERT_EQ(lines.size(), 2u * kRows);
  EXPECT_EQ(std::adjacent_find(lines.begin(), lines.end()), lines.end());
  EXPECT_TRUE(lines[0].starts_with(
      "{\"prompt\": \"p0\", \"answer\": [[1]], \"task_id\": \"t0\", \"gen\": [\"answer p00\"], "
      "\"qwen3\": {\"id\": \""))
      << lines[0];
  for (const std::string& line : lines) {
    EXPECT_TRUE(read_sample_line(line));
    const auto value = py_loads(line);
    ASSERT_TRUE(value);
    EXPECT_EQ(value->find("gen")->list()->size(), 1u);
  }
  EXPECT_FALSE(std::filesystem::exists(out("out.jsonl.failures.jsonl")));
  EXPECT_EQ(sorted_lines(out("out.jsonl.timings.jsonl")).size(), 2u * kRows);
  const Json manifest = parse_json(read_file(out("out.jsonl.manifest.json")), "manifest");
  EXPECT_EQ(manifest["totals"]["answers"], 2 * kRows);
  EXPECT_EQ(manifest["totals"]["completion_tokens"], 2 * 3 * kRows);
  EXPECT_EQ(manifest["dataset"]["rows"], kRows);
  EXPECT_EQ(manifest["runs"].size(), 1u);
  EXPECT_EQ(manifest["runs"][0]["answers"], 2 * kRows);

  // A second run has nothing to do, and touches nothing.
  const std::string before = read_file(out("out.jsonl"));
  EXPECT_TRUE(run().complete());
  EXPECT_EQ(read_file(out("out.jsonl")), before);
}

// Any interrupted history gives the same answers, failures, totals and score.
TEST_F(Generate, AnyHistoryEndsTheSame) {
  behaviour_.reply = [](const Question& q) -> std::variant<Answer, Failure> {
    if (q.prompt == "p4" && q.sample == 1) return Failure{FailureKind::context, 400, "too long"};
    return Answer{.text = q.prompt + "/" + std::to_string(q.sample), .completion_tokens = 1};
  };
  run();
  const auto lines = sorted_lines(out("out.jsonl"));
  const std::string failures = read_file(out("out.jsonl.failures.jsonl"));
  ASSERT_EQ(lines.size(), 2u * kRows - 2);
  ASSERT_EQ(std::count(failures.begin(), failures.end(), '\n'), 2);
  EXPECT_NE(
      failures.find("\"task_id\": \"t2\", \"sample\": 1, \"kind\": \"context\", \"status\": 400, "
                    "\"message\": \"too long\", \"attempts\": 1}"),
      std::string::npos)
      << failures;

  const std::string score = score_of(out("out.jsonl"));
  EXPECT_NE(score.find(R"("failed":2)"), std::string::npos) << score;

  std::mt19937_64 random(1);
  for (int history = 0; history < 1000; ++history) {
    options_.config.output_file = out("h" + std::to_string(history) + ".jsonl").string();
    const std::filesystem::path path = options_.config.output_file;
    GenerateReport report;
    for (bool over = false; !over;) {
      behaviour_.seed = random();
      behaviour_.dies_after = random() % 3 == 0 ? -1 : static_cast<int>(random() % 12);
      options_.config.max_workers = 1 + static_cast<int64_t>(random() % 6);
      try {
        report = run();
        over = true;
      } catch (const Error& error) {
        ASSERT_STREQ(error.what(), "no server has answered");
      }
      if (over) break;
      // What a kill or a power loss leaves of the line in flight.
      std::ofstream tail(path, std::ios::binary | std::ios::app);
      const std::string torn = lines[random() % lines.size()];
      if (random() % 2 == 0) tail << torn.substr(0, random() % torn.size());
      if (random() % 4 == 0) tail << std::string(random() % 50, '\0');
    }
    ASSERT_EQ(sorted_lines(path), lines) << history;
    ASSERT_EQ(read_file(path.string() + ".failures.jsonl"), failures) << history;
    ASSERT_EQ(report.failures.at("context"), 2);
    ASSERT_EQ(report.tally.completion_tokens, 2 * kRows - 2);
    ASSERT_FALSE(report.complete());
    ASSERT_EQ(score_of(path), score) << history;
    for (const char* more : {"", ".manifest.json", ".timings.jsonl", ".failures.jsonl"}) {
      std::filesystem::remove(path.string() + more);
    }
  }
}

TEST_F(Generate, FailuresAreForgottenOnceAnswered) {
  const auto answer = behaviour_.reply;
  behaviour_.reply = [](const Question&) -> std::variant<Answer, Failure> {
    return Failure{FailureKind::timeout, 0, "no reply"};
  };
  GenerateReport report = run();
  EXPECT_EQ(report.failures.at("timeout"), 2 * kRows);
  EXPECT_EQ(report.tally.there, 0);
  EXPECT_EQ(sorted_lines(out("out.jsonl.failures.jsonl")).size(), 2u * kRows);
  behaviour_.reply = answer;
  report = run();
  EXPECT_TRUE(report.complete());
  EXPECT_TRUE(report.failures.empty());
  EXPECT_FALSE(std::filesystem::exists(out("out.jsonl.failures.jsonl")));
}

TEST_F(Generate, EndsWhenNoRequestCanSucceed) {
  behaviour_.reply = [](const Question&) -> std::variant<Answer, Failure> {
    return Failure{FailureKind::not_found, 404, "no such model"};
  };
  const GenerateReport report = run();
  EXPECT_NE(report.ended_by.find("no such model"), std::string::npos);
  EXPECT_LE(report.failures.at("not_found"), 4 + 3) << "asked on and on";
  EXPECT_FALSE(report.complete());
}

TEST_F(Generate, MoreSamplesCanBeAskedForLater) {
  options_.config.n_samples = 1;
  run();
  options_.config.n_samples = 3;
  const GenerateReport report = run();
  EXPECT_EQ(report.tally.found, kRows);
  EXPECT_EQ(report.tally.wanted, 3 * kRows);
  EXPECT_TRUE(report.complete());
}

TEST_F(Generate, RefusesToMixRunsAndNamesTheDifference) {
  options_.config.seed = 1;
  run();
  const std::string before = read_file(out("out.jsonl"));
  const auto refused = [&](const GenerateOptions& changed,
                           std::initializer_list<std::string> parts) {
    expect_error([&] { run(changed); }, ErrorKind::invalid_argument, parts, "changed");
    EXPECT_EQ(read_file(out("out.jsonl")), before);
  };
  GenerateOptions changed = options_;
  changed.config.sampling["temperature"] = 0.5;
  refused(changed, {"out.jsonl", "identity.request.temperature", "was 0.8", "is 0.5"});
  changed = options_;
  changed.config.model_name = "other";
  refused(changed, {"identity.request.model", "other"});
  changed = options_;
  changed.config.sampling["min_p"] = 0.1;
  refused(changed, {"identity.request.min_p", "was absent", "is 0.1"});
  changed = options_;
  changed.config.seed = 2;
  refused(changed, {"identity.seed"});
  changed = options_;
  changed.config.system = "s";
  refused(changed, {"identity.system"});
  changed = options_;
  changed.mode = Mode::strict;
  refused(changed, {"identity.mode"});
  changed = options_;
  changed.config.input_file = dir_.write("other.jsonl", "{\"prompt\": \"x\"}\n").string();
  refused(changed, {"dataset.sha256"});

  // Only a run that has something to ask looks at the server.
  changed = options_;
  changed.config.n_samples = 3;
  behaviour_.served = Json::array({{{"version", "2"}}});
  refused(changed, {"served.version", "was \"1\"", "--accept-changed-server"});
  changed.accept_served = true;
  EXPECT_TRUE(run(changed).complete());
  behaviour_.served = Json::array({{{"version", "1"}}});
  changed.accept_served = false;
  changed.config.n_samples = 4;
  EXPECT_TRUE(run(changed).complete()) << "known from before";

  // Places, numbers and patience may change.
  changed = options_;
  changed.config.n_samples = 1;
  changed.config.base_urls = {"http://elsewhere/v1"};
  changed.config.max_workers = 77;
  changed.config.attempts = 2;
  EXPECT_TRUE(run(changed).complete());
}

TEST_F(Generate, RefusesSamplesOfAnUnknownRun) {
  run();
  std::filesystem::remove(out("out.jsonl.manifest.json"));
  EXPECT_TRUE(run().complete()) << "the keys say that it is the same run";
  std::filesystem::remove(out("out.jsonl.manifest.json"));
  options_.config.sampling["temperature"] = 0.1;
  EXPECT_ERROR(run(), ErrorKind::invalid_argument, "another run", "manifest");
}

TEST_F(Generate, RefusesASampleThatStandsTwice) {
  run();
  const std::string text = read_file(out("out.jsonl"));
  dir_.write("out.jsonl", text + text.substr(0, text.find('\n') + 1));
  EXPECT_ERROR(run(), ErrorKind::corrupt_file, "out.jsonl: line 21", "twice");
}

TEST_F(Generate, StopsWhenAsked) {
  int n_asked = 0;
  GenerateHooks hooks;
  hooks.stop = [&] { return ++n_asked > 3 ? StopWish::finish : StopWish::none; };
  GenerateReport report = run(options_, hooks);
  EXPECT_TRUE(report.stopped);
  EXPECT_EQ(report.tally.under_way, 0);
  EXPECT_GT(report.tally.there, 3);
  EXPECT_LT(report.tally.there, 2 * kRows);
  n_asked = 0;
  hooks.stop = [&] { return ++n_asked > 1 ? StopWish::now : StopWish::none; };
  report = run(options_, hooks);
  EXPECT_TRUE(report.stopped);
  EXPECT_TRUE(run().complete());
  EXPECT_EQ(sorted_lines(out("out.jsonl")).size(), 2u * kRows);
}

TEST_F(Generate, StrictWritesAndResumesLikeTheOfficialScripts) {
  options_.mode = Mode::strict;
  options_.config.n_samples = 1;
  behaviour_.reply = [](const Question& q) -> std::variant<Answer, Failure> {
    if (q.prompt == "p2") return Answer{.context_exceeded = true};
    if (q.prompt == "p4") return Answer{.null_content = true};
    if (q.prompt == "p6") return Failure{FailureKind::server, 500, "no"};
    return Answer{.text = "é\n"};
  };
  run();
  const auto lines = sorted_lines(out("out.jsonl"));
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[0],
            "{\"prompt\": \"p0\", \"answer\": [[1]], \"task_id\": \"t0\", \"gen\": [\"é\\n\"]}");
  EXPECT_EQ(
      lines[2],
      "{\"prompt\": \"p2\", \"answer\": [[1]], \"task_id\": \"t1\", \"gen\": [{\"gen\": \"\", "
      "\"end_reason\": \"max length exceeded\"}]}");
  EXPECT_EQ(lines[4],
            "{\"prompt\": \"p4\", \"answer\": [[1]], \"task_id\": \"t2\", \"gen\": [null]}");

  // The official count is by prompt: of the pairs of equal prompts here one line is enough.
  const std::string good = lines[0] + "\nrubbish\n" + lines[2] + "\n";
  dir_.write("out.jsonl", good + "{\"prompt\": \"p8\", \"ge");
  const GenerateReport report = run();
  EXPECT_EQ(report.tally.found, 4);
  const std::string text = read_file(out("out.jsonl"));
  EXPECT_TRUE(text.starts_with(good + "{\"prompt\": ")) << "the torn line is gone, others are not";
  EXPECT_EQ(sorted_lines(out("out.jsonl")).size(), 3u + 4);
}

TEST_F(Generate, GoesOnWithAFileOfTheOfficialScripts) {
  options_.config.n_samples = 2;
  dir_.write("out.jsonl",
             "{\"prompt\": \"p0\", \"answer\": [[1]], \"gen\": [\"by the script\"]}\n"
             "{\"prompt\": \"p2\", \"answer\": [[1]], \"gen\": [\"one\"]}\n"
             "{\"prompt\": \"p2\", \"answer\": [[1]], \"gen\": [\"two\"]}");
  const GenerateReport report = run();
  EXPECT_EQ(report.tally.found, 2 * 1 + 2 * 2);
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(sorted_lines(out("out.jsonl")).size(), 3u + 2 * kRows - 6);
  const GenerateReport again = run();
  EXPECT_TRUE(again.complete());
  EXPECT_EQ(again.tally.found, 2 * kRows);
}

TEST_F(Generate, ShardsMergeToTheWhole) {
  run();
  const auto whole = sorted_lines(out("out.jsonl"));
  options_.config.output_file = out("parts.jsonl").string();
  const MergeOptions merge{.config = options_.config, .mode = Mode::standard, .partial = false};
  EXPECT_ERROR(merge_shards(merge), ErrorKind::not_found, "parts.shard-1-of-N.jsonl", "none");
  for (int64_t i = 1; i <= 3; ++i) {
    GenerateOptions part = options_;
    part.shard = {i, 3};
    if (i == 3) behaviour_.dies_after = 2;
    try {
      run(part);
    } catch (const Error&) {
      EXPECT_EQ(i, 3);
    }
  }
  EXPECT_ERROR(merge_shards(merge), ErrorKind::invalid_argument, "missing", "--partial");
  EXPECT_FALSE(std::filesystem::exists(out("parts.jsonl")));
  behaviour_.dies_after = -1;
  GenerateOptions last = options_;
  last.shard = {3, 3};
  run(last);
  const MergeReport report = merge_shards(merge);
  EXPECT_EQ(report.n_shards, 3);
  EXPECT_EQ(report.there, 2 * kRows);
  EXPECT_EQ(sorted_lines(out("parts.jsonl")), whole);
  EXPECT_TRUE(run().complete()) << "the merged file is a file like any other";
  EXPECT_ERROR(merge_shards(merge), ErrorKind::invalid_argument, "already exists");

  // Lines that are not this shard's, and shards of another run.
  std::filesystem::remove(out("parts.jsonl"));
  const std::string first = read_file(out("parts.shard-1-of-3.jsonl"));
  const std::string second = read_file(out("parts.shard-2-of-3.jsonl"));
  dir_.write("parts.shard-1-of-3.jsonl", first + second.substr(0, second.find('\n') + 1));
  EXPECT_ERROR(merge_shards(merge), ErrorKind::invalid_argument, "1 lines are not samples");
  dir_.write("parts.shard-1-of-3.jsonl", first);
  MergeOptions other = merge;
  other.config.sampling["temperature"] = 0.1;
  EXPECT_ERROR(merge_shards(other), ErrorKind::invalid_argument, "temperature");
  std::filesystem::remove(out("parts.shard-2-of-3.jsonl"));
  EXPECT_ERROR(merge_shards(merge), ErrorKind::not_found, "shard-2-of-3", "missing");
}

TEST_F(Generate, AShardRunsIntoItsOwnFileOnly) {
  GenerateOptions part = options_;
  part.shard = {1, 3};
  EXPECT_EQ(run(part).tally.wanted, 2 * 4);
  EXPECT_FALSE(std::filesystem::exists(out("out.jsonl")));
  std::filesystem::copy(out("out.shard-1-of-3.jsonl"), out("out.shard-2-of-3.jsonl"));
  std::filesystem::copy(out("out.shard-1-of-3.jsonl.manifest.json"),
                        out("out.shard-2-of-3.jsonl.manifest.json"));
  part.shard = {2, 3};
  EXPECT_ERROR(run(part), ErrorKind::invalid_argument, "shard");
}

TEST_F(Generate, ADamagedManifestIsNotPassedOver) {
  run();
  dir_.write("out.jsonl.manifest.json", "{\"format\": 9}");
  EXPECT_ERROR(run(), ErrorKind::corrupt_file, "manifest", "format 1");
  dir_.write("out.jsonl.manifest.json", "");
  EXPECT_ERROR(run(), ErrorKind::corrupt_file, "manifest");
}

}  // namespace
}  // namespace qwen3::eval
