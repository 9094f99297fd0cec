#include "kernels/cuda/peers.h"

#include <fmt/format.h>

#include <cassert>
#include <charconv>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device.h"

namespace qwen3::cuda {
namespace {

constexpr int64_t kFlagsBytes = int64_t{PeerWindow::kMaxRanks} * kMaxPeerBlocks * 4;
constexpr int64_t kHeaderBytes = kFlagsBytes + kMaxPeerBlocks * 4;  // and the blocks' counters
static_assert(kHeaderBytes % 256 == 0);

// Told apart from other processes', whose addresses mean nothing here.
uint64_t process_mark() {
  static const uint64_t mark = [] {
    std::random_device random;
    return uint64_t{random()} << 32 | random();
  }();
  return mark;
}

struct Address {
  uint64_t process;
  std::byte* part;
  cudaIpcMemHandle_t handle;
};

std::string to_text(const Address& address) {
  std::string text;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&address);
  for (size_t i = 0; i < sizeof(address); ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

Address from_text(std::string_view text) {
  Address address{};
  QWEN3_CHECK(text.size() == 2 * sizeof(address),
              ErrorKind::internal,
              "ranks: the address of a window has {} digits; expected {}",
              text.size(),
              2 * sizeof(address));
  auto* bytes = reinterpret_cast<unsigned char*>(&address);
  for (size_t i = 0; i < sizeof(address); ++i) {
    const char* const at = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(at, at + 2, bytes[i], 16);
    QWEN3_CHECK(error == std::errc() && end == at + 2,
                ErrorKind::internal,
                "ranks: the address of a window is not in hexadecimal digits");
  }
  return address;
}

class CudaPeerWindow final : public PeerWindow {
 public:
  CudaPeerWindow(int64_t bytes, int rank, Stream stream)
      : storage_(device_memory(kHeaderBytes + bytes)), rank_(rank), stream_(stream) {}

  ~CudaPeerWindow() override {
    for (void* part : opened_) static_cast<void>(cudaIpcCloseMemHandle(part));
  }

  std::string address() const override {
    Address address{.process = process_mark(), .part = storage_.data(), .handle = {}};
    check(cudaIpcGetMemHandle(&address.handle, storage_.data()), "sharing memory between ranks");
    return to_text(address);
  }

  void connect(std::span<const std::string> addresses) override {
    assert(addresses.size() <= size_t{kMaxRanks} && parts_.empty());
    for (const std::string& text : addresses) {
      const Address address = from_text(text);
      parts_.push_back(address.process == process_mark() ? address.part : open(address.handle));
    }
    meeting_ = {.n_ranks = static_cast<int>(parts_.size()), .rank = rank_};
    for (size_t r = 0; r < parts_.size(); ++r) {
      meeting_.flags[r] = reinterpret_cast<uint32_t*>(parts_[r]);
    }
    meeting_.counters = reinterpret_cast<uint32_t*>(storage_.data() + kFlagsBytes);
  }

  Tensor part(int rank, int64_t offset, DType type, Shape shape) const override {
    return {address_of(rank, offset), type, shape, Place::device};
  }

  void meet() override { peer_meet(meeting_, stream_); }

  void sum(const Tensor& x, Into into, const PeerSum& sum) override {
    assert(sum.inputs.size() <= size_t{kMaxInputs} && sum.steps.size() <= 32);
    PeerSumArgs args{.meeting = meeting_,
                     .x = x.f32(),
                     .n = x.numel(),
                     .add = into == Into::add,
                     .n_inputs = static_cast<int>(sum.inputs.size()),
                     .n_steps = static_cast<int>(sum.steps.size())};
    for (size_t i = 0; i < sum.inputs.size(); ++i) {
      args.inputs[i] =
          reinterpret_cast<const float*>(address_of(sum.inputs[i].rank, sum.inputs[i].offset));
    }
    for (size_t i = 0; i < sum.steps.size(); ++i) {
      args.takes |= static_cast<uint32_t>(sum.steps[i]) << i;
    }
    peer_sum(args, stream_);
  }

  void merge_bits(const Tensor& x, int64_t offset) override {
    PeerSumArgs args{.meeting = meeting_,
                     .x = x.f32(),
                     .n = x.numel(),
                     .n_inputs = static_cast<int>(parts_.size())};
    for (size_t r = 0; r < parts_.size(); ++r) {
      args.inputs[r] = reinterpret_cast<const float*>(address_of(static_cast<int>(r), offset));
    }
    peer_merge(args, stream_);
  }

 private:
  std::byte* address_of(int rank, int64_t offset) const {
    return parts_[static_cast<size_t>(rank)] + kHeaderBytes + offset;
  }

  std::byte* open(const cudaIpcMemHandle_t& handle) {
    void* part = nullptr;
    const cudaError_t status = cudaIpcOpenMemHandle(&part, handle, cudaIpcMemLazyEnablePeerAccess);
    static_cast<void>(cudaGetLastError());
    QWEN3_CHECK(status == cudaSuccess,
                ErrorKind::unsupported,
                "ranks: this card cannot reach another rank's memory ({}); expected cards of one "
                "host with peer access, by NVLink or PCIe; use fewer ranks, or backend cpu",
                cudaGetErrorString(status));
    opened_.push_back(part);
    return static_cast<std::byte*>(part);
  }

  const Storage storage_;
  const int rank_;
  const Stream stream_;
  std::vector<std::byte*> parts_;  // by rank
  std::vector<void*> opened_;
  PeerMeeting meeting_ = {};
};

}  // namespace

std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank, Stream stream) {
  return std::make_unique<CudaPeerWindow>(bytes, rank, stream);
}

}  // namespace qwen3::cuda
