// Products: linear layers and experts on the thread team. Decides how a product is cut into tasks
// and in what type activations are handed to the kernels; the arithmetic is in isa/linear_kernel.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hardware/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/scratch.h"
#include "kernels/expert_groups.h"

namespace qwen3::cpu {

struct Product {
  Tensor out;  // [n_tokens, out]
  Linear w;    // in panels
  Write write = Write::store;
};

class Products {
 public:
  Products(const KernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  void reserve(int64_t max_tokens, int64_t max_features);
  // All products of one input, in one parallel loop.
  void run(std::span<const Product> products, const Tensor& x);
  // Backend::experts_add. REQUIRES: the three weights have one type.
  void experts_add(const Tensor& x,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing);

 private:
  struct Activations {
    const void* data;
    int64_t stride;
  };

  LinearKernel kernel(WeightType type) const;
  bool wants_bf16(WeightType weight) const {
    return weight == WeightType::bf16 && kernels_.bf16_dot;
  }
  // Rows `from` of x in bfloat16, one after the other; all of x where `from` is empty.
  Activations rounded(const Tensor& x, std::span<const int32_t> from);
  int64_t smallest_task(WeightType weight, int64_t n_rows, int64_t n_in) const;
  void cut_for_decode(int64_t n_panels, int64_t smallest);
  template <typename Body>
  void for_ranges(int64_t n_panels, int64_t smallest, int64_t n_products, const Body& body);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  Scratch rounded_;            // activations in bfloat16
  Scratch hidden_;             // silu(gate) * up of every (token, expert) pair
  std::vector<int64_t> cuts_;  // panel ranges: task i has [cuts_[i], cuts_[i + 1])
  ExpertGroups groups_;
};

}  // namespace qwen3::cpu
