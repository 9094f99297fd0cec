// Runs the built qwen3 binary as a user would, and keeps what it said.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3::test {

struct ProgramResult {
  int exit_code = -1;  // -signal when a signal ended it
  std::string out, err;
};

// `input` becomes its standard input. Terminals are not involved.
ProgramResult run_qwen3(const std::vector<std::string>& arguments, std::string_view input = {});

// The same for a line of /bin/sh, in which $QWEN3 is the binary: for redirections.
ProgramResult run_shell(const std::string& line, std::string_view input = {});

// The binary under test.
std::filesystem::path qwen3_binary();

// tests/data/models/<name>: a tiny checkpoint, without a tokenizer.
std::string golden_model(std::string_view name);

// The lines of a text, without their ends.
std::vector<std::string> lines_of(std::string_view text);

namespace detail {

struct Pipe {
  Pipe() {
    if (pipe2(fds.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(size_t end) {
    if (fds[end] >= 0) close(fds[end]);
    fds[end] = -1;
  }
  std::array<int, 2> fds{-1, -1};
};

inline void exec_child(const std::vector<std::string>& command, Pipe& in, Pipe& out, Pipe& err) {
  dup2(in.fds[0], STDIN_FILENO);
  dup2(out.fds[1], STDOUT_FILENO);
  dup2(err.fds[1], STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);  // which the parent ignores
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

// Feeds and drains the three pipes together, so that no side can block the other.
inline void exchange(
    Pipe& in, Pipe& out, Pipe& err, std::string_view input, ProgramResult& result) {
  std::array<char, 65536> buffer;
  if (input.empty()) in.close_end(1);
  while (out.fds[0] >= 0 || err.fds[0] >= 0) {
    std::array<pollfd, 3> polled = {pollfd{in.fds[1], POLLOUT, 0},
                                    pollfd{out.fds[0], POLLIN, 0},
                                    pollfd{err.fds[0], POLLIN, 0}};
    poll(polled.data(), polled.size(), -1);
    if (polled[0].revents != 0) {
      const ssize_t n = write(in.fds[1], input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if (n < 0 || input.empty()) in.close_end(1);
    }
    const auto drain = [&](Pipe& pipe, const pollfd& state, std::string& text) {
      if (state.revents == 0) return;
      const ssize_t n = read(pipe.fds[0], buffer.data(), buffer.size());
      if (n > 0) {
        text.append(buffer.data(), static_cast<size_t>(n));
      } else {
        pipe.close_end(0);
      }
    };
    drain(out, polled[1], result.out);
    drain(err, polled[2], result.err);
  }
}

inline ProgramResult run(const std::vector<std::string>& command, std::string_view input) {
  signal(SIGPIPE, SIG_IGN);
  setenv("QWEN3_CONFIG_FILE", "none", 0);  // not that of whoever runs the tests
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) exec_child(command, in, out, err);
  in.close_end(0);
  out.close_end(1);
  err.close_end(1);
  ProgramResult result;
  exchange(in, out, err, input, result);
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result;
}

}  // namespace detail

inline std::filesystem::path qwen3_binary() { return QWEN3_BINARY; }

inline ProgramResult run_qwen3(const std::vector<std::string>& arguments, std::string_view input) {
  std::vector<std::string> command{qwen3_binary().string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return detail::run(command, input);
}

inline ProgramResult run_shell(const std::string& line, std::string_view input) {
  setenv("QWEN3", qwen3_binary().c_str(), 1);
  return detail::run({"/bin/sh", "-c", line}, input);
}

inline std::string golden_model(std::string_view name) {
  return std::string(QWEN3_SOURCE_DIR "/tests/data/models/") + std::string(name);
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace qwen3::test
