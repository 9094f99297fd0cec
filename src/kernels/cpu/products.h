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

  // Backend::input_rounding.
  Backend::InputRounding input_rounding(WeightType weight) const {
    using Rounding = Backend::InputRounding;
    const Input input = input_of(weight);
    return input == Input::f32    ? Rounding::none
           : input == Input::bf16 ? Rounding::bfloat16
                                  : Rounding::int8;
  }
  void reserve(int64_t max_tokens, int64_t max_features);
  // All products of one input, in one parallel loop.
  void run(std::span<const Product> products, const Tensor& x);
  // Whether experts_sum can do it: the down projection can read what the kernel of the other two writes.
  bool can_fuse(const ExpertWeights& experts) const;
  // Backend::experts_sum into `out`, or, with Write::add, experts_add. REQUIRES: can_fuse(experts), and
  // gate_proj and up_proj have one type.
  void experts_sum(const Tensor& out,
                   const Tensor& h,
                   const ExpertWeights& experts,
                   const Routing& routing,
                   Write write);

 private:
  // What a kernel wants its activations in.
  enum class Input { f32, bf16, int8 };
  struct Activations {
    const void* data = nullptr;
    int64_t stride = 0;  // elements; of int8 bytes
  };
  struct LeafArray {
    Leaf all[kMaxLeaves];
    int64_t n = 0;
  };
  struct Prepared {
    Activations f32, bf16, int8;
    const Activations& of(Input input) const {
      return input == Input::f32 ? f32 : input == Input::bf16 ? bf16 : int8;
    }
  };

  LinearKernel kernel(WeightType type) const;
  static LeafArray leaf_array(const Linear& w);
  Input input_of(WeightType weight) const {
    if (!is_plain(weight)) return Input::int8;
    return weight == WeightType::bf16 && kernels_.bf16_dot ? Input::bf16 : Input::f32;
  }
  // n_rows rows of x, or of those that `from` lists, converted one after the other.
  Activations converted(Input input,
                        const float* x,
                        int64_t x_stride,
                        int64_t n_rows,
                        int64_t n_in,
                        const int32_t* from = nullptr);
  int64_t smallest_task(WeightType weight, int64_t n_rows, int64_t n_in) const;
  // What the second half of experts_sum reads and writes.
  struct ExpertSum {
    const Tensor& out;
    const ExpertWeights& experts;
    Activations rows;  // of all groups, one after the other
    int64_t element;   // bytes of what their stride counts
    LeafSteps leaves;
    Write write;
  };
  void sum_panels(const ExpertSum& sum, int64_t begin, int64_t end, float* sums) const;
  void cut_for_decode(int64_t n_panels, int64_t smallest);
  template <typename Body>
  void for_ranges(int64_t n_panels, int64_t smallest, int64_t n_products, const Body& body);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  Scratch rounded_;                // activations in bfloat16
  Scratch quantised_;              // activations in int8
  Scratch hidden_;                 // silu(gate) * up of every (token, expert) pair
  Scratch sums_;                   // of experts, of each thread
  std::vector<LeafArray> leaves_;  // of each product
  std::vector<int64_t> cuts_;      // panel ranges: task i has [cuts_[i], cuts_[i + 1])
  ExpertGroups groups_;
};

}  // namespace qwen3::cpu
