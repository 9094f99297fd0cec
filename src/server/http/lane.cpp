#include "server/http/lane.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <thread>
#include <utility>

namespace qwen3::server {

namespace asio = boost::asio;
using boost::system::error_code;

// Asio's timers allocate, so there are none: the loop itself wakes for the tick. stop() of the
// context is what gets the thread out of its wait without allocating; `stopping` tells the end from
// that.
struct Lane::Loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  std::atomic<bool> stopping{false};
  std::thread thread;
};

// On the stack of who waits for it.
struct Lane::Errand {
  const std::function<void()>& work;
  Errand* next = nullptr;
  bool done = false;
  std::exception_ptr thrown = nullptr;
};

struct Watch::Descriptor {
  explicit Descriptor(asio::io_context& context) : stream(context) {}
  asio::posix::stream_descriptor stream;
};

namespace {

constexpr size_t kScratchBytes = 64 * 1024;
constexpr int kReadyPerTurn = 64;
// The lane looks at the clock once a tick at least. Twice that and a second more is a processor that
// others use too; what goes beyond was a pause.
constexpr std::chrono::seconds kLate{1};

// What was posted may throw: it is over then, and the connections of the thread must go on.
template <typename Work>
void unless_it_throws(const Work& work) noexcept {
  try {
    work();
  } catch (...) {
  }
}

}  // namespace

Lane::Lane(std::chrono::milliseconds tick)
    : loop_(std::make_unique<Loop>()), tick_(tick), scratch_(kScratchBytes) {
  loop_->thread = std::thread([this] { run(); });
}

Lane::~Lane() { stop(); }

void Lane::stop() {
  if (!loop_->thread.joinable()) return;
  loop_->stopping = true;
  loop_->context.stop();
  loop_->thread.join();
  residents_.clear();
  later_.reset();
  std::shared_ptr<Resident> woken;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  woken.swap(woken_);
}

// restart() comes before the looks: a stop() that follows what they saw is never lost.
void Lane::run() {
  while (true) {
    loop_->context.restart();
    if (loop_->stopping) return;
    unless_it_throws([&] { run_some(); });
    run_errands();
    call_woken();
    unless_it_throws([&] { wait_for_work(); });
    if (needs_ticks() && Clock::now() >= next_tick_) tick();
  }
}

// Of what is ready: while residents are woken all the time, waiting would never get so far.
void Lane::run_some() {
  for (int i = 0; i < kReadyPerTurn && loop_->context.poll_one() > 0; ++i) {
  }
}

// An idle lane sleeps until something comes.
void Lane::wait_for_work() {
  if (needs_ticks()) {
    loop_->context.run_until(next_tick_);
  } else {
    loop_->context.run();
  }
}

Clock::time_point Lane::now() noexcept {
  const Clock::time_point clock = Clock::now();
  const Clock::duration awake = 2 * tick_ + kLate;
  if (clock - last_look_ > awake) slept_ += clock - last_look_ - awake;
  last_look_ = clock;
  return clock - slept_;
}

void Lane::begin_ticks() noexcept {
  last_look_ = Clock::now();
  next_tick_ = last_look_ + tick_;
  loop_->context.stop();  // the thread's wait knows of no tick yet
}

void Lane::tick() {
  const Clock::time_point time = now();
  call_those_later();
  for (size_t i = residents_.size(); i-- > 0;) {
    const std::shared_ptr<Resident> resident = residents_[i];
    guard(*resident, [&] { resident->on_tick(time); });
  }
  next_tick_ = Clock::now() + tick_;
}

void Lane::post(std::function<void()> work) { asio::post(loop_->context, std::move(work)); }

void Lane::wake(const std::weak_ptr<Resident>& resident) noexcept {
  std::shared_ptr<Resident> alive = resident.lock();
  if (alive == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(alive->woken_, true)) {
      // Let go of under the lock: the chain holds it too, so its last owner is the lane's thread.
      alive.reset();
      return;
    }
    Resident* const last = std::exchange(last_woken_, alive.get());
    (last != nullptr ? last->next_woken_ : woken_) = std::move(alive);
  }
  loop_->context.stop();
}

// A resident's links are its own again, and it can be woken again, before it is called.
void Lane::call_woken() {
  std::unique_lock lock(mutex_);
  last_woken_ = nullptr;
  std::shared_ptr<Resident> chain = std::move(woken_);
  while (chain != nullptr) {
    std::shared_ptr<Resident> one = std::move(chain);
    chain = std::move(one->next_woken_);
    one->woken_ = false;
    lock.unlock();
    guard(*one, [&] { one->on_wake(); });
    one.reset();
    lock.lock();
  }
}

void Lane::call_later(std::shared_ptr<Resident> resident) noexcept {
  if (std::exchange(resident->later_, true)) return;
  if (!needs_ticks()) begin_ticks();
  resident->next_later_ = std::move(later_);
  later_ = std::move(resident);
}

void Lane::call_those_later() {
  std::shared_ptr<Resident> chain = std::move(later_);
  while (chain != nullptr) {
    const std::shared_ptr<Resident> one = std::move(chain);
    chain = std::move(one->next_later_);
    one->later_ = false;
    guard(*one, [&] { one->on_later(); });
  }
}

void Lane::run_and_wait(const std::function<void()>& work) {
  Errand errand{.work = work};
  std::unique_lock lock(mutex_);
  errand.next = std::exchange(errands_, &errand);
  loop_->context.stop();
  errand_done_.wait(lock, [&] { return errand.done; });
  if (errand.thrown != nullptr) std::rethrow_exception(errand.thrown);
}

void Lane::run_errands() {
  std::unique_lock lock(mutex_);
  while (errands_ != nullptr) {
    Errand& errand = *errands_;
    errands_ = errand.next;
    lock.unlock();
    try {
      errand.work();
    } catch (...) {
      errand.thrown = std::current_exception();
    }
    lock.lock();
    errand.done = true;
    errand_done_.notify_all();
  }
}

void Lane::add(std::shared_ptr<Resident> resident) {
  resident->lane_index_ = residents_.size();
  const bool first = !needs_ticks();
  residents_.push_back(std::move(resident));
  if (first) begin_ticks();
}

void Lane::remove(Resident& resident) noexcept {
  const size_t index = resident.lane_index_;
  if (index >= residents_.size() || residents_[index].get() != &resident) return;
  std::swap(residents_[index], residents_.back());
  residents_[index]->lane_index_ = index;
  residents_.pop_back();
}

// Backwards: removing entry i moves the last entry there, which has been visited already.
void Lane::each(const std::function<void(Resident&)>& visit) {
  for (size_t i = residents_.size(); i-- > 0;) {
    const std::shared_ptr<Resident> resident = residents_[i];
    guard(*resident, [&] { visit(*resident); });
  }
}

Watch::Watch(Lane& lane, UniqueFd fd)
    : descriptor_(std::make_unique<Descriptor>(lane.loop_->context)) {
  descriptor_->stream.assign(fd.get());
  fd.release();
}

Watch::~Watch() = default;

int Watch::fd() const { return descriptor_->stream.native_handle(); }

void Watch::when_readable(std::shared_ptr<Resident> resident) {
  descriptor_->stream.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [resident = std::move(resident)](error_code error) {
                                   if (!error)
                                     Lane::guard(*resident, [&] { resident->on_readable(); });
                                 });
}

void Watch::when_writable(std::shared_ptr<Resident> resident) {
  descriptor_->stream.async_wait(asio::posix::stream_descriptor::wait_write,
                                 [resident = std::move(resident)](error_code error) {
                                   if (!error)
                                     Lane::guard(*resident, [&] { resident->on_writable(); });
                                 });
}

void Watch::when_broken(std::shared_ptr<Resident> resident) {
  descriptor_->stream.async_wait(asio::posix::stream_descriptor::wait_error,
                                 [resident = std::move(resident)](error_code error) {
                                   if (!error)
                                     Lane::guard(*resident, [&] { resident->on_broken(); });
                                 });
}

void Watch::close() noexcept {
  error_code ignored;
  descriptor_->stream.close(ignored);
}

}  // namespace qwen3::server
