// qwen3 eval as a program: killed at any moment, on a full disk, twice at once, with signals, with
// a model of its own, and with a server of ours that is killed. QWEN3_EVAL_KILLS sets how often it
// is killed, QWEN3_EVAL_SERVER_KILLS how often the server is (script/test-eval-durability).
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/sha256.h"
#include "cli/run_program.h"
#include "cli/serve/running_server.h"
#include "cli/terminal.h"
#include "eval/python/python_json.h"
#include "eval/run/mock_server.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

using test::MockReply;
using test::MockRequest;
using test::MockServer;
using test::ProgramResult;
using test::run_qwen3;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> sorted_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines = test::lines_of(read_file(path));
  std::sort(lines.begin(), lines.end());
  return lines;
}

// Answers that the question decides, of many sizes.
MockReply answer(const MockRequest& request) {
  const std::string prompt = request.prompt();
  const std::string hash = sha256_hex(prompt);
  std::string text;
  for (int i = 0; i < 1 + hash[0] % 40; ++i) text += hash;
  return {.body = test::chat_body(text), .delay = std::chrono::milliseconds(hash[1] % 4)};
}

// A child that is not waited for. Signals reach it alone.
pid_t start(const std::vector<std::string>& arguments,
            const std::string& log,
            rlim_t most_file_bytes = RLIM_INFINITY) {
  const pid_t child = fork();
  if (child != 0) return child;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  if (most_file_bytes != RLIM_INFINITY) {
    const rlimit limit{most_file_bytes, most_file_bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);  // write says EFBIG then
  }
  std::string binary = test::qwen3_binary().string();
  std::vector<std::string> words = arguments;
  std::vector<char*> argv{binary.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(binary.c_str(), argv.data());
  _exit(127);
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class Eval : public testing::Test {
 protected:
  Eval() : server_(std::make_unique<MockServer>(answer)) {
    std::string rows;
    for (int i = 0; i < kRows; ++i) {
      rows += "{\"prompt\": \"question " + std::to_string(i) +
              "\", \"answer\": [[1]], \"task_id\": \"" + std::to_string(i / 2) + "\"}\n";
    }
    dir_.write("data.jsonl", rows);
    write_config("config.yaml", server_->url());
  }

  void write_config(const std::string& name,
                    const std::string& url,
                    const std::string& more = "",
                    const std::string& model = "mock") {
    dir_.write(name,
               "input_file: " + path("data.jsonl") + "\noutput_file: " + path("out.jsonl") +
                   "\nbase_url: " + url + "\nmodel_name: " + model +
                   "\nmax_workers: 4\nserver_wait: 30\nretry_base: 0.01\n"
                   "retry_max: 0.05\nattempts: 1000\n" +
                   more);
  }

  std::string path(const std::string& name) const { return (dir_.path() / name).string(); }
  std::vector<std::string> command(const std::string& output = "out.jsonl") const {
    return {"eval", "generate", "--config", path("config.yaml"), "--output", path(output)};
  }

  static constexpr int kRows = 40;
  test::TempDir dir_;
  std::unique_ptr<MockServer> server_;
};

TEST_F(Eval, GeneratesAndSaysSo) {
  ProgramResult result = run_qwen3(command());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("40 of 40 samples have an answer (40 new)"), std::string::npos)
      << result.err;
  EXPECT_EQ(sorted_lines(path("out.jsonl")).size(), 40u);
  result = run_qwen3(command());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("(0 new)"), std::string::npos) << result.err;
}

TEST_F(Eval, SpellingAndUsage) {
  write_config("config.yaml", server_->url(), "temprature: 1\n");
  const ProgramResult result = run_qwen3(command());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("line 10: unknown key \"temprature\" is ignored; did you mean "
                            "\"temperature\"?"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(run_qwen3({"eval"}).exit_code, 2);
  EXPECT_NE(run_qwen3({"eval"}).err.find("qwen3 eval: no command given"), std::string::npos);
  EXPECT_NE(run_qwen3({"eval", "genrate"}).err.find("did you mean \"generate\""),
            std::string::npos);
  EXPECT_NE(run_qwen3({"eval", "generate", "--confg", "x"}).err.find("qwen3 eval generate"),
            std::string::npos);
  EXPECT_EQ(run_qwen3({"eval", "generate"}).exit_code, 2);
  std::vector<std::string> shard = command();
  shard.insert(shard.end(), {"--shard", "5/4"});
  EXPECT_EQ(run_qwen3(shard).exit_code, 2);
}

TEST_F(Eval, AnIncompleteRunSaysWhyAndFails) {
  MockServer refusing([](const MockRequest& request) {
    return request.prompt() == "question 3"
               ? MockReply{.status = 400, .body = test::error_body("too odd")}
               : answer(request);
  });
  write_config("config.yaml", refusing.url());
  const ProgramResult result = run_qwen3(command());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("39 of 40"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("1 failed (1 rejected)"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("run the same command again"), std::string::npos) << result.err;
  EXPECT_NE(read_file(path("out.jsonl.failures.jsonl")).find("too odd"), std::string::npos);
}

TEST_F(Eval, KilledAtAnyMomentItLosesNothing) {
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  const auto whole = sorted_lines(path("whole.jsonl"));
  const char* wanted = std::getenv("QWEN3_EVAL_KILLS");
  const int n_kills = wanted != nullptr ? std::atoi(wanted) : 20;
  std::mt19937 random(static_cast<unsigned>(n_kills));
  int n_killed = 0;
  int n_finished = 0;
  for (int run = 0; n_killed < n_kills; ++run) {
    const std::string output = "killed" + std::to_string(run) + ".jsonl";
    for (bool finished = false; !finished;) {
      const pid_t child = start(command(output), path("log"));
      // Most of a run, now and then all of it.
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 150'000));
      if (n_killed < n_kills) kill(child, SIGKILL);
      const int code = wait_for(child);
      if (code == -SIGKILL) ++n_killed;
      finished = code == 0;
      ASSERT_TRUE(finished || code == -SIGKILL) << code << ": " << read_file(path("log"));
    }
    ++n_finished;
    ASSERT_EQ(sorted_lines(path(output)), whole);
    for (const char* more : {"", ".manifest.json", ".timings.jsonl"}) {
      std::filesystem::remove(path(output + more));
    }
  }
  RecordProperty("runs", n_finished);
}

TEST_F(Eval, TheServerMayBeRestartedAnyTime) {
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  const uint16_t port = server_->port();
  const pid_t child = start(command(), path("log"));
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(15));
    server_.reset();
    server_ = std::make_unique<MockServer>(answer, port);
  }
  EXPECT_EQ(wait_for(child), 0) << read_file(path("log"));
  EXPECT_EQ(sorted_lines(path("out.jsonl")), sorted_lines(path("whole.jsonl")));
}

TEST_F(Eval, AFullDiskEndsItAndItGoesOn) {
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  for (const rlim_t most_bytes : {4000u, 10'001u, 20'002u}) {
    const std::string output = "full" + std::to_string(most_bytes) + ".jsonl";
    const int code = wait_for(start(command(output), path("log"), most_bytes));
    EXPECT_EQ(code, 1) << read_file(path("log"));
    EXPECT_NE(read_file(path("log")).find("again to resume"), std::string::npos)
        << read_file(path("log"));
    const std::string text = read_file(path(output));
    EXPECT_TRUE(text.empty() || text.ends_with('\n'));
    EXPECT_EQ(run_qwen3(command(output)).exit_code, 0);
    EXPECT_EQ(sorted_lines(path(output)), sorted_lines(path("whole.jsonl")));
  }
}

int64_t size_of(const std::string& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : static_cast<int64_t>(size);
}

// Answers that came at another attempt: the first was broken off.
int64_t n_repeated(const std::string& timings) {
  const auto lines = test::lines_of(read_file(timings));
  return std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("\"attempts\": 1,") == std::string::npos;
  });
}

// The real server with a real model, killed at random moments of its life, with answers half sent:
// 20 rows of nano_arc, sampled twice each. What the run leaves is what the unbroken run leaves.
TEST_F(Eval, OurServerMayBeKilledAnyTime) {
  const char* wanted = std::getenv("QWEN3_EVAL_SERVER_KILLS");
  const int n_kills = wanted != nullptr ? std::atoi(wanted) : 2;
  const std::vector<std::string> serve = {"-m", "nano", "--threads", "1"};
  auto server = std::make_unique<test::RunningServer>(serve);
  const uint16_t port = server->port();
  const auto rows = test::lines_of(read_file(QWEN3_SOURCE_DIR "/eval/data/nano_arc.jsonl"));
  std::string some;
  for (size_t i = 0; i < rows.size(); i += rows.size() / 20) some += rows[i] + "\n";
  dir_.write("data.jsonl", some);
  write_config("config.yaml",
               server->url(),
               "seed: 7\nn_samples: 2\nmax_tokens: 64\nthinking: false\n",
               "nano");
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  const auto whole = sorted_lines(path("whole.jsonl"));
  ASSERT_EQ(whole.size(), 40u);
  std::mt19937 random(static_cast<unsigned>(n_kills));
  int n_killed = 0, n_finished = 0;
  int64_t n_again = 0;
  while (n_killed < n_kills) {
    const std::string output = path("broken" + std::to_string(n_finished) + ".jsonl");
    const pid_t child = start(
        {"eval", "generate", "--config", path("config.yaml"), "--output", output}, path("log"));
    int status = 0;
    int64_t bytes = 0;
    while (waitpid(child, &status, n_killed < n_kills ? WNOHANG : 0) == 0) {
      // Every other time in the middle of the work, or a server never lives to its first answer.
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
      if (n_killed % 2 == 0 && size_of(output) == bytes) continue;
      server->stop(SIGKILL);
      ++n_killed;
      bytes = size_of(output);
      server = std::make_unique<test::RunningServer>(serve, port);
    }
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << read_file(path("log"));
    ++n_finished;
    ASSERT_EQ(sorted_lines(output), whole);
    EXPECT_FALSE(std::filesystem::exists(output + ".failures.jsonl"));
    n_again += n_repeated(output + ".timings.jsonl");
  }
  std::printf(
      "the server was killed %d times in %d runs; %d of %d answers came at another attempt\n",
      n_killed,
      n_finished,
      static_cast<int>(n_again),
      static_cast<int>(whole.size()) * n_finished);
}

// Waits for the file to hold something: the run is in its middle.
void wait_for_content(const std::string& file) {
  for (int i = 0; i < 3000; ++i) {
    std::error_code error;
    if (std::filesystem::exists(file, error) && std::filesystem::file_size(file, error) > 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ADD_FAILURE() << file << " stays empty";
}

MockReply slow_answer(const MockRequest& request) {
  MockReply reply = answer(request);
  reply.delay = std::chrono::milliseconds(request.prompt() == "question 0" ? 0 : 400);
  return reply;
}

TEST_F(Eval, TheSecondWriterLeavesAtOnce) {
  MockServer slow(slow_answer);
  write_config("config.yaml", slow.url());
  const pid_t child = start(command(), path("log"));
  wait_for_content(path("out.jsonl"));
  const ProgramResult second = run_qwen3(command());
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find("another process is writing this file"), std::string::npos)
      << second.err;
  kill(child, SIGTERM);
  EXPECT_EQ(wait_for(child), 1);
}

// The wall clock goes forth and back by an hour every few milliseconds: only moments that are
// written down may follow it, no wait, no key of a sample.
TEST_F(Eval, TheClockMayJump) {
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  std::string line =
      "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" QWEN3_JUMPING_CLOCK " exec $QWEN3";
  for (const std::string& word : command()) line += " '" + word + "'";
  const ProgramResult result = test::run_shell(line);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(sorted_lines(path("out.jsonl")), sorted_lines(path("whole.jsonl")));
  std::set<std::string> hours;  // "…T17:": the clock did jump
  for (const std::string& timing : sorted_lines(path("out.jsonl.timings.jsonl"))) {
    hours.insert(timing.substr(timing.find("\"finished\""), 26));
  }
  EXPECT_GT(hours.size(), 1u);
}

// A mount that may only be read. Not every system lets a test make one.
TEST_F(Eval, AReadOnlyFolderIsNamed) {
  std::filesystem::create_directory(path("fixed"));
  const std::string mount = "mount --bind " + path("fixed") + " " + path("fixed") +
                            " && mount -o remount,bind,ro " + path("fixed");
  if (test::run_shell("unshare -rm sh -c '" + mount + "'").exit_code != 0) {
    GTEST_SKIP() << "this system does not let us mount";
  }
  std::string eval;
  for (const std::string& word : command("fixed/out.jsonl")) eval += " " + word;
  const ProgramResult result =
      test::run_shell("unshare -rm sh -c '" + mount + " && exec $QWEN3" + eval + "'");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("fixed/out.jsonl"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("Read-only file system"), std::string::npos) << result.err;
}

TEST_F(Eval, SignalsStopItAndItGoesOn) {
  ASSERT_EQ(run_qwen3(command("whole.jsonl")).exit_code, 0);
  for (const int signal_number : {SIGINT, SIGTERM}) {
    MockServer slow(slow_answer);
    write_config("config.yaml", slow.url());
    const std::string output = "stopped" + std::to_string(signal_number) + ".jsonl";
    const pid_t child = start(command(output), path("log"));
    wait_for_content(path(output));
    kill(child, signal_number);
    EXPECT_EQ(wait_for(child), 1) << read_file(path("log"));
    EXPECT_NE(read_file(path("log")).find("run the same command again to resume"),
              std::string::npos)
        << read_file(path("log"));
    const size_t n_lines = sorted_lines(path(output)).size();
    EXPECT_LT(n_lines, 40u);
    if (signal_number == SIGINT) {
      EXPECT_GT(n_lines, 1u) << "answers under way are waited for";
    }
    write_config("config.yaml", server_->url());
    EXPECT_EQ(run_qwen3(command(output)).exit_code, 0);
    EXPECT_EQ(sorted_lines(path(output)), sorted_lines(path("whole.jsonl")));
  }
}

// The bar stands on the line until it is taken away.
TEST_F(Eval, ALineAfterTheBarOfLoadingBeginsItsOwn) {
  const std::string config =
      dir_.write("bar.yaml",
                 "input_file: " QWEN3_SOURCE_DIR "/eval/data/nano_arc.jsonl\noutput_file: " +
                     path("bar.jsonl") + "\ntask_name: arc_agi_1\nmax_tokens: 4\n")
          .string();
  test::Terminal terminal({"eval", "generate", "--config", config, "-m", "nano", "--limit", "1"});
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
  const std::string& screen = terminal.screen();
  ASSERT_NE(screen.find("loading weights ["), std::string::npos) << screen;
  const size_t line = screen.find("embedded:nano: ");
  ASSERT_NE(line, std::string::npos) << screen;
  const std::string before = screen.substr(0, line);
  EXPECT_TRUE(before.ends_with("\r\x1b[K") || before.ends_with("\n")) << screen;
}

TEST_F(Eval, AnEmbeddedModelNeedsNoServer) {
  const std::string config =
      dir_.write("nano.yaml",
                 "input_file: " QWEN3_SOURCE_DIR
                 "/eval/data/nano_arc.jsonl\n"
                 "output_file: " +
                     path("nano.jsonl") + "\ndetails_path: " + path("details/nano.jsonl") +
                     "\ntask_name: arc_agi_1\ntemperature: 0.0\ntop_k: 1\n"
                     "top_p: 1.0\npresence_penalty: 0.0\nmax_tokens: 64\n"
                     "thinking: false\nmax_workers: 8\n")
          .string();
  const std::vector<std::string> words = {
      "eval", "generate", "--config", config, "-m", "nano", "--limit", "6"};
  const ProgramResult result = run_qwen3(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto lines = sorted_lines(path("nano.jsonl"));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_NE(lines[0].find("\"finish_reason\": \""), std::string::npos);
  EXPECT_NE(read_file(path("nano.jsonl.manifest.json")).find("\"model_files\": \"sha256:"),
            std::string::npos);
  // Batches of any size answer the same.
  std::vector<std::string> alone = words;
  alone.insert(alone.end(), {"--output", path("alone.jsonl")});
  ProgramResult half = run_qwen3({"eval",
                                  "generate",
                                  "--config",
                                  config,
                                  "-m",
                                  "nano",
                                  "--limit",
                                  "2",
                                  "--output",
                                  path("alone.jsonl")});
  EXPECT_EQ(half.exit_code, 0) << half.err;
  EXPECT_EQ(run_qwen3(alone).exit_code, 0);
  EXPECT_EQ(sorted_lines(path("alone.jsonl")), lines);
  // Another model does not go on in the same file.
  std::vector<std::string> other = words;
  other[5] = "nano-moe";
  const ProgramResult refused = run_qwen3(other);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("identity.request.model"), std::string::npos) << refused.err;

  // Shards that this model answered are merged for it alone.
  const std::string rows = read_file(QWEN3_SOURCE_DIR "/eval/data/nano_arc.jsonl");
  size_t end = 0;
  for (int i = 0; i < 6; ++i) end = rows.find('\n', end) + 1;
  const std::vector<std::string> shards = {"--config",
                                           config,
                                           "--input",
                                           dir_.write("six.jsonl", rows.substr(0, end)).string(),
                                           "--output",
                                           path("parts.jsonl")};
  const auto with = [&](std::vector<std::string> first, const std::vector<std::string>& last) {
    first.insert(first.end(), shards.begin(), shards.end());
    first.insert(first.end(), last.begin(), last.end());
    return run_qwen3(first);
  };
  for (const char* shard : {"1/2", "2/2"}) {
    EXPECT_EQ(with({"eval", "generate"}, {"-m", "nano", "--shard", shard}).exit_code, 0) << shard;
  }
  EXPECT_EQ(with({"eval", "merge"}, {}).exit_code, 1);
  EXPECT_EQ(with({"eval", "merge"}, {"-m", "nano"}).exit_code, 0);
  EXPECT_EQ(sorted_lines(path("parts.jsonl")), lines);

  // --limit is all that was asked for: the score of those rows is complete.
  const ProgramResult scored =
      run_qwen3({"eval", "run", "--config", config, "-m", "nano", "--limit", "6"});
  EXPECT_NE(scored.out.find("ccuracy"), std::string::npos) << scored.out << scored.err;
  EXPECT_EQ(scored.exit_code, 0) << scored.err;
  EXPECT_NE(scored.out.find("6 of 6 scored"), std::string::npos) << scored.out;
  const ProgramResult more = run_qwen3({"eval",
                                        "score",
                                        "--config",
                                        config,
                                        "--input",
                                        path("nano.jsonl"),
                                        "--dataset",
                                        QWEN3_SOURCE_DIR "/eval/data/nano_arc.jsonl"});
  EXPECT_EQ(more.exit_code, 1) << "not all of the dataset was asked";
  EXPECT_EQ(sorted_lines(path("details/nano.jsonl")).size(), 6u);
}

std::vector<double> loglikelihoods_of(const std::string& line) {
  const eval::PyValue row = eval::py_load(line, "line");
  std::vector<double> values;
  for (const auto& value : *row.find("qwen3")->find("loglikelihoods")->list()) {
    values.push_back(*value.floating());
  }
  return values;
}

// Our server's /completions and the engine in this process: the same letters, and the same numbers
// but for their way through decimal digits.
TEST_F(Eval, ChoicesAreScoredByAServerOrInProcess) {
  dir_.write("data.jsonl", read_file(QWEN3_SOURCE_DIR "/eval/data/multiple_choice.jsonl"));
  const test::RunningServer server({"-m", "nano"});
  write_config("config.yaml", server.url(), "choose_by: loglikelihood\n", "nano");
  std::vector<std::string> words = command("served.jsonl");
  words[1] = "run";
  const ProgramResult served = run_qwen3(words);
  EXPECT_EQ(served.exit_code, 0) << served.err;
  EXPECT_NE(served.out.find("Task: multiple_choice, Accuracy: "), std::string::npos) << served.out;
  words = command("own.jsonl");
  words[1] = "run";
  words.insert(words.end(), {"-m", QWEN3_SOURCE_DIR "/models/nano"});  // whose name is nano
  const ProgramResult own = run_qwen3(words);
  EXPECT_EQ(own.exit_code, 0) << own.err;
  const auto up_to_times = [](const std::string& out) {
    return out.substr(0, out.find("\ntimes"));
  };
  EXPECT_EQ(up_to_times(own.out), up_to_times(served.out));

  const auto a = sorted_lines(path("served.jsonl"));
  const auto b = sorted_lines(path("own.jsonl"));
  ASSERT_EQ(a.size(), 4u);
  ASSERT_EQ(b.size(), 4u);
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t up_to_numbers = a[i].find("\"loglikelihoods\"");
    ASSERT_NE(up_to_numbers, std::string::npos) << a[i];
    EXPECT_EQ(a[i].substr(0, up_to_numbers), b[i].substr(0, up_to_numbers));
    const auto x = loglikelihoods_of(a[i]);
    const auto y = loglikelihoods_of(b[i]);
    ASSERT_EQ(x.size(), 4u);
    ASSERT_EQ(y.size(), 4u);
    for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(x[k], y[k], 1e-6 * std::abs(y[k]));
  }

  words.push_back("--strict");
  const ProgramResult strict = run_qwen3(words);
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_NE(strict.err.find("choose_by: loglikelihood: the official scripts"), std::string::npos)
      << strict.err;
}

}  // namespace
}  // namespace qwen3
