#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "qwen3/error.h"
#include "server/http/auth.h"

namespace qwen3::server {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  KeyFile()
      : folder_(std::filesystem::temp_directory_path() /
                ("qwen3-key-file-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~KeyFile() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& text, mode_t mode = 0600) {
    const auto path = folder_ / "keys";
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  std::string refusal(const std::filesystem::path& path) {
    try {
      read_key_file(path);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
      return error.what();
    }
    return "";
  }

  const std::string a_ = std::string(32, 'a');
  const std::string b_ = std::string(48, 'b');
  std::filesystem::path folder_;
};

TEST_F(KeyFile, HoldsNamedAndUnnamedKeys) {
  const auto keys = read_key_file(
      write("# comment\n\nalice:" + a_ + "\r\n  " + b_ + "  \n  bob : sk:" + a_ + "\n"));
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].name, "alice");
  EXPECT_EQ(keys[1].name, "key-4");
  EXPECT_EQ(keys[2].name, "bob");
  const KeyRing ring(keys);
  EXPECT_EQ(ring.identify(a_)->name, "alice");
  EXPECT_EQ(ring.identify(b_)->name, "key-4");
  EXPECT_EQ(ring.identify("sk:" + a_)->name, "bob");
  EXPECT_FALSE(ring.identify(a_ + "a"));
  EXPECT_FALSE(ring.identify(keys[0].digest)) << "a digest is no key";
  EXPECT_EQ(keys[0].digest.find(a_), std::string::npos);
}

TEST_F(KeyFile, LastLineNeedsNoEnd) { EXPECT_EQ(read_key_file(write(a_)).size(), 1u); }

TEST_F(KeyFile, RefusesFilesThatOthersCanReach) {
  for (const mode_t mode : {0640u, 0604u, 0644u, 0660u, 0620u, 0602u, 0611u, 0666u, 0777u}) {
    const std::string message = refusal(write(a_, mode));
    EXPECT_NE(message.find("0600"), std::string::npos) << mode << message;
  }
  for (const mode_t mode : {0600u, 0400u}) EXPECT_EQ(refusal(write(a_, mode)), "") << mode;
}

// A secret of root that a service which is not root may read by its group.
TEST_F(KeyFile, TakesRootsFilesByGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file of root to another user";
  constexpr gid_t kGroup = 54321;
  const auto is_taken = [&](mode_t mode) {
    const auto path = write(a_, mode);
    EXPECT_EQ(::chown(path.c_str(), 0, kGroup), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgroups(1, &kGroup) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
      ::_exit(refusal(path).empty() ? 1 : 2);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 9);
    return WEXITSTATUS(status) == 1;
  };
  for (const mode_t mode : {0440u, 0640u}) EXPECT_TRUE(is_taken(mode)) << mode;
  for (const mode_t mode : {0660u, 0444u, 0644u, 0600u}) EXPECT_FALSE(is_taken(mode)) << mode;
}

TEST_F(KeyFile, RefusesWhatIsNoFile) {
  EXPECT_NE(refusal(folder_), "");
  EXPECT_NE(refusal(folder_ / "missing"), "");
  const auto fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(refusal(fifo).find("regular"), std::string::npos);
  EXPECT_NE(refusal("/dev/null").find("regular"), std::string::npos);
}

TEST_F(KeyFile, RefusesBadLinesAndNeverShowsThem) {
  struct Case {
    std::string text;
    std::string part;  // of the message
  };
  const Case cases[] = {
      {"", "at least one"},
      {"# only\n", "at least one"},
      {std::string(31, 'z') + "\n", "32"},
      {"a:" + std::string(31, 'z') + "\n", "32"},
      {std::string(600, 'z') + "\n", "512"},
      {std::string(16, 'z') + " " + std::string(16, 'z'), "printable"},
      {std::string(32, 'z') + "\x01", "printable"},
      {std::string(32, 'z') + "\xC3\xA9", "printable"},
      {":" + std::string(32, 'z'), "name"},
      {"a b:" + std::string(32, 'z'), "name"},
      {std::string(65, 'n') + ":" + std::string(32, 'z'), "name"},
      {"a:" + a_ + "\na:" + std::string(32, 'z'), ":2"},
      {"a:" + std::string(32, 'z') + "\nb:" + std::string(32, 'z'), "twice"},
      {std::string(1100000, '#'), "larger"},
  };
  for (const Case& c : cases) {
    const std::string message = refusal(write(c.text));
    EXPECT_NE(message.find(c.part), std::string::npos) << c.text.substr(0, 50) << ": " << message;
    EXPECT_EQ(message.find("zzz"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qwen3::server
