// What the warps of few_rows.cu share, and how those that have no piece of their own help with another's.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxStages = 8;

// kRows rows, kWarps pairs of tile and segment at a time, kStepTiles column tiles in a stage.
template <int kRowsOf, int kWarpsOf>
struct Plan {
  static constexpr int kRows = kRowsOf, kWarps = kWarpsOf;
  static constexpr int kRowTiles = kRows / 8;
  static constexpr int kStepTiles = kRows > 32 ? 8 : 16;
  static constexpr int kBoxBytes = kRows * kStepTiles * kTile * 2;  // of a segment's
  static constexpr int kThreads = 32 * (kWarps + 2);
};

template <typename P>
struct Shared {
  float4 partial[P::kWarps][P::kRowTiles][32];
  uint64_t full[kMaxStages], empty[kMaxStages], passed[P::kWarps];
  float sums[8];
};

// The rows that two column tiles of weights are multiplied with: pieces of 64 columns, in each the rows, in each 8
// parts of 16 bytes that are exchanged. A held row stands for all eight: nobody takes what the others come to.
template <typename P, bool kHeld>
__device__ void load_rows(uint32_t (&b)[P::kRowTiles][4], const uint8_t* rows, int k, int n_j) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < P::kRowTiles; ++j) {
    if (j >= n_j) break;
    load_matrices(b[j],
                  kHeld ? rows + k * kTile * 2 + lane / 8 * 16
                        : rows + k / 4 * (P::kRows * 128) + j * 1024 +
                              ((2 * (k % 4) + lane / 8) ^ lane % 8) * 16);
  }
}

// Weights in codes take more instructions than a warp can hide behind the sums of its piece. So warps that have
// no piece of their own take turns with another's: each makes numbers of every n-th stage's codes while the
// others do so with theirs, waits for the sums so far, adds its stage and hands them on. The chain of sums is the
// same.
template <typename P>
class Turns {
 public:
  explicit __device__ Turns(Shared<P>& shared) : shared_(shared) {}

  __device__ void begin(int n_pieces, int n_steps) {
    const int warp = threadIdx.x / 32;
    n_turns_ = P::kWarps / n_pieces;
    piece_ = warp / n_turns_;
    turn_ = warp % n_turns_;
    exists_ = piece_ < n_pieces;
    last_ = (n_steps - 1) % n_turns_;
#pragma unroll
    for (auto& of_row : sum_) {
      for (float& v : of_row) v = 0;
    }
  }
  __device__ int piece() const { return piece_; }
  __device__ int n_turns() const { return n_turns_; }
  __device__ bool has(int step) const { return exists_ && step % n_turns_ == turn_; }
  // Whether this warp has the whole sum in the end; and which of the piece's warps does.
  __device__ bool has_sum() const { return exists_ && turn_ == last_; }
  __device__ int last() const { return last_; }
  __device__ float sum(int j, int i) const { return sum_[j][i]; }

  // Stage `step` of n_steps, n column tiles, an even number: without a branch between them if it is whole, so that
  // they overlap.
  template <Coding kCoding>
  __device__ void take(
      const uint8_t* weights, const uint8_t* rows, int n, int step, int n_steps, int n_j) {
    if (n == P::kStepTiles) {
      take_some<kCoding, true>(weights, rows, n, step, n_steps, n_j);
    } else {
      take_some<kCoding, false>(weights, rows, n, step, n_steps, n_j);
    }
  }

 private:
  template <Coding kCoding, bool kWhole>
  __device__ void take_some(
      const uint8_t* weights, const uint8_t* rows, int n, int step, int n_steps, int n_j) {
    uint4 a[P::kStepTiles] = {};
#pragma unroll
    for (int k = 0; k < P::kStepTiles; k += 2) {
      if (kWhole || k < n) load_unit<kCoding>(a[k], a[k + 1], weights + k * tile_bytes(kCoding));
    }
    // The numbers are wanted now: not when they are multiplied, while others wait for this warp's sums.
#pragma unroll
    for (uint4& tile : a) asm volatile("" : "+r"(tile.x), "+r"(tile.y), "+r"(tile.z), "+r"(tile.w));
    uint32_t b[2][P::kRowTiles][4];
    load_rows<P, false>(b[0], rows, 0, n_j);
    if (step > 0 && n_turns_ > 1) receive();
#pragma unroll
    for (int k = 0; k < P::kStepTiles; k += 2) {
      if (!kWhole && k >= n) break;
      if (k + 2 < P::kStepTiles) load_rows<P, false>(b[k / 2 % 2 ^ 1], rows, k + 2, n_j);
#pragma unroll
      for (int u = 0; u < 2; ++u) {
#pragma unroll
        for (int j = 0; j < P::kRowTiles; ++j) {
          if (j < n_j) mma(sum_[j], a[k + u], b[k / 2 % 2][j][2 * u], b[k / 2 % 2][j][2 * u + 1]);
        }
      }
    }
    if (n_turns_ > 1 && step + 1 < n_steps) hand_on();
  }

  __device__ int of_turn(int turn) const { return piece_ * n_turns_ + turn; }
  __device__ void receive() {
    barrier_wait(shared_.passed + threadIdx.x / 32, phase_);
    phase_ ^= 1;
    const int from = of_turn((turn_ + n_turns_ - 1) % n_turns_);
#pragma unroll
    for (int j = 0; j < P::kRowTiles; ++j) {
      const float4 v = shared_.partial[from][j][threadIdx.x % 32];
      sum_[j][0] = v.x;
      sum_[j][1] = v.y;
      sum_[j][2] = v.z;
      sum_[j][3] = v.w;
    }
  }
  __device__ void hand_on() {
#pragma unroll
    for (int j = 0; j < P::kRowTiles; ++j) {
      shared_.partial[threadIdx.x / 32][j][threadIdx.x % 32] = {
          sum_[j][0], sum_[j][1], sum_[j][2], sum_[j][3]};
    }
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(shared_.passed + of_turn((turn_ + 1) % n_turns_));
  }

  Shared<P>& shared_;
  int n_turns_ = 1, piece_ = 0, turn_ = 0, last_ = 0;
  bool exists_ = false;
  uint32_t phase_ = 0;
  float sum_[P::kRowTiles][4];
};

}  // namespace
}  // namespace qwen3::cuda
