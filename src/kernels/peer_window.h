// PeerWindow: memory of a device that the backends of several ranks reach, each a part of its own, and what
// the ranks do with it together. The ranks run on devices of one machine, a process or a thread each.
//
// What is done with it are operations like those of Backend: they run in the order of their calls and may be
// recorded. Each of them waits on the device, not on the host, until all ranks have come as far; so all
// ranks call the same ones in the same order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace qwen3 {

// A sum over numbers that lie with several ranks, in an order that is its own.
struct PeerSum {
  struct Input {
    int rank = 0;
    int64_t offset = 0;  // in its part, in bytes
  };
  std::vector<Input> inputs;
  // In reverse Polish notation: true takes the next input, false adds the two latest results.
  std::vector<bool> steps;
};

class PeerWindow {
 public:
  static constexpr int kMaxRanks = 8, kMaxInputs = 16;

  virtual ~PeerWindow() = default;

  // Tells others where my part is.
  virtual std::string address() const = 0;
  // By rank, mine among them; once, before anything else. Throws Error{unsupported} where the devices cannot
  // reach each other's memory, Error{device}.
  virtual void connect(std::span<const std::string> addresses) = 0;
  // Memory of a rank's part: operations read and write it, the host does not.
  virtual Tensor part(int rank, int64_t offset, DType type, Shape shape) const = 0;

  // ---- operations

  // What any rank has written before is there for all.
  virtual void meet() = 0;
  // x = or += the sum, of x.numel() float32 of each input
  enum class Into { replace, add };
  virtual void sum(const Tensor& x, Into into, const PeerSum& sum) = 0;
  // x = bitwise or of x.numel() float32 at `offset` of all parts
  virtual void merge_bits(const Tensor& x, int64_t offset) = 0;
};

}  // namespace qwen3
