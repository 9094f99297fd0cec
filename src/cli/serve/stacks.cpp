// Each thread collects the addresses of its own stack in a signal handler, which does nothing else;
// the caller gives them names.
#include "cli/serve/stacks.h"

#include <cxxabi.h>
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace qwen3::cli {
namespace {

constexpr int kMaxFrames = 64;
constexpr int kOwnFrames = 2;  // innermost: the signal handler, and what the kernel returns to

// Where the thread that was asked leaves its stack. There is one, and one thread is asked at a
// time; one that answers after its time was up finds `wanted` changed and leaves it alone.
struct Answer {
  std::atomic<pid_t> wanted = 0;
  std::array<void*, kMaxFrames> frames;
  int n_frames = 0;
  std::atomic<bool> complete = false;
};
Answer the_answer;

int stack_signal() { return SIGRTMAX; }

void collect(int) {
  const int saved = errno;
  auto self = static_cast<pid_t>(syscall(SYS_gettid));
  if (the_answer.wanted.compare_exchange_strong(self, 0)) {
    the_answer.n_frames = backtrace(the_answer.frames.data(), kMaxFrames);
    the_answer.complete.store(true, std::memory_order_release);
  }
  errno = saved;
}

enum class Reply {
  complete,
  none,   // the thread does not run its handler, or has ended
  stuck,  // it has begun to answer, and may go on at any time: nobody else can be asked
};

Reply ask(pid_t thread, std::chrono::milliseconds patience) {
  the_answer.complete.store(false);
  the_answer.wanted.store(thread);
  if (syscall(SYS_tgkill, getpid(), thread, stack_signal()) != 0) return Reply::none;
  const auto begin = std::chrono::steady_clock::now();
  while (!the_answer.complete.load(std::memory_order_acquire)) {
    const auto waited = std::chrono::steady_clock::now() - begin;
    pid_t expected = thread;
    if (waited >= patience && the_answer.wanted.compare_exchange_strong(expected, 0)) {
      return Reply::none;
    }
    if (waited >= 2 * patience) return Reply::stuck;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Reply::complete;
}

std::vector<pid_t> all_threads() {
  std::vector<pid_t> threads;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/task"), closedir);
  if (directory == nullptr) return {static_cast<pid_t>(syscall(SYS_gettid))};
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t thread = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), thread);
    if (error == std::errc() && end == name.data() + name.size()) threads.push_back(thread);
  }
  return threads;
}

std::string file_of(pid_t thread, std::string_view name) {
  std::ifstream file(fmt::format("/proc/self/task/{}/{}", thread, name));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// "R (running)" from the kernel; "" when the thread has ended.
std::string state_of(pid_t thread) {
  constexpr std::string_view kKey = "State:\t";
  const std::string status = file_of(thread, "status");
  const size_t at = status.find(kKey);
  if (at == status.npos) return {};
  const size_t begin = at + kKey.size();
  return status.substr(begin, status.find('\n', begin) - begin);
}

std::string frame_line(int number, void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
    return fmt::format("  #{} {}\n", number, address);
  }
  const auto offset =
      reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase);
  std::string name = "?";
  if (info.dli_sname != nullptr) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain(
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
    name = status == 0 ? plain.get() : info.dli_sname;
  }
  constexpr size_t kMaxName = 160;  // templates have names of several thousand characters
  if (name.size() > kMaxName) name = name.substr(0, kMaxName) + "…";
  const std::string_view file = info.dli_fname;
  return fmt::format(
      "  #{} {} ({}+{:#x})\n", number, name, file.substr(file.rfind('/') + 1), offset);
}

}  // namespace

void prepare_stacks() {
  void* frame = nullptr;
  backtrace(&frame, 1);  // loads the unwinder, which takes memory the first time
  struct sigaction action {};
  action.sa_handler = collect;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  QWEN3_CHECK(sigaction(stack_signal(), &action, nullptr) == 0,
              ErrorKind::internal,
              "signal {}: cannot be handled",
              stack_signal());
}

void write_stacks(const std::function<void(std::string_view)>& write,
                  std::chrono::milliseconds patience) {
  static bool broken = false;
  if (broken) return write("stacks: an earlier reader is still at work\n");
  for (const pid_t thread : all_threads()) {
    const std::string state = state_of(thread);
    if (state.empty()) continue;
    std::string text =
        fmt::format("thread {} \"{}\" {}", thread, utf8_lossy(file_of(thread, "comm")), state);
    const Reply reply = ask(thread, patience);
    text += reply == Reply::complete ? "\n"
                                     : fmt::format(": no answer within {} ms\n", patience.count());
    for (int i = kOwnFrames; reply == Reply::complete && i < the_answer.n_frames; ++i) {
      text += frame_line(i - kOwnFrames, the_answer.frames[static_cast<size_t>(i)]);
    }
    write(text);
    broken = reply == Reply::stuck;
    if (broken) return;
  }
}

}  // namespace qwen3::cli
