// What every command has in common: exit codes, one-line errors, help, and an empty stdout when
// something is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

constexpr std::array kCommands = {
    "chat", "generate", "logits", "tokenize", "render", "inspect", "bench", "quantize", "verify"};

void expect_refused(const std::vector<std::string>& arguments,
                    int exit_code,
                    const std::string& message) {
  const ProgramResult result = run_qwen3(arguments);
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
  EXPECT_THAT(result.err, HasSubstr(message));
}

TEST(Usage, NoCommandIsWrongUsage) { expect_refused({}, 2, "no command given"); }

TEST(Usage, UnknownCommandNamesTheNearest) {
  expect_refused({"genrate"}, 2, "unknown command \"genrate\"; did you mean \"generate\"?");
  expect_refused({"xyzzy"}, 2, "known are chat, generate");
}

TEST(Usage, UnknownOptionNamesTheNearest) {
  expect_refused(
      {"generate", "--ids", "1", "--temprature", "1"},
      2,
      "qwen3 generate: unknown option \"--temprature\"; did you mean \"--temperature\"?");
  expect_refused({"logits", "--idz=1,2"}, 2, "did you mean \"--ids\"?");
  expect_refused(
      {"bench", "--frobnicate"}, 2, "unknown option \"--frobnicate\"; qwen3 bench --help");
}

// What hands that know other programs type: it works, or the message says what there is instead.
TEST(Usage, OtherProgramsWords) {
  const auto works = [](const std::vector<std::string>& words, const char* part) {
    const ProgramResult result = run_qwen3(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr(part));
  };
  works({"help"}, "Usage: qwen3");
  works({"help", "chat"}, "Usage: qwen3 chat");
  works({"version"}, "qwen3 0.");
  works({"version"}, "\ncompiler   ");
  works({"version", "--json"}, "\"features\":\"");
  works({"chat", "-h"}, "Usage: qwen3 chat");
  works({"generate", "-p", "Once", "-n", "2", "-c", "64", "-t", "1", "--temp", "0", "--json"},
        "\"ids\":[");

  expect_refused({"chat", "-hf", "Qwen/Qwen3-0.6B", "hi"},
                 2,
                 "unknown option \"-hf\"; a model is downloaded by name once: qwen3 pull");
  expect_refused({"download"}, 2, "qwen3 pull Qwen/Qwen3-0.6B");
  expect_refused({"run"}, 2, "did you mean \"chat\"?");
  expect_refused({"ls"}, 2, "did you mean \"list\"?");
  expect_refused({"chat", "-ngl", "99", "hi"}, 2, "--backend cuda or --backend cpu");
  expect_refused({"chat", "--device", "cuda", "hi"}, 2, "--backend cuda or --backend cpu");
  expect_refused(
      {"chat", "--backend", "gpu", "hi"},
      2,
      "--backend: expected auto, reference, cpu or cuda; got \"gpu\"; NVIDIA cards are cuda");
  expect_refused({"chat", "--backend", "metal", "hi"}, 2, "processors and NVIDIA cards only");
  expect_refused(
      {"chat", "--dtype", "float16", "hi"}, 2, "checkpoints in float16 load as they are");
  expect_refused({"chat", "--dtype", "int8", "hi"}, 2, "quantised checkpoints load as they are");
  expect_refused({"chat", "--cpu-isa", "sse", "hi"}, 2, "--cpu-isa: expected one of baseline");
  expect_refused({"generate", "--max-tok", "1"}, 2, "did you mean \"--max-tokens\"?");
  expect_refused({"generate", "-m"}, 2, "--model: expected a value; got none");
  expect_refused({"-m", "nano", "chat", "hi"},
                 2,
                 "option \"-m\" stands before the command; write qwen3 chat -m");
  expect_refused({"trace", "nano-moe"}, 2, "unexpected argument \"nano-moe\"");
  expect_refused({"serve", "-np", "4"}, 2, "requests that run together: --parallel");
  expect_refused({"serve", "--api-key", "x"}, 2, "--api-key-file");
  expect_refused({"serve", "--enable-auto-tool-choice"}, 2, "leave it out");
  expect_refused({"serve", "nowhere/at/all"}, 1, "no such model directory");
  works({"inspect", "nano-moe"}, "embedded:nano-moe");
  works({"inspect", "nano", "--ctx-size", "64"}, "for 64 tokens");
  works(
      {"generate", "-p", "Once", "--n-predict", "2", "--max-model-len", "64", "-s", "1", "--json"},
      "\"ids\":[");
  expect_refused({"generate", "Once"}, 2, "a prompt is --prompt \"Once\"");
  expect_refused({"chat", "hello", "world"}, 2, "put a text of several words in quotes");
}

// QWEN3_* is what an option is when it is not typed.
TEST(Usage, OptionsFromTheEnvironment) {
  const auto run = [](const std::string& line) { return run_shell(line + " < /dev/null"); };
  const std::string three =
      "QWEN3_MODEL=nano QWEN3_MAX_TOKENS=3 QWEN3_TEMPERATURE=0 QWEN3_IGNORE_EOS=on QWEN3_JSON=1 ";
  const auto n_ids = [](const ProgramResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string ids = result.out.substr(0, result.out.find(']'));
    return 1 + std::count(ids.begin(), ids.end(), ',');
  };
  EXPECT_EQ(n_ids(run(three + "$QWEN3 generate --prompt a")), 3);
  EXPECT_EQ(n_ids(run(three + "$QWEN3 generate -p a --max-tokens 2")), 2);  // what is typed wins
  EXPECT_EQ(n_ids(run(three + "$QWEN3 generate -p a -n 2")), 2);
  EXPECT_EQ(n_ids(run(three + "$QWEN3 generate -p a --max-tokens=2")), 2);
  const auto refuses = [&](const std::string& line, const char* part) {
    const ProgramResult result = run(line);
    EXPECT_EQ(result.exit_code, 2) << line;
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  refuses("QWEN3_TEMPERATURE=hot $QWEN3 generate --prompt a", "(from QWEN3_TEMPERATURE)");
  refuses("QWEN3_QUIET=maybe $QWEN3 generate --prompt a", "QWEN3_QUIET: expected 1 or 0");
  // Of a command that would else require it.
  refuses("QWEN3_IDS=x $QWEN3 logits -m nano --out x.npy", "--ids: expected");
  refuses("QWEN3_TEMPERATURE= $QWEN3 generate --temperature hot -p a", "got \"hot\"\n");
  EXPECT_EQ(run("QWEN3_QUIET=maybe $QWEN3 generate --help").exit_code, 0);
  EXPECT_EQ(run("QWEN3_VERSION=1 QWEN3_HELP=1 QWEN3_MAX_TOKENS=x $QWEN3 version").exit_code, 0);
  refuses("QWEN3_YES=1 HF_HUB_CACHE=/nowhere $QWEN3 rm a/b c", "unexpected argument");
}

// A model that is none: what it is, and what to type.
TEST(Usage, ModelsThatAreNone) {
  const auto refused = [](const std::string& model, const std::string& part) {
    for (const char* command : {"generate", "inspect"}) {
      SCOPED_TRACE(command);
      std::vector<std::string> words = {command, "-m", model};
      if (words[0] == "generate") words.insert(words.end(), {"--prompt", "x"});
      expect_refused(words, 1, part);
    }
  };
  refused("Some/Model-1B", "to download it: qwen3 pull Some/Model-1B");
  refused("Some/Model-1B@v1:Q4_K_M", "to download it: qwen3 pull Some/Model-1B@v1:Q4_K_M");
  refused("qwen3:0.6b", "qwen3 pull Qwen/Qwen3-0.6B, then -m Qwen/Qwen3-0.6B");
  refused("nanoo", "did you mean \"nano\"?");
  refused("none.gguf", "none.gguf: no such GGUF file");
  const TempDir dir;
  refused(dir.path().string(), "no config.json here");
  refused(dir.path().string(), "found nothing");
  dir.write("x.txt", "x");
  refused(dir.path().string(), "found x.txt");

  const auto copy = [&](const char* name) {
    const std::filesystem::path to = dir.path() / name;
    std::filesystem::copy(std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano", to);
    return to;
  };
  const auto write = [](const std::filesystem::path& path, std::string_view text) {
    std::filesystem::remove(path);
    std::ofstream(path) << text;
  };
  constexpr std::string_view kPointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
  const auto pointer = copy("pointer");
  write(pointer / "model.safetensors", kPointer);
  refused(pointer.string(), "model.safetensors: a Git LFS pointer");
  write(pointer / "config.json", kPointer);
  refused(pointer.string(), "config.json: a Git LFS pointer");
  write(pointer / "config.json", "<!DOCTYPE html>\n<html>");
  refused(pointer.string(), "config.json: a web page");
  const auto bin = copy("bin");
  std::filesystem::remove(bin / "model.safetensors");
  write(bin / "pytorch_model.bin", "x");
  expect_refused({"generate", "--prompt", "x", "-m", bin.string()},
                 1,
                 "found pytorch_model.bin; only safetensors and GGUF");
  const auto shards = copy("shards");
  std::filesystem::remove(shards / "model.safetensors");
  write(shards / "model.safetensors.index.json",
        R"({"weight_map":{"model.norm.weight":"model-00001-of-00001.safetensors"}})");
  refused(shards.string(), "shard 1 of 1 is missing; is the download complete?");
}

TEST(Usage, UnexpectedArgument) {
  expect_refused({"inspect", "somewhere"}, 1, "somewhere: no such model directory");
  expect_refused({"inspect", "nano", "more"}, 2, "unexpected argument \"more\"");
}

TEST(Usage, NumbersAreStrict) {
  const auto refused = [](const std::string& option, const std::string& value) {
    SCOPED_TRACE(option + " " + value);
    expect_refused({"generate", "--ids", "1", option, value}, 2, option + ": expected");
  };
  for (const char* value : {"abc", "", "nan", "inf", "-0.5", "1e400", "101", "0x10", "1.0x"}) {
    refused("--temperature", value);
  }
  for (const char* value : {"1.5", "-2", "9999999999999999999", "2k"}) refused("--top-k", value);
  for (const char* value : {"0", "1.01", "-1"}) refused("--top-p", value);
  for (const char* value : {"-2.5", "2.5"}) refused("--presence-penalty", value);
  for (const char* value : {"-1", "18446744073709551616", "x"}) refused("--seed", value);
  for (const char* value : {"0", "-1"}) refused("--repetition-penalty", value);
  for (const char* value : {"-2", "1.5", "0"}) refused("--max-tokens", value);
  for (const char* value : {"-1", "5000"}) refused("--threads", value);
  refused("--context", "-1");
}

TEST(Usage, ChoicesAreStrict) {
  expect_refused({"generate", "--ids", "1", "--backend", "gpu"}, 2, "--backend");
  expect_refused({"generate", "--ids", "1", "--dtype", "int8"}, 2, "--dtype");
  expect_refused({"generate", "--ids", "1", "--cpu-isa", "sse9"}, 2, "--cpu-isa");
  expect_refused({"chat", "--thinking", "maybe", "hi"}, 2, "--thinking");
  expect_refused({"logits", "--ids", "1", "--aux", "other"}, 2, "--aux");
}

TEST(Usage, IdListsAreStrict) {
  for (const char* ids : {"1,,2", "", "1,2,", "a", "-1", "1.5", "1 2", "2147483648"}) {
    SCOPED_TRACE(ids);
    expect_refused({"generate", "-m", golden_model("dense"), "--ids", ids}, 2, "--ids: expected");
  }
}

TEST(Usage, TextsAreUtf8AndSomeAreNotEmpty) {
  const std::string bad = "ab\xff";
  const std::string why = ": expected UTF-8; got \"ab\xEF\xBF\xBD\", wrong at byte 2";
  expect_refused({"generate", "--prompt", bad}, 2, "qwen3 generate: --prompt" + why);
  expect_refused({"generate", "--prompt", "x", "--stop", "x", "--stop", bad}, 2, "--stop" + why);
  expect_refused({"chat", bad}, 2, "qwen3 chat: TEXT" + why);
  expect_refused({"chat", "--system", bad, "hi"}, 2, "--system" + why);
  expect_refused({"chat", "--stop", "", "hi"}, 2, "--stop: expected a text; got \"\"");
  expect_refused({"generate", "--prompt", ""}, 2, "--prompt: expected a text; got \"\"");
}

TEST(Usage, NamesAreNotEmpty) {
  expect_refused({"logits", "--ids", "1", "--out", ""}, 2, "--out: expected the name");
  expect_refused({"logits", "--ids", "1", "--taps", ""}, 2, "--taps: expected the name");
  expect_refused({"render", "--template", ""}, 2, "--template: expected the name");
  expect_refused({"bench", "--random-weights", ""}, 2, "--random-weights: expected the name");
}

TEST(Usage, MessagesAreUtf8WhateverWasTyped) {
  expect_refused({"generate", "--b\xff"}, 2, "unknown option \"--b\xEF\xBF\xBD\"");
  expect_refused({"inspect", "-m", "/no/\xff"}, 1, "/no/\xEF\xBF\xBD: no such model");
}

TEST(Usage, IdsAndPromptExcludeEachOther) {
  expect_refused({"generate", "--ids", "1", "--prompt", "x"}, 2, "excludes");
}

TEST(Usage, MissingRequiredOption) { expect_refused({"logits"}, 2, "--ids is required"); }

TEST(Usage, MissingModelIsNamed) {
  for (const char* command : {"chat", "generate", "tokenize", "render", "inspect"}) {
    SCOPED_TRACE(command);
    expect_refused({command, "-m", "/no/such/model"}, 1, "/no/such/model: no such model directory");
    expect_refused({command, "-m", ""}, 2, "--model: expected");
  }
}

TEST(Usage, AFileIsNoModel) {
  const TempDir dir;
  const std::string file = dir.write("config.json", "{}").string();
  expect_refused({"inspect", "--model", file}, 1, "config.json: expected a GGUF file, got");
}

TEST(Usage, ADirectoryWithoutCheckpointIsNamed) {
  const TempDir dir;
  expect_refused({"inspect", "--model", dir.path().string()}, 1, "config.json");
  expect_refused({"tokenize", "--model", dir.path().string()}, 1, "no config.json here");
  dir.write("config.json", "{}");
  expect_refused({"tokenize", "--model", dir.path().string()}, 1, "tokenizer.json");
}

TEST(Usage, ErrorsStayOnOneLine) {
  expect_refused({"inspect", "-m", "no\nsuch\tmodel"}, 1, "no such\\x09model");
}

TEST(Usage, HelpOfEveryCommand) {
  const ProgramResult all = run_qwen3({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_EQ(all.err, "");
  for (const char* command : kCommands) {
    SCOPED_TRACE(command);
    EXPECT_THAT(all.out, HasSubstr(command));
    const ProgramResult help = run_qwen3({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, HasSubstr("--model"));
  }
}

TEST(Usage, HelpIsGroupedAndWrappedAndEndsWithAnExample) {
  std::vector<std::string> commands(kCommands.begin(), kCommands.end());
  commands.insert(commands.end(), {"serve", "trace", "eval"});
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    const std::string help = run_qwen3({command, "--help"}).out;
    EXPECT_THAT(help, HasSubstr("Example: "));
    EXPECT_THAT(help, testing::Not(HasSubstr("TEXT TEXT")));
    EXPECT_THAT(help, testing::Not(HasSubstr("{false}")));
    EXPECT_THAT(help, testing::Not(HasSubstr("TEXT:{")));
    for (const std::string& line : lines_of(help)) {
      if (line.starts_with("Example: ")) continue;  // to be copied whole
      const auto characters = std::count_if(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
      });
      EXPECT_LE(characters, 100) << line;
    }
  }
  const std::string help = run_qwen3({"chat", "--help"}).out;
  for (const char* group : {"\nModel:\n", "\nSampling:\n", "\nComputation:\n", "\nOutput:\n"}) {
    EXPECT_THAT(help, HasSubstr(group));
  }
}

TEST(Usage, OptionsThatTheModelOrTheProcessorCannotHaveAreWrongUsage) {
  expect_refused(
      {"chat", "-m", "nano", "--context", "100000", "hi"}, 2, "--context: expected at most");
  expect_refused(
      {"generate", "-m", "nano", "--ids", "99999", "--quiet"}, 2, "--ids: expected token ids");
  expect_refused({"trace", "-m", "nano", "--prompt", "hi", "--quiet", "--taps", "x.y"}, 2, "x.y");
#if defined(__x86_64__)
  expect_refused(
      {"chat", "-m", "nano", "--cpu-isa", "neon", "hi"}, 2, "--cpu-isa: expected at most");
#endif
}

TEST(Usage, MoreThreadsThanCoresAreNoticed) {
  const auto said = [](const char* n) {
    return run_qwen3(
               {"generate", "-m", "nano", "--prompt", "a", "--max-tokens", "1", "--threads", n})
        .err;
  };
  EXPECT_THAT(said("400"), HasSubstr("--threads 400: this process may use"));
  EXPECT_THAT(said("1"), testing::Not(HasSubstr("this process may use")));
}

TEST(Usage, HelpShowsDefaults) {
  const std::string help = run_qwen3({"generate", "--help"}).out;
  for (const char* text : {"MODEL=nano", "cuda}=auto", "--n-predict INT=-1", "--threads INT=0"}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
}

TEST(Usage, Version) {
  const ProgramResult result = run_qwen3({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("qwen3 ")) << result.out;
}

}  // namespace
// What packages and shells ask for: there, and no part of --help.
TEST(Usage, ProgramWritesCompletionsAndManual) {
  const auto written = [](std::vector<std::string> words, const std::string& part) {
    const ProgramResult result = run_qwen3(std::move(words));
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, HasSubstr(part));
  };
  written({"completions", "bash"}, "\"chat --thinking\")\n      _qwen3_offer on off\n");
  written({"completions", "zsh"}, "--out=[");
  written({"completions", "fish"}, "-l thinking -x -a 'on off'");
  written({"manual"}, "\\fB\\-\\-thinking\\fR \\fI{on,off}\\fR");
  expect_refused({"completions", "csh"}, 2, "expected bash, zsh or fish; got \"csh\"");
  const std::string help = run_qwen3({"--help"}).out;
  EXPECT_THAT(help, testing::Not(HasSubstr("completions")));
  EXPECT_THAT(help, testing::Not(HasSubstr("manual")));
}

}  // namespace qwen3::test
