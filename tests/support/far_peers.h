// A window that ranks on FarBackends reach together: threads of one process, each with memory that the host
// may not touch.
#pragma once

#include <atomic>
#include <charconv>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/peer_window.h"
#include "support/far_memory.h"

namespace qwen3::test {

class FarPeerWindow final : public PeerWindow {
 public:
  FarPeerWindow(int64_t bytes, int rank)
      : rank_(rank), storage_(FarMemory::all().allocate(kHeaderBytes + bytes)) {
    new (FarMemory::all().near(storage_.data())) std::atomic<uint32_t>(0);
  }

  std::string address() const override {
    return std::to_string(reinterpret_cast<uintptr_t>(storage_.data()));
  }

  void connect(std::span<const std::string> addresses) override {
    for (const std::string& text : addresses) {
      uintptr_t part = 0;
      std::from_chars(text.data(), text.data() + text.size(), part);
      parts_.push_back(reinterpret_cast<std::byte*>(part));
    }
  }

  Tensor part(int rank, int64_t offset, DType type, Shape shape) const override {
    return {parts_[static_cast<size_t>(rank)] + kHeaderBytes + offset, type, shape, Place::device};
  }

  void meet() override {
    const uint32_t count = ++arrived(rank_);
    for (int rank = 0; rank < static_cast<int>(parts_.size()); ++rank) {
      while (static_cast<int32_t>(arrived(rank).load() - count) < 0) std::this_thread::yield();
    }
  }

  void sum(const Tensor& x, Into into, const PeerSum& sum) override {
    meet();
    auto* to = reinterpret_cast<float*>(FarMemory::all().near(x.data()));
    std::vector<const float*> inputs;
    for (const auto& [rank, offset] : sum.inputs) inputs.push_back(near(rank, offset));
    for (int64_t i = 0; i < x.numel(); ++i) {
      std::vector<float> waiting;
      size_t next = 0;
      for (const bool takes : sum.steps) {
        if (takes) {
          waiting.push_back(inputs[next++][i]);
          continue;
        }
        const float right = waiting.back();
        waiting.pop_back();
        waiting.back() += right;
      }
      to[i] = into == Into::add ? to[i] + waiting.front() : waiting.front();
    }
  }

  void merge_bits(const Tensor& x, int64_t offset) override {
    meet();
    auto* to = reinterpret_cast<uint32_t*>(FarMemory::all().near(x.data()));
    for (int64_t i = 0; i < x.numel(); ++i) {
      to[i] = 0;
      for (int rank = 0; rank < static_cast<int>(parts_.size()); ++rank) {
        to[i] |= reinterpret_cast<const uint32_t*>(near(rank, offset))[i];
      }
    }
  }

 private:
  static constexpr int64_t kHeaderBytes = 64;

  std::atomic<uint32_t>& arrived(int rank) const {
    return *reinterpret_cast<std::atomic<uint32_t>*>(
        FarMemory::all().near(parts_[static_cast<size_t>(rank)]));
  }
  const float* near(int rank, int64_t offset) const {
    return reinterpret_cast<const float*>(
        FarMemory::all().near(parts_[static_cast<size_t>(rank)] + kHeaderBytes + offset));
  }

  const int rank_;
  const Storage storage_;
  std::vector<std::byte*> parts_;
};

}  // namespace qwen3::test
