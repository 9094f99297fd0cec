#include "cli/input.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/input_file.h"
#include "cli/commands.h"

namespace qwen3::cli {
namespace {

constexpr const char* kStdin = "standard input";

[[noreturn]] void cannot(std::string_view what, std::string_view where) {
  fail(ErrorKind::io, "{}: cannot {}: {}", where, what, std::strerror(errno));
}

void check_room(size_t bytes, size_t max_bytes, std::string_view where) {
  QWEN3_CHECK(bytes <= max_bytes,
              ErrorKind::invalid_argument,
              "{}: expected at most {} bytes; got more; give a smaller text",
              where,
              max_bytes);
}

// Some bytes; none at the end; nothing when Ctrl-C came first.
std::optional<size_t> read_some(int fd,
                                std::span<char> out,
                                std::string_view where,
                                const InterruptGuard* interrupt) {
  for (;;) {
    if (interrupt != nullptr && interrupt->interrupted()) return std::nullopt;
    const ssize_t n = ::read(fd, out.data(), out.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) {  // another program made the terminal or pipe non-blocking
      pollfd state{fd, POLLIN, 0};
      if (::poll(&state, 1, -1) >= 0) continue;
    }
    if (errno != EINTR) cannot("read", where);
  }
}

std::string read_all(int fd, std::string_view where, size_t max_bytes) {
  std::string text;
  std::array<char, 65536> buffer;
  while (const size_t n = read_some(fd, buffer, where, nullptr).value_or(0)) {
    text.append(buffer.data(), n);
    check_room(text.size(), max_bytes, where);
  }
  return text;
}

}  // namespace

std::string read_stdin() { return read_all(STDIN_FILENO, kStdin, kMaxInputBytes); }

std::string read_input_file(const std::filesystem::path& path, size_t max_bytes) {
  const InputFile file(path, InputFile::Accept::files_and_pipes);
  if (file.is_pipe()) return read_all(file.descriptor(), file.name(), max_bytes);
  check_room(static_cast<size_t>(file.size()), max_bytes, file.name());
  return file.read_all(max_bytes);
}

LineInput::Status LineInput::read(std::string& line) {
  line.clear();
  for (;;) {
    if (ahead_.empty()) {
      const std::optional<size_t> n = read_some(STDIN_FILENO, buffer_, kStdin, interrupt_);
      if (!n) return Status::interrupted;
      if (*n == 0) return line.empty() ? Status::end : Status::line;
      ahead_ = {buffer_.data(), *n};
    }
    const size_t end = ahead_.find('\n');
    line += ahead_.substr(0, end);
    check_room(line.size(), kMaxInputBytes, kStdin);
    ahead_.remove_prefix(end == ahead_.npos ? ahead_.size() : end + 1);
    if (end != ahead_.npos) return Status::line;
  }
}

void check_no_output_is_an_input(std::string_view command,
                                 std::initializer_list<NamedFile> inputs,
                                 std::initializer_list<NamedFile> outputs) {
  const auto same = [](const NamedFile& a, const NamedFile& b) {
    if (a.path.empty() || b.path.empty()) return false;
    std::error_code error;
    if (std::filesystem::equivalent(a.path, b.path, error)) {
      return std::filesystem::is_regular_file(a.path, error);
    }
    return std::filesystem::weakly_canonical(a.path, error) ==
               std::filesystem::weakly_canonical(b.path, error) &&
           !std::filesystem::exists(a.path, error);
  };
  const auto refuse = [&](const NamedFile& output, const NamedFile& other) {
    throw UsageError(fmt::format("{}: {}: expected a file of its own; got {}, which is {} too",
                                 command,
                                 output.name,
                                 output.path.string(),
                                 other.name));
  };
  for (const NamedFile* output = outputs.begin(); output != outputs.end(); ++output) {
    for (const NamedFile& input : inputs) {
      if (same(*output, input)) refuse(*output, input);
    }
    for (const NamedFile* other = outputs.begin(); other != output; ++other) {
      if (same(*output, *other)) refuse(*output, *other);
    }
  }
}

}  // namespace qwen3::cli
