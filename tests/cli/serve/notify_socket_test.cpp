// What a service manager hears of qwen3 serve, on a real datagram socket in its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "cli/run_program.h"
#include "cli/serve/running_server.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The manager's end: `name` as NOTIFY_SOCKET has it, set for the programs that are started meanwhile.
class ServiceManager {
 public:
  explicit ServiceManager(const std::string& name) : fd_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), bytes), 0);
    const timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~ServiceManager() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
  }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  std::string hear() const {
    std::array<char, 4096> buffer;
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    return n < 0 ? "nothing in time" : std::string(buffer.data(), static_cast<size_t>(n));
  }
  bool is_silent() const {
    char byte = 0;
    return recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
  }

 private:
  const int fd_;
};

void expect_a_life(const std::string& name) {
  const ServiceManager manager(name);
  RunningServer server({"-m", "nano"});
  EXPECT_EQ(manager.hear(), "STATUS=loading the model");
  EXPECT_THAT(manager.hear(), StartsWith("READY=1\n"));
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  EXPECT_TRUE(manager.is_silent());
  EXPECT_EQ(server.stop(SIGTERM), 0);
  EXPECT_THAT(manager.hear(), StartsWith("STOPPING=1\n"));
  EXPECT_TRUE(manager.is_silent());
}

TEST(NotifySocket, TellsWhenItAnswersAndWhenItEnds) {
  const std::string pid = std::to_string(getpid());
  expect_a_life("@qwen3-notify-test-" + pid);
  const auto path = std::filesystem::temp_directory_path() / ("qwen3-notify-test-" + pid);
  expect_a_life(path);
  std::filesystem::remove(path);
}

// Answers matter more than the manager: one that is gone is named, and the server serves.
TEST(NotifySocket, GoesOnWithoutAManager) {
  setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
  RunningServer server({"-m", "nano"});
  unsetenv("NOTIFY_SOCKET");
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  server.send_signal(SIGTERM);
  const auto [rest, exit_code] = server.wait_for_end();
  EXPECT_EQ(exit_code, 0);
  EXPECT_THAT(server.said() + rest, HasSubstr("the service manager was not told READY=1: No such"));
}

TEST(NotifySocket, RefusesWhatCannotBeASocket) {
  for (const std::string& name :
       {std::string("relative/path"), std::string("@"), "/" + std::string(200, 'x')}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const ProgramResult result = run_qwen3({"serve", "-m", "nano", "--port", "0"});
    unsetenv("NOTIFY_SOCKET");
    EXPECT_EQ(result.exit_code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr("NOTIFY_SOCKET: expected the absolute path")) << name;
  }
}

}  // namespace
}  // namespace qwen3::test
