// The program on a terminal of its own (a pseudo-terminal), as a person would use it.
#pragma once

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cli/run_program.h"

namespace qwen3::test {

class Terminal {
 public:
  // Runs qwen3 with all three streams on the terminal. Each of `environment` is "NAME=VALUE".
  explicit Terminal(const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment = {}) {
    winsize size{24, 80, 0, 0};
    child_ = forkpty(&master_, nullptr, nullptr, &size);
    if (child_ < 0) throw std::runtime_error("forkpty failed");
    if (child_ > 0) return;
    signal(SIGPIPE, SIG_DFL);
    for (const std::string& entry : environment) {
      const size_t equals = entry.find('=');
      setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
    }
    std::vector<std::string> words{qwen3_binary().string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view text) const {
    if (write(master_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error("the terminal takes no input");
    }
  }

  // The kernel tells the program by SIGWINCH.
  void resize(unsigned short columns) const {
    const winsize size{24, columns, 0, 0};
    ioctl(master_, TIOCSWINSZ, &size);
  }

  // Waits until `text` is shown after what earlier calls waited for. False when the program ended
  // or half a minute passed.
  bool shows(std::string_view text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      if (const size_t at = screen_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      if (std::chrono::steady_clock::now() > deadline || !more()) return false;
    }
  }

  // The exit code, or -signal, after the program has ended by itself.
  int wait() {
    while (more()) continue;
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  const std::string& screen() const { return screen_; }  // all that was shown
  pid_t pid() const { return child_; }

 private:
  // Reads what there is; false at the end, or when nothing came for half a minute.
  bool more() {
    pollfd state{master_, POLLIN, 0};
    if (poll(&state, 1, 30'000) <= 0) return false;
    std::array<char, 4096> buffer;
    const ssize_t n = read(master_, buffer.data(), buffer.size());
    if (n <= 0) return false;  // EIO: the program has closed its side
    screen_.append(buffer.data(), static_cast<size_t>(n));
    return true;
  }

  pid_t child_ = -1;
  int master_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

}  // namespace qwen3::test
