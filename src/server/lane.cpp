#include "server/lane.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <thread>
#include <utility>

namespace qwen3::server {

namespace asio = boost::asio;
using boost::system::error_code;

struct Lane::Loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  asio::steady_timer ticker{context};
  bool ticking = false;
  std::thread thread;
};

struct Watch::Descriptor {
  explicit Descriptor(asio::io_context& context) : stream(context) {}
  asio::posix::stream_descriptor stream;
};

namespace {

constexpr size_t kScratchBytes = 64 * 1024;

}  // namespace

Lane::Lane(std::chrono::milliseconds tick)
    : loop_(std::make_unique<Loop>()), tick_(tick), scratch_(kScratchBytes) {
  loop_->thread = std::thread([this] {
    while (true) {
      try {
        loop_->context.run();
        return;
      } catch (const std::exception&) {
        // The work that threw is over; the connections of this thread must go on.
        continue;
      }
    }
  });
}

Lane::~Lane() { stop(); }

void Lane::stop() {
  if (!loop_->thread.joinable()) return;
  loop_->guard.reset();
  loop_->context.stop();
  loop_->thread.join();
  residents_.clear();
}

void Lane::post(std::function<void()> work) { asio::post(loop_->context, std::move(work)); }

void Lane::post_after(std::chrono::milliseconds delay, std::function<void()> work) {
  auto timer = std::make_shared<asio::steady_timer>(loop_->context, delay);
  timer->async_wait([timer, work = std::move(work)](error_code error) {
    if (!error) work();
  });
}

void Lane::wake(std::weak_ptr<Resident> resident) {
  asio::post(loop_->context, [resident = std::move(resident)] {
    if (const auto alive = resident.lock()) alive->on_wake();
  });
}

void Lane::run_and_wait(const std::function<void()>& work) {
  std::promise<void> done;
  asio::post(loop_->context, [&] {
    try {
      work();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  done.get_future().get();
}

void Lane::add(std::shared_ptr<Resident> resident) {
  resident->lane_index_ = residents_.size();
  residents_.push_back(std::move(resident));
  if (!loop_->ticking) tick();
}

void Lane::remove(Resident& resident) {
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
    visit(*resident);
  }
}

// Stops by itself on an empty lane, so that an idle server sleeps.
void Lane::tick() {
  loop_->ticking = !residents_.empty();
  if (!loop_->ticking) return;
  loop_->ticker.expires_after(tick_);
  loop_->ticker.async_wait([this](error_code error) {
    if (error) return;
    const Clock::time_point now = Clock::now();
    each([now](Resident& resident) { resident.on_tick(now); });
    tick();
  });
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
                                   if (!error) resident->on_readable();
                                 });
}

void Watch::when_writable(std::shared_ptr<Resident> resident) {
  descriptor_->stream.async_wait(asio::posix::stream_descriptor::wait_write,
                                 [resident = std::move(resident)](error_code error) {
                                   if (!error) resident->on_writable();
                                 });
}

void Watch::when_broken(std::shared_ptr<Resident> resident) {
  descriptor_->stream.async_wait(asio::posix::stream_descriptor::wait_error,
                                 [resident = std::move(resident)](error_code error) {
                                   if (!error) resident->on_broken();
                                 });
}

void Watch::close() {
  error_code ignored;
  descriptor_->stream.close(ignored);
}

}  // namespace qwen3::server
