// The bytes of a connection: reading while it is wise, writing what gathered, and the ways to end.
#include <algorithm>
#include <utility>

#include "server/http/connection.h"

namespace qwen3::server {

namespace {

constexpr int kReadsPerTurn = 4;  // then the other connections of the lane
constexpr size_t kMaxLinger = 8 * 1024 * 1024;
constexpr size_t kKeptCapacity = 4 * 1024;  // of an empty buffer
// At a time while a body comes in, so that many that come slowly need little.
constexpr size_t kBodyRead = 32 * 1024;
// What a connection takes besides its buffers, measured: 1,024 idle ones, one request each.
constexpr int64_t kPlainBytes = 8 * 1024;
constexpr int64_t kTlsBytes = 56 * 1024;

void release_if_large(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptCapacity) buffer = std::string();
}

}  // namespace

void Connection::on_readable() {
  reading_ = false;
  if (phase_ == Phase::closed) return;
  if (std::exchange(write_waits_for_read_, false)) flush();
  read_some();
}

void Connection::on_writable() {
  writing_ = false;
  if (phase_ == Phase::closed) return;
  flush();
  if (std::exchange(read_waits_for_write_, false)) read_some();
}

// Both directions are gone, so nothing that is written would arrive.
void Connection::on_broken() {
  watching_breaks_ = false;
  if (phase_ != Phase::closed) lose("client gone");
}

bool Connection::wants_bytes() const {
  if (phase_ == Phase::closed || input_ended_) return false;
  return phase_ != Phase::answering || input_.size() < front_.options.limits.pipelined_bytes;
}

// No more than is wanted now, so that input_ stays as short as its limits.
std::span<char> Connection::read_space() const {
  const ServerLimits& limits = front_.options.limits;
  size_t most = lane_.scratch().size();
  if (phase_ == Phase::head) most = limits.header_bytes;
  if (phase_ == Phase::body) most = kBodyRead;
  if (phase_ == Phase::answering) most = limits.pipelined_bytes - input_.size();
  return lane_.scratch().first(std::min(most, lane_.scratch().size()));
}

bool Connection::hold_input() {
  const int64_t own = front_.tls != nullptr ? kTlsBytes : kPlainBytes;
  const auto buffer = static_cast<int64_t>(std::max(input_.capacity(), kKeptCapacity));
  return held_.set(RequestMemory::Part::connection, own + buffer);
}

void Connection::read_some() {
  for (int i = 0; i < kReadsPerTurn && wants_bytes(); ++i) {
    const IoResult result = transport_->read(read_space());
    switch (result.state) {
      case IoResult::State::done:
        received({lane_.scratch().data(), result.bytes});
        break;
      case IoResult::State::wait_readable:
        return await_reading();
      case IoResult::State::wait_writable:
        read_waits_for_write_ = true;
        if (!std::exchange(writing_, true)) watch_.when_writable(shared_from_this());
        return;
      case IoResult::State::end:
        return peer_closed();
      case IoResult::State::failed:
        return lose("client gone");
    }
  }
  await_reading();
}

void Connection::received(std::string_view bytes) {
  if (phase_ == Phase::lingering) {
    discarded_ += bytes.size();
    if (discarded_ > kMaxLinger) close();
    return;
  }
  const size_t capacity = input_.capacity();
  input_.append(bytes);
  if (input_.capacity() != capacity && !hold_input()) return cut("out of memory");
  advance();
}

void Connection::await_reading() {
  if (phase_ == Phase::closed) return;
  if (wants_bytes()) {
    if (std::exchange(reading_, true)) return;
    if (transport_->pending()) {
      lane_.post([self = shared_from_this()] { Lane::guard(*self, [&] { self->on_readable(); }); });
    } else {
      watch_.when_readable(shared_from_this());
    }
  } else if (phase_ == Phase::answering && !std::exchange(watching_breaks_, true)) {
    watch_.when_broken(shared_from_this());
  }
}

void Connection::on_wake() {
  if (exchange_) pull_output();
}

void Connection::pull_output() {
  // What was sent goes first, so that the new bytes are counted and stored once.
  if (sent_ > 0) {
    output_.erase(0, sent_);
    sent_ = 0;
  }
  const bool was_idle = output_.empty();
  const ExchangeCore::Output taken = exchange_->take_output(output_);
  if (was_idle) last_sent_ = lane_.now();
  if (taken.ended && !answer_ended_) {
    answer_ended_ = true;
    answer_ended_at_ = lane_.now();
    if (!taken.keep_alive) close_after_ = true;
  }
  if (taken.cut) return cut(input_ended_ ? "client gone" : "cut off");
  flush();
}

void Connection::flush() {
  while (sent_ < output_.size()) {
    const IoResult result = transport_->write(std::string_view(output_).substr(sent_));
    if (result.state == IoResult::State::done) {
      sent_ += result.bytes;
      record_.response_bytes += result.bytes;
      last_sent_ = lane_.now();
      continue;
    }
    if (result.state == IoResult::State::wait_writable) {
      if (!std::exchange(writing_, true)) watch_.when_writable(shared_from_this());
    } else if (result.state == IoResult::State::wait_readable) {
      write_waits_for_read_ = true;
      if (!std::exchange(reading_, true)) watch_.when_readable(shared_from_this());
    } else {
      return lose("client gone");
    }
    break;
  }
  if (exchange_) exchange_->set_unsent(output_.size() - sent_);
  if (sent_ < output_.size()) return;
  release_if_large(output_);
  sent_ = 0;
  if (exchange_ && answer_ended_) complete_exchange();
}

// The client sends nothing more. It may have closed altogether, so it counts as gone; only an
// answer that goes out in one piece is still tried.
void Connection::peer_closed() {
  input_ended_ = true;
  if (phase_ != Phase::answering) return lose("client gone");
  if (answer_ended_) return await_reading();  // the rest is on its way
  if (exchange_->streaming()) return lose("client gone");
  front_.n_disconnects.fetch_add(1, std::memory_order_relaxed);
  exchange_->half_closed();
  if (phase_ == Phase::answering) await_reading();
}

void Connection::lose(std::string_view outcome) {
  if (exchange_) {
    if (!input_ended_ || exchange_->streaming()) {
      front_.n_disconnects.fetch_add(1, std::memory_order_relaxed);
    }
    end_exchange(outcome, false);
  }
  close();
}

void Connection::cut(std::string_view outcome) {
  if (phase_ == Phase::closed) return;
  reset_on_close(watch_.fd());
  if (exchange_) end_exchange(outcome, false);
  close();
}

// What this connection was doing is half done. Its client learns it from the reset.
void Connection::on_failure() noexcept {
  if (phase_ == Phase::closed) return;
  reset_on_close(watch_.fd());
  try {
    if (exchange_) end_exchange("out of memory", false);
  } catch (const std::exception&) {
    // What the handler wanted to do about it failed too.
  }
  close();
}

// Closing at once, with bytes of the client unread, would reset the connection and could take the
// answer away from it before it was read.
void Connection::linger() {
  transport_->shutdown_write();
  if (input_ended_) return close();
  phase_ = Phase::lingering;
  phase_start_ = lane_.now();
  parser_.reset();  // a body that was begun
  release_if_large(input_);
  hold_input();
  await_reading();
}

void Connection::close() noexcept {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  watch_.close();
  front_.admission.release(peer_.remote, admitted_);
  lane_.remove(*this);
}

}  // namespace qwen3::server
