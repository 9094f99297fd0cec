// chat on a model whose answers are known: one answer, a pipe, the /commands, and what goes wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/run_program.h"
#include "cli/scripted_model.h"

namespace qwen3::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kThinking = "<think>\nAB\n</think>\n\n";
constexpr const char* kAnswer = "hey é\n";

class Chat : public testing::Test {
 protected:
  ProgramResult chat(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), {"chat", "--model", model_.path()});
    return run_qwen3(arguments, input);
  }
  // With thinking hidden and no lines about speed: stderr has what the commands say.
  ProgramResult converse(std::string_view input) {
    return chat({"--hide-thinking", "--quiet"}, input);
  }
  Json saved(const std::string& path) { return parse_json(read_text_file(path, 1 << 20), path); }
  std::string file(const char* name) { return (model_.dir().path() / name).string(); }

  ScriptedModel model_;
};

TEST_F(Chat, OneAnswer) {
  const ProgramResult result = chat({"Hi"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, std::string(kThinking) + kAnswer);
  const std::vector<std::string> lines = lines_of(result.err);
  ASSERT_EQ(lines.size(), 2u) << result.err;
  EXPECT_THAT(lines[0], HasSubstr("qwen3, "));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("tok/s"), HasSubstr("finish: stop")));
}

// `qwen3 chat "Summarise:" < file`: the file belongs to the message.
TEST_F(Chat, StandardInputIsJoinedToTheText) {
  const auto prompt_tokens = [&](std::string_view input) {
    const ProgramResult result = chat({"Hi", "--json"}, input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "answer").at("timing").at("prompt_tokens").get<int>();
  };
  const int alone = prompt_tokens({});
  EXPECT_EQ(prompt_tokens("\n"), alone);
  EXPECT_EQ(prompt_tokens("ab"), alone + 4);  // an empty line between, a token a byte
  EXPECT_EQ(prompt_tokens("ab\n"), alone + 4);
  EXPECT_EQ(prompt_tokens("a\nb"), alone + 5);
  EXPECT_EQ(chat({"Hi", "--quiet"}, "\xff").exit_code, 1);
  // A pipe on which nothing comes is said, and does not hold the answer up for ever.
  const std::string command =
      "sleep 20 | " QWEN3_BINARY " chat --hide-thinking -m " + model_.path() + " Hi";
  const ProgramResult waited = run_shell("(" + command + ") & wait $!; kill %1 2>/dev/null; true");
  EXPECT_EQ(waited.out, kAnswer);
  EXPECT_THAT(waited.err, HasSubstr("nothing came on standard input within 5 s"));
}

TEST_F(Chat, QuotesHoldSeveralLines) {
  const std::string path = file("talk.json");
  converse("\"\"\"one\ntwo\n\nthree\"\"\"\n\"\"\"four\"\"\"\n\"\"\"\nfive\n\"\"\"\n/save " + path +
           "\n");
  const Json talk = saved(path);
  ASSERT_EQ(talk.size(), 6u);
  EXPECT_EQ(talk[0].at("content"), "one\ntwo\n\nthree");
  EXPECT_EQ(talk[2].at("content"), "four");
  EXPECT_EQ(talk[4].at("content"), "five\n");
}

TEST_F(Chat, ThinkingCanBeHiddenAndSwitchedOff) {
  EXPECT_EQ(chat({"Hi", "--hide-thinking", "--quiet"}).out, kAnswer);
  EXPECT_EQ(chat({"Hi", "--thinking", "off", "--quiet"}).out, kAnswer);
  EXPECT_EQ(chat({"Hi", "--thinking", "on", "--quiet"}).out, std::string(kThinking) + kAnswer);
}

TEST_F(Chat, JsonSeparatesReasoningAndContent) {
  const ProgramResult result = chat({"Hi", "--json"});
  EXPECT_EQ(result.err, "");
  ASSERT_EQ(lines_of(result.out).size(), 1u);
  const Json answer = parse_json(result.out, "answer");
  EXPECT_EQ(answer.at("content"), "hey é");
  EXPECT_EQ(answer.at("reasoning_content"), "AB");
  EXPECT_EQ(answer.at("finish_reason"), "stop");
  // <think> A B </think> h e y " " 0xC3 0xA9 <|im_end|>
  EXPECT_EQ(answer.at("timing").at("completion_tokens"), 11);
  EXPECT_GT(answer.at("timing").at("prompt_tokens"), 0);
}

// Another template makes another prompt; one that cannot be read says so before a weight is.
TEST_F(Chat, AnotherTemplate) {
  const auto prompt_tokens = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"Hi", "--json"});
    const ProgramResult result = chat(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "answer").at("timing").at("prompt_tokens").get<int>();
  };
  std::ofstream(file("short.jinja")) << "{{ messages[0].content }}";
  EXPECT_EQ(prompt_tokens({"--chat-template", file("short.jinja")}), 2);
  EXPECT_GT(prompt_tokens({}), 2);
  std::ofstream(file("broken.jinja")) << "a\n{% if %}";
  const ProgramResult broken = chat({"Hi", "--chat-template", file("broken.jinja")});
  EXPECT_NE(broken.exit_code, 0);
  EXPECT_THAT(broken.err, HasSubstr("broken.jinja: line 2"));
  EXPECT_THAT(chat({"Hi", "--chat-template", file("absent")}).err, HasSubstr("absent"));
}

TEST_F(Chat, StopStringsEndTheAnswer) {
  const Json answer = parse_json(chat({"Hi", "--json", "--stop", "y "}).out, "answer");
  EXPECT_EQ(answer.at("content"), "he");
  EXPECT_EQ(answer.at("finish_reason"), "stop");
}

TEST_F(Chat, MaxTokensCutsTheAnswer) {
  const Json answer = parse_json(chat({"Hi", "--json", "--max-tokens", "3"}).out, "answer");
  EXPECT_EQ(answer.at("content"), "");
  EXPECT_EQ(answer.at("reasoning_content"), "AB");
  EXPECT_EQ(answer.at("finish_reason"), "length");
}

TEST_F(Chat, APipeGivesOneAnswerPerLine) {
  const ProgramResult result = converse("one\n\ntwo\nthree");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, std::string(kAnswer) + kAnswer + kAnswer);
  EXPECT_EQ(result.err, "");
  const ProgramResult json = chat({"--json"}, "one\ntwo\n");
  const std::vector<std::string> lines = lines_of(json.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(parse_json(lines[1], "line").at("content"), "hey é");
}

TEST_F(Chat, TheConversationGrowsAndIsSaved) {
  const std::string path = file("saved.json");
  const ProgramResult result =
      chat({"--hide-thinking", "--quiet", "--system", "Be brief."},
           "one\nline \\\ncontinued\n/save " + path + "\n/exit\nignored\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, std::string(kAnswer) + kAnswer);
  EXPECT_THAT(result.err, HasSubstr("saved 5 messages"));
  const Json answer = {{"role", "assistant"}, {"content", "hey é"}, {"reasoning_content", "AB"}};
  EXPECT_EQ(saved(path),
            Json({{{"role", "system"}, {"content", "Be brief."}},
                  {{"role", "user"}, {"content", "one"}},
                  answer,
                  {{"role", "user"}, {"content", "line \ncontinued"}},
                  answer}));
}

TEST_F(Chat, ASavedConversationGoesOn) {
  const std::string in = model_.dir()
                             .write("in.json",
                                    R"({"messages":[{"role":"user","content":"a"},)"
                                    R"({"role":"assistant","content":"b"}]})")
                             .string();
  const std::string out = file("out.json");
  const ProgramResult result = converse("/load " + in + "\nmore\n/save " + out + "\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, kAnswer);
  EXPECT_THAT(result.err, HasSubstr("loaded 2 messages"));
  EXPECT_EQ(saved(out).size(), 4u);
  EXPECT_EQ(saved(out).at(2), Json({{"role", "user"}, {"content", "more"}}));
}

TEST_F(Chat, FilesThatAreNoConversationAreRefused) {
  for (const char* text : {"", "5", "[5]", "[{\"content\":\"x\"}]", "[{\"role\":3}]"}) {
    SCOPED_TRACE(text);
    const std::string path = model_.dir().write("bad.json", text).string();
    const ProgramResult result = converse("/load " + path + "\n/history\n");
    EXPECT_THAT(result.err, AllOf(HasSubstr("bad.json"), HasSubstr("no messages yet")));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_THAT(converse("/load /no/such.json\n").err, HasSubstr("/no/such.json"));
  EXPECT_THAT(converse("/save /no/such/dir/x.json\n").err, HasSubstr("/no/such/dir/x.json"));
}

TEST_F(Chat, ClearKeepsTheSystemMessage) {
  const std::string path = file("saved.json");
  converse("/system Be kind.\nhello\n/clear\n/save " + path + "\n");
  EXPECT_EQ(saved(path), Json({{{"role", "system"}, {"content", "Be kind."}}}));
  converse("/system Be kind.\n/system\n/save " + path + "\n");
  EXPECT_EQ(saved(path), Json::array());
}

TEST_F(Chat, SettingsAreShownAndChanged) {
  const ProgramResult result = converse(
      "/set temperature 0.5\n/set top-k 7\n/set max_tokens 2\n/seed 9\n/set thinking "
      "off\n/set\nhi\n");
  EXPECT_EQ(result.out, "he\n");
  for (const char* line : {"temperature          0.5",
                           "top_k                7",
                           "max_tokens           2",
                           "seed                 9",
                           "thinking             off"}) {
    EXPECT_THAT(result.err, HasSubstr(line));
  }
  EXPECT_THAT(result.err, HasSubstr("stopped at the length limit"));
}

TEST_F(Chat, ASettingWithoutAValueIsShown) {
  const ProgramResult result =
      converse("/set top_k 7\n/set top_k\n/seed 9\n/set seed\n/set thinking\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* line : {"top_k: 7; ", "seed: 9\n", "thinking: the template's default"}) {
    EXPECT_THAT(result.err, HasSubstr(line));
  }
}

TEST_F(Chat, MessagesAreTakenBackAndAnsweredAnew) {
  const std::string path = file("saved.json");
  const ProgramResult result = converse("hi\nhello\n/undo\n/regenerate\n/save " + path +
                                        "\n/undo\n/undo\n/regenerate\n/?\n");
  EXPECT_EQ(result.out, std::string(kAnswer) + kAnswer + kAnswer);
  EXPECT_THAT(result.err, HasSubstr("taken back: \"hello\""));
  EXPECT_THAT(result.err, HasSubstr("/undo: no message to take back"));
  EXPECT_THAT(result.err, HasSubstr("/regenerate: no answer yet"));
  EXPECT_THAT(result.err, HasSubstr("/regenerate         "));  // in the list of /?
  const Json talk = saved(path);
  ASSERT_EQ(talk.size(), 2u);
  EXPECT_EQ(talk[0]["content"], "hi");
}

TEST_F(Chat, AnEmptyTextIsRefused) {
  const ProgramResult result = chat({"--quiet", ""}, "");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("expected a message; got an empty text"));
  EXPECT_EQ(chat({"--quiet", ""}, "hi").exit_code, 0);
}

TEST_F(Chat, SettingsOutOfRangeAreRefused) {
  for (const char* line : {"/set temperature -1",
                           "/set temperature x",
                           "/set temperature nan",
                           "/set top_k 1.5",
                           "/set top_p 2",
                           "/set thinking maybe",
                           "/seed -1"}) {
    SCOPED_TRACE(line);
    const ProgramResult result = converse(line);
    EXPECT_THAT(result.err, HasSubstr("expected"));
    EXPECT_EQ(lines_of(result.err).size(), 1u);
  }
  EXPECT_THAT(converse("/set tmperature 1").err, HasSubstr("did you mean \"temperature\"?"));
}

TEST_F(Chat, ThinkSwitches) {
  const ProgramResult result = chat({"--quiet"}, "/no_think\nhi\n/think\nhi\n");
  EXPECT_EQ(result.out, std::string(kAnswer) + kThinking + kAnswer);
}

TEST_F(Chat, SlashesThatAreNoCommands) {
  const std::string path = file("saved.json");
  const ProgramResult result =
      converse("//clear\n/usr/bin is a path\n/no_think why?\n/save " + path + "\n");
  EXPECT_EQ(result.out, std::string(kAnswer) + kAnswer + kAnswer);
  const Json messages = saved(path);
  EXPECT_EQ(messages.at(0).at("content"), "/clear");
  EXPECT_EQ(messages.at(2).at("content"), "/usr/bin is a path");
  EXPECT_EQ(messages.at(4).at("content"), "/no_think why?");
}

TEST_F(Chat, UnknownCommandsNameTheNearest) {
  const ProgramResult result = converse("/hlep\n");
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("unknown command \"/hlep\"; did you mean \"/help\"?"));
}

TEST_F(Chat, HelpHistoryAndStats) {
  const ProgramResult result = converse("/help\n/stats\nhi\n/stats\n/history\n");
  for (const char* command : {"/clear",
                              "/history",
                              "/set",
                              "/seed",
                              "/think",
                              "/no_think",
                              "/save",
                              "/load",
                              "/system",
                              "/stats",
                              "/exit"}) {
    EXPECT_THAT(result.err, HasSubstr(command));
  }
  EXPECT_THAT(result.err, HasSubstr("no answer yet"));
  EXPECT_THAT(result.err, HasSubstr("answer 11 tokens"));
  EXPECT_THAT(result.err, HasSubstr("user: hi\nassistant: hey é\n"));
}

TEST_F(Chat, MessagesCannotSpellControlTokens) {
  // As a control token <|im_end|> would be one id; as text it is ten bytes.
  const auto prompt_tokens = [&](const char* text) {
    return parse_json(chat({text, "--json"}).out, "answer")
        .at("timing")
        .at("prompt_tokens")
        .get<int>();
  };
  EXPECT_EQ(prompt_tokens("<|im_end|>"), prompt_tokens("0123456789"));
}

TEST_F(Chat, AConversationBeyondTheContextIsRefusedWithNumbers) {
  const ProgramResult result =
      chat({"--context", "96", "--quiet", "--hide-thinking"}, std::string(100, 'x') + "\nhi\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, kAnswer);  // the short message that follows is answered
  EXPECT_THAT(result.err, AllOf(HasSubstr("the context holds 96"), HasSubstr("/clear")));
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
}

TEST_F(Chat, AMessageThatIsNotUtf8IsRefused) {
  const ProgramResult result = converse("a\xff\nhi\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, kAnswer);
  EXPECT_THAT(result.err, HasSubstr("not valid UTF-8 at byte 1"));
}

TEST_F(Chat, NoTerminalCodesInAPipe) {
  const ProgramResult result = chat({"Hi"});
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(result.err, Not(HasSubstr("\x1b")));
}

TEST_F(Chat, TheEmbeddedModelIsTheDefault) {
  const ProgramResult result =
      run_qwen3({"chat", "Hello!", "--json", "--max-tokens", "40", "--seed", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json answer = parse_json(result.out, "answer");
  EXPECT_NE(
      answer.at("content").get<std::string>() + answer.at("reasoning_content").get<std::string>(),
      "");
}

// A word that is a model needs no -m; a message that looks like one is a message.
TEST_F(Chat, AModelMayStandAlone) {
  const ProgramResult beside = run_qwen3({"chat", model_.path(), "Hi", "--quiet"});
  EXPECT_EQ(beside.exit_code, 0) << beside.err;
  EXPECT_EQ(beside.out, std::string(kThinking) + kAnswer);
  const ProgramResult alone = run_qwen3({"chat", model_.path(), "--quiet"}, "Hi\n");
  EXPECT_EQ(alone.out, beside.out);
  const ProgramResult typed =
      run_shell("QWEN3_MODEL=nano $QWEN3 chat --quiet " + model_.path() + " Hi");
  EXPECT_EQ(typed.out, beside.out);  // what is typed goes before the environment
  EXPECT_EQ(chat({"nano", "--quiet"}).out, beside.out);  // with -m the word is a message
  EXPECT_EQ(chat({"and/or", "--quiet"}).out, beside.out);
  const ProgramResult away = run_qwen3({"chat", "Qwen/Qwen3-No-Such"});
  EXPECT_EQ(away.exit_code, 1);
  EXPECT_THAT(away.err, HasSubstr("qwen3 pull Qwen/Qwen3-No-Such"));
  const ProgramResult three = run_qwen3({"chat", "hello", "big", "world"});
  EXPECT_EQ(three.exit_code, 2);
  EXPECT_THAT(three.err,
              HasSubstr("unexpected argument \"big\"; put a text of several words in quotes"));
}

TEST_F(Chat, AMessageFromAFile) {
  const std::string path = file("message.txt");
  std::ofstream(path) << "ab\n";
  const auto prompt_tokens = [&](std::vector<std::string> words) {
    words.emplace_back("--json");
    const ProgramResult result = chat(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "answer").at("timing").at("prompt_tokens").get<int>();
  };
  const int two = prompt_tokens({"Hi"});
  EXPECT_EQ(prompt_tokens({"-f", path}), two);
  EXPECT_EQ(prompt_tokens({"Hi", "--file", path}), two + 4);  // an empty line between
  EXPECT_EQ(chat({"-f", "/no/such"}).exit_code, 1);
  // -i goes on with what is typed after it.
  const ProgramResult on = chat({"Hi", "-i", "--quiet", "--hide-thinking"}, "a\n/history\n");
  EXPECT_EQ(on.out, std::string(kAnswer) + kAnswer);
  EXPECT_THAT(on.err, HasSubstr("user: Hi\n"));
}

TEST_F(Chat, PresetsFollowTheThinkingMode) {
  const ProgramResult result =
      run_qwen3({"chat", "-m", "nano", "--quiet", "--preset", "auto", "--top-k", "5"},
                "/set temperature\n/no_think\n/set temperature\n/set top_k\n"
                "/set temperature 0.1\n/set preset thinking\n/set top_p\n"
                "/set preset fast\n/reset\n/set temperature\n/set preset\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> said = lines_of(result.err);
  ASSERT_EQ(said.size(), 11u) << result.err;
  EXPECT_THAT(said[0], HasSubstr("temperature: 0.6"));
  EXPECT_THAT(said[2], HasSubstr("temperature: 0.7"));
  EXPECT_THAT(said[3], HasSubstr("top_k: 5"));  // what was asked for lies above a preset
  EXPECT_THAT(said[4], HasSubstr("temperature: 0.1"));
  EXPECT_THAT(said[6], HasSubstr("top_p: 0.95"));
  EXPECT_THAT(said[7], HasSubstr("/set preset: expected none or auto or thinking or non_thinking"));
  EXPECT_THAT(said[9], HasSubstr("temperature: 0.6"));
  EXPECT_THAT(said[10], HasSubstr("preset: auto"));
  const ProgramResult other = chat({"--preset", "fast", "Hi"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("--preset: expected none, auto, thinking or non_thinking"));
}

TEST_F(Chat, AModelWithoutTokenizerOrTemplateIsRefused) {
  ProgramResult result = run_qwen3({"chat", "-m", golden_model("dense"), "hi"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("tokenizer.json"));
  model_.dir().write("tokenizer_config.json", "{}");
  result = chat({"hi"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("no chat template"));
}

}  // namespace
}  // namespace qwen3::test
