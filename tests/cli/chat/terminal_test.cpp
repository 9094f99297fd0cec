// chat on a terminal: lines, Ctrl-C, Ctrl-D, and a window that changes its size.
#include "cli/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "cli/scripted_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

class OnTerminal : public testing::Test {
 protected:
  // No history but the test's own, no key bindings but the built-in ones.
  std::vector<std::string> environment(const char* term = "xterm") const {
    const std::string home = model_.dir().path().string();
    return {"HOME=" + home, "XDG_STATE_HOME=" + home, std::string("TERM=") + term};
  }
  std::vector<std::string> chat() const {
    return {"chat", "-m", model_.path(), "--hide-thinking", "--quiet"};
  }
  // Long enough for the program to be waiting in read again. A test that is too fast here would
  // pass without testing anything; it cannot fail.
  static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

  ScriptedModel model_;
};

TEST_F(OnTerminal, AnswersAndLeaves) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
}

// Opening it would wait for a writer, and writing into it for a reader.
TEST_F(OnTerminal, AHistoryThatIsNoFileIsLeftAlone) {
  const std::filesystem::path folder = model_.dir().path() / "qwen3";
  std::filesystem::create_directories(folder);
  ASSERT_EQ(::mkfifo((folder / "history").c_str(), 0600), 0);
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "history"));
}

TEST_F(OnTerminal, AWindowMayChangeItsSizeAtThePrompt) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("h");
  for (const unsigned short columns : {40, 100, 60}) {
    pause();
    terminal.resize(columns);
  }
  pause();
  terminal.type("i\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  EXPECT_EQ(terminal.wait_pressing("\x04"), 0) << terminal.screen();
}

// A terminal marks what is pasted: its lines are one message, and only Enter sends it.
TEST_F(OnTerminal, PastedLinesAreOneMessage) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("\x1b[?2004h")) << terminal.screen();
  terminal.type("\x1b[200~one\n\ttwo\rthree\x1b[201~\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/save " + (model_.dir().path() / "talk.json").string() + "\n");
  ASSERT_TRUE(terminal.shows("saved 2 messages")) << terminal.screen();
  EXPECT_THAT(read_text_file(model_.dir().path() / "talk.json", 1 << 20),
              HasSubstr("one\\n\\ttwo\\nthree"));
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
}

TEST_F(OnTerminal, TabCompletesCommands) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("/sta\t\n");
  ASSERT_TRUE(terminal.shows("no answer yet")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/se");
  terminal.type("\t");  // /set and /seed
  ASSERT_TRUE(terminal.shows("/set   /seed ")) << terminal.screen();
  terminal.type("t top_\t");
  ASSERT_TRUE(terminal.shows("/set top_p")) << terminal.screen();
  pause();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows("Ctrl-C again")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  pause();
  terminal.type("exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
}

TEST_F(OnTerminal, ContinuedLinesAreOneEntryOfTheHistory) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("one\\\n");
  ASSERT_TRUE(terminal.shows("… ")) << terminal.screen();
  terminal.type("two\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> "));
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
  const std::string history = read_text_file(model_.dir().path() / "qwen3/history", 1 << 20);
  EXPECT_THAT(history, HasSubstr("one"));
  EXPECT_THAT(history, testing::Not(HasSubstr("\ntwo")));
}

TEST_F(OnTerminal, NoColorIsHeeded) {
  std::vector<std::string> words = {"chat", "-m", model_.path(), "--quiet", "hi"};
  Terminal dimmed(words, environment());
  EXPECT_EQ(dimmed.wait(), 0);
  EXPECT_THAT(dimmed.screen(), HasSubstr("\x1b[2m"));
  std::vector<std::string> plain = environment();
  plain.push_back("NO_COLOR=1");
  Terminal tagged(words, plain);
  EXPECT_EQ(tagged.wait(), 0);
  EXPECT_THAT(tagged.screen(), testing::Not(HasSubstr("\x1b[2m")));
  EXPECT_THAT(tagged.screen(), HasSubstr("<think>"));
}

TEST_F(OnTerminal, ALongTraceSaysWhatItDoes) {
  Terminal terminal({"trace", "-m", "nano", "--prompt", "Once", "--generate", "4", "--attention"},
                    environment());
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_THAT(terminal.screen(), HasSubstr("tracing: the prompt\r\x1b[K"));
}

TEST_F(OnTerminal, CtrlCGivesUpTheLineAndTheSecondOneLeaves) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("half a line");
  pause();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows("Ctrl-C again")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  pause();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
  EXPECT_THAT(terminal.screen(), testing::Not(HasSubstr("hey")));
}

// A NUL is what the kernel makes of a Ctrl-D that came before the prompt.
TEST_F(OnTerminal, CtrlDPressedTooEarlyDoesNotSpoilTheNext) {
  Terminal terminal(chat(), environment());
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  pause();
  terminal.type(std::string_view("\0", 1));
  pause();
  EXPECT_EQ(terminal.wait_pressing("\x04"), 0) << terminal.screen();
}

TEST_F(OnTerminal, WorksOnADumbTerminal) {
  Terminal terminal(chat(), environment("dumb"));
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("hi\n");
  ASSERT_TRUE(terminal.shows("hey é")) << terminal.screen();
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  EXPECT_EQ(terminal.wait_pressing("\x04"), 0) << terminal.screen();
}

}  // namespace
}  // namespace qwen3::test
