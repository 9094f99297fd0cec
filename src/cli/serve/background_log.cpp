#include "cli/serve/background_log.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/error.h"

namespace qwen3::cli {
namespace {

// Lines that go out together. A pipe takes so much at once (PIPE_BUF), not mixed with what other
// processes write to it.
constexpr size_t kChunk = 4096;
constexpr std::chrono::milliseconds kLastPatience{1000};

int64_t count_lines(std::string_view text) {
  return std::max<int64_t>(1, std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

struct BackgroundLog::State {
  State(int descriptor, size_t bytes)
      : fd(descriptor), capacity(bytes), ring(std::make_unique_for_overwrite<char[]>(bytes)) {}

  // Under the mutex.
  void append(std::string_view text);
  void lose(int64_t n_lines);
  size_t copy_chunk(char* to) const;
  bool is_idle() const { return used == 0 && !losing && !busy; }

  // The thread.
  void run();
  void write_note(std::unique_lock<std::mutex>& lock);
  void write_chunk(std::unique_lock<std::mutex>& lock);
  bool write_unlocked(std::unique_lock<std::mutex>& lock, std::string_view text);

  const int fd;
  const size_t capacity;
  mutable std::mutex mutex;
  std::condition_variable wake, idle;

  // All below under the mutex.
  const std::unique_ptr<char[]> ring;
  size_t begin = 0, used = 0;  // what is kept; it leaves the ring after it is written
  bool losing = false;         // until the ring is empty
  bool busy = false;           // the thread writes
  bool ending = false;
  bool ended = false;
  int64_t n_unsaid = 0;  // lines lost since the last line that said so
  int64_t n_lost = 0;
};

void BackgroundLog::State::append(std::string_view text) {
  const size_t end = (begin + used) % capacity;
  const size_t first = std::min(text.size(), capacity - end);
  std::memcpy(ring.get() + end, text.data(), first);
  std::memcpy(ring.get(), text.data() + first, text.size() - first);
  used += text.size();
}

void BackgroundLog::State::lose(int64_t n_lines) {
  n_unsaid += n_lines;
  n_lost += n_lines;
}

// Whole lines as far as they fit.
size_t BackgroundLog::State::copy_chunk(char* to) const {
  const size_t most = std::min(used, kChunk);
  const size_t first = std::min(most, capacity - begin);
  std::memcpy(to, ring.get() + begin, first);
  std::memcpy(to + first, ring.get(), most - first);
  const size_t end = std::string_view(to, most).rfind('\n');
  return end == std::string_view::npos ? most : end + 1;
}

void BackgroundLog::State::run() {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return ending || !is_idle(); });
    if (is_idle()) break;
    if (used == 0) losing = false;
    if (n_unsaid > 0 && !losing) write_note(lock);
    if (used > 0) write_chunk(lock);
    if (is_idle()) idle.notify_all();
  }
  ended = true;
  idle.notify_all();
}

bool BackgroundLog::State::write_unlocked(std::unique_lock<std::mutex>& lock,
                                          std::string_view text) {
  busy = true;
  lock.unlock();
  const bool written = write_to(fd, text);
  lock.lock();
  busy = false;
  return written;
}

// What cannot be said now is said before the next line.
void BackgroundLog::State::write_note(std::unique_lock<std::mutex>& lock) {
  const int64_t n_lines = n_unsaid;
  n_unsaid = 0;
  std::array<char, 128> note;
  const auto end = fmt::format_to_n(note.begin(),
                                    note.size(),
                                    "qwen3 serve: {} log line{} lost here; stderr did not take "
                                    "them in time\n",
                                    n_lines,
                                    n_lines == 1 ? " was" : "s were");
  if (!write_unlocked(lock, {note.data(), end.size})) n_unsaid += n_lines;
}

void BackgroundLog::State::write_chunk(std::unique_lock<std::mutex>& lock) {
  std::array<char, kChunk> chunk;
  const std::string_view text(chunk.data(), copy_chunk(chunk.data()));
  if (!write_unlocked(lock, text)) lose(count_lines(text));
  begin = (begin + text.size()) % capacity;
  used -= text.size();
}

BackgroundLog::BackgroundLog(int fd, size_t capacity)
    : state_(std::make_shared<State>(fd, capacity)), thread_([state = state_] { state->run(); }) {}

BackgroundLog::~BackgroundLog() {
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->ending = true;
    state_->wake.notify_all();
    ended = state_->idle.wait_for(lock, kLastPatience, [this] { return state_->ended; });
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void BackgroundLog::write_log_line(std::string_view line) noexcept {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.losing || state.used + line.size() + 1 > state.capacity - state.capacity / 4) {
    state.losing = true;
    state.lose(1);
  } else {
    state.append(line);
    state.append("\n");
  }
  state.wake.notify_one();
}

void BackgroundLog::write(std::string_view text) noexcept {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.used + text.size() > state.capacity) {
    state.losing = true;
    state.lose(count_lines(text));
  } else {
    state.append(text);
  }
  state.wake.notify_one();
}

bool BackgroundLog::flush(std::chrono::milliseconds patience) {
  std::unique_lock lock(state_->mutex);
  return state_->idle.wait_for(lock, patience, [this] { return state_->is_idle(); });
}

int64_t BackgroundLog::n_lost() const {
  const std::lock_guard lock(state_->mutex);
  return state_->n_lost;
}

}  // namespace qwen3::cli
