// FakeExchange: the front's side of the seam without sockets. The test's thread is the connection's
// thread: it runs what was posted.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http/http.h"

namespace qwen3::server {

class FakeExchange final : public Exchange {
 public:
  void send(HttpResponse answer) override {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    EXPECT_FALSE(answered_) << "answered twice";
    EXPECT_FALSE(streaming_) << "send() after start_stream()";
    response = std::move(answer);
    answered_ = true;
    changed_.notify_all();
  }
  void start_stream(StreamForm how) override {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    EXPECT_FALSE(answered_ || streaming_) << "started twice";
    response.content_type = how.content_type;
    response.headers = how.headers;
    form = std::move(how);
    streaming_ = true;
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    EXPECT_TRUE(streaming_ && !answered_) << "write() outside of a stream";
    response.body += piece;
    pieces.push_back(std::move(piece));
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    EXPECT_TRUE(streaming_ && !answered_) << "end() outside of a stream";
    answered_ = true;
    changed_.notify_all();
  }
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    if (gone_ || answered_) return;
    work_.push_back(std::move(work));
    changed_.notify_all();
  }
  void on_disconnect(std::function<void()> action) override {
    {
      const std::lock_guard lock(mutex_);
      if (!gone_) {
        disconnected_ = std::move(action);
        return;
      }
    }
    action();
  }
  bool gone() const override {
    const std::lock_guard lock(mutex_);
    return gone_;
  }
  bool hold(int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    if (bytes > most_held) return false;
    held = bytes;
    return true;
  }
  void note(std::string key, NoteValue value) override {
    const std::lock_guard lock(mutex_);
    const int64_t* number = std::get_if<int64_t>(&value);
    notes[key] = number != nullptr ? std::to_string(*number) : std::get<std::string>(value);
  }

  // ---- the test's side ------------------------------------------------------------------------
  // Runs posted work until the answer is complete. False when nothing happens for too long.
  bool run() {
    while (!answered()) {
      if (!run_one()) return false;
    }
    const std::lock_guard lock(mutex_);
    work_.clear();
    return true;
  }
  bool run_one(std::chrono::seconds patience = std::chrono::seconds(60)) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, patience, [&] { return answered_ || !work_.empty(); })) {
        return false;
      }
      if (work_.empty()) return true;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
    return true;
  }
  bool answered() const {
    const std::lock_guard lock(mutex_);
    return answered_;
  }
  void disconnect() {
    std::function<void()> action;
    std::deque<std::function<void()>> dropped;
    {
      const std::lock_guard lock(mutex_);
      if (answered_) return;
      gone_ = true;
      action = std::move(disconnected_);
      dropped.swap(work_);
    }
    if (action) action();
  }

  HttpResponse response;
  StreamForm form;
  std::vector<std::string> pieces;
  std::map<std::string, std::string> notes;
  int64_t held = 0;
  int64_t most_held = INT64_MAX;  // the test decides

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::function<void()> disconnected_;
  bool answered_ = false, streaming_ = false, gone_ = false;
};

}  // namespace qwen3::server
