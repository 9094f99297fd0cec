#include "kernels/cpu/products.h"

#include <algorithm>
#include <cassert>

#include "base/checked.h"
#include "kernels/cpu/block_layout.h"
#include "kernels/cpu/block_panels.h"

namespace qwen3::cpu {
namespace {

// Up to here a batch counts as decode: every task takes all rows, so weights are read once.
constexpr int64_t kDecodeRows = 24;
// Panels that register tiles take abreast at most.
constexpr int64_t kGroup = 4;
// Rows and panels of a prefill task. 128 rows of 1,024 features are 256 KiB of bfloat16, four
// panels 128 KiB: together they leave room in an L2 of 1 MiB, and a task takes 70 µs, short enough
// to even out a disturbed core. AMD EPYC (Zen 4), 2 cores, 2026-11-24. Eight AMX tiles of 16 rows,
// or 22 register tiles of at most six.
constexpr int64_t kPrefillRows = 128;
constexpr int64_t kPrefillPanels = 4;
// Products below this many multiplications run on the caller: waking the team costs about 1 µs, in
// which one core streams about this many weights.
constexpr int64_t kSerialProducts = 32 * 1024;

int64_t n_panels_of(int64_t n_out) { return ceil_div(n_out, kPanel); }

// Row stride of activations in bfloat16: whole cache lines, and an odd number of them, so that the
// six rows of a tile do not fall into the same L1 sets when n_in is a power of two.
int64_t rounded_stride(int64_t n_in) {
  constexpr int64_t kLine = 32;
  return (ceil_div(n_in, kLine) | 1) * kLine;
}

// The same of quantised activations, in bytes.
int64_t quantised_stride(int64_t n_in) {
  constexpr int64_t kLine = 64;
  return (ceil_div(activation_row_bytes(n_in), kLine) | 1) * kLine;
}

}  // namespace

LinearKernel Products::kernel(WeightType type) const {
  switch (type) {
    case WeightType::f32:
      return kernels_.linear_f32;
    case WeightType::bf16:
      return kernels_.linear_bf16;
    case WeightType::f16:
      return kernels_.linear_f16;
    default:
      return kernels_.linear_blocks[static_cast<int>(*blocks_of(type))];
  }
}

// Panels of a decode task at least. With few rows memory decides, and one panel streams as well as
// any number, if it is long enough to be worth a task; with more rows it is the group of four that
// a tile wants, whose arithmetic is what takes the time.
int64_t Products::smallest_task(WeightType weight, int64_t n_rows, int64_t n_in) const {
  constexpr int64_t kWorthATask = 32 << 10;  // bytes: 2 to 5 µs of a thread's share of the memory
  const bool bf16 = weight == WeightType::bf16;
  if (n_rows > (bf16 ? kernels_.stream_rows_bf16 : kernels_.stream_rows)) return kGroup;
  return std::clamp<int64_t>(kWorthATask / (kPanel * row_bytes(weight, n_in)), 1, kGroup);
}

void Products::reserve(int64_t max_tokens, int64_t max_features) {
  if (kernels_.bf16_dot) rounded_.get<uint16_t>(max_tokens * rounded_stride(max_features));
}

Products::Activations Products::converted(Input input,
                                          const float* x,
                                          int64_t x_stride,
                                          int64_t n_rows,
                                          int64_t n_in,
                                          const int32_t* from) {
  const bool bf16 = input == Input::bf16;
  const int64_t stride = bf16 ? rounded_stride(n_in) : quantised_stride(n_in);
  uint16_t* const rounded = bf16 ? rounded_.get<uint16_t>(n_rows * stride) : nullptr;
  uint8_t* const quantised = bf16 ? nullptr : quantised_.get<uint8_t>(n_rows * stride);
  constexpr int64_t kRowsPerTask = 16;
  pool_.parallel_for(ceil_div(n_rows, kRowsPerTask), [&](int64_t task, int) {
    const int64_t end = std::min(n_rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      const float* source = x + (from == nullptr ? row : from[row]) * x_stride;
      if (bf16) {
        kernels_.round_row(rounded + row * stride, source, n_in);
      } else {
        kernels_.quantise_row(quantised + row * stride, source, n_in);
      }
    }
  });
  return {bf16 ? static_cast<const void*>(rounded) : quantised, stride};
}

// Cuts n_panels into ranges for tasks: large ones first, for long unbroken streams, small ones at
// the end, so that all threads finish together even if one of them was disturbed.
void Products::cut_for_decode(int64_t n_panels, int64_t smallest) {
  cuts_.clear();
  for (int64_t begin = 0; begin < n_panels;) {
    cuts_.push_back(begin);
    const int64_t share = (n_panels - begin) / (2 * pool_.size());
    begin += share >= kGroup ? share / kGroup * kGroup : std::min(smallest, n_panels - begin);
  }
  cuts_.push_back(n_panels);
}

// body(panel_begin, panel_end, thread) over [0, n_panels), in tasks of `smallest` panels or more.
template <typename Body>
void Products::for_ranges(int64_t n_panels,
                          int64_t smallest,
                          int64_t n_products,
                          const Body& body) {
  if (n_products < kSerialProducts) {
    body(int64_t{0}, n_panels, 0);
    return;
  }
  cut_for_decode(n_panels, smallest);
  pool_.parallel_for(static_cast<int64_t>(cuts_.size()) - 1, [&](int64_t task, int thread) {
    body(cuts_[static_cast<size_t>(task)], cuts_[static_cast<size_t>(task) + 1], thread);
  });
}

Products::LeafArray Products::leaf_array(const Linear& w) {
  LeafArray leaves;
  if (!w.leaves) return leaves;
  const LeafSteps steps = leaf_steps(w.leaves, w.weight.n_in());
  for (const LeafSteps::Step& step : steps.steps()) {
    leaves.all[leaves.n++] = {step.begin, step.end, step.n_merges};
  }
  return leaves;
}

void Products::run(std::span<const Product> products, const Tensor& x) {
  const int64_t n_rows = x.dim(0);
  const int64_t n_in = x.dim(1);
  if (n_rows == 0) return;
  int64_t smallest = 1;
  Prepared inputs{.f32 = {x.data(), x.row_stride()}, .bf16 = {}, .int8 = {}};
  const auto prepare = [&](Input input, Activations& to) {
    if (to.data == nullptr) to = converted(input, x.f32(), x.row_stride(), n_rows, n_in);
  };
  for (const Product& product : products) {
    const WeightType type = product.w.weight.type();
    const Input input = input_of(type);
    if (input == Input::bf16) prepare(input, inputs.bf16);
    if (input == Input::int8) prepare(input, inputs.int8);
    smallest = std::max(smallest, smallest_task(type, n_rows, n_in));
  }
  int64_t n_panels = 0;
  int64_t n_outputs = 0;
  leaves_.clear();
  for (const Product& product : products) {
    assert(product.w.weight.n_in() == n_in);
    leaves_.push_back(leaf_array(product.w));
    n_panels += n_panels_of(product.w.weight.n_out());
    n_outputs += product.w.weight.n_out();
  }

  // Panels are numbered through all products.
  const auto compute = [&](int64_t row_begin, int64_t row_end, int64_t begin, int64_t end) {
    int64_t first = 0;  // number of this product's first panel
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& product = products[i];
      const Weight& w = product.w.weight;
      const int64_t count = n_panels_of(w.n_out());
      const int64_t own_begin = std::max<int64_t>(begin - first, 0);
      const int64_t own_end = std::min(end - first, count);
      first += count;
      if (own_begin >= own_end) continue;
      const WeightType type = w.type();
      LinearArgs args;
      const Activations& input = inputs.of(input_of(type));
      args.x = input.data;
      args.x_stride = input.stride;
      args.w = w.data();
      args.n_in = n_in;
      args.n_out = w.n_out();
      args.leaves = leaves_[i].all;
      args.n_leaves = leaves_[i].n;
      args.out = product.out.data();
      args.out_stride = product.out.row_stride();
      args.bias = product.w.bias ? product.w.bias.f32() : nullptr;
      args.write = product.write;
      kernel(type)(args, row_begin, row_end, own_begin, own_end);
    }
  };

  if (n_rows <= kDecodeRows) {
    for_ranges(n_panels, smallest, n_rows * n_in * n_outputs, [&](int64_t begin, int64_t end, int) {
      compute(0, n_rows, begin, end);
    });
    return;
  }
  const int64_t n_row_tasks = ceil_div(n_rows, kPrefillRows);
  const int64_t n_panel_tasks = ceil_div(n_panels, kPrefillPanels);
  const auto body = [&](int64_t task, int) {
    const int64_t row_task = task / n_panel_tasks;
    const int64_t panel = task % n_panel_tasks * kPrefillPanels;
    compute(n_rows * row_task / n_row_tasks,
            n_rows * (row_task + 1) / n_row_tasks,
            panel,
            std::min(panel + kPrefillPanels, n_panels));
  };
  pool_.parallel_for(n_row_tasks * n_panel_tasks, body);
}

bool Products::can_fuse(const ExpertWeights& experts) const {
  const Input up = input_of(experts.gate_proj.type());
  return experts.gate_proj.type() == experts.up_proj.type() &&
         (up != Input::bf16 || input_of(experts.down_proj.type()) == Input::bf16);
}

void Products::experts_sum(const Tensor& out,
                           const Tensor& h,
                           const ExpertWeights& experts,
                           const Routing& routing,
                           Write write) {
  const int64_t n_tokens = h.dim(0);
  const int64_t hidden_size = h.dim(1);
  const int64_t intermediate_size = experts.gate_proj.n_out();
  if (n_tokens == 0) return;
  const WeightType type = experts.gate_proj.type(), down_type = experts.down_proj.type();
  const Input up_input = input_of(type), down_input = input_of(down_type);
  const int64_t n_experts = experts.gate_proj.n_matrices();
  groups_.build(routing, experts.leaves.first(), n_experts);
  // Converted rows are laid down in the order of the groups, because tile loads want them in a row.
  const bool in_order = up_input != Input::f32;
  const auto n_rows = static_cast<int64_t>(groups_.rows().size());
  const Activations input =
      in_order
          ? converted(up_input, h.f32(), h.row_stride(), n_rows, hidden_size, groups_.rows().data())
          : Activations{h.data(), h.row_stride()};
  const auto groups = groups_.groups();
  const int64_t n_products = n_rows * hidden_size * intermediate_size;

  // hidden[pair] = silu(gate) * up, in bfloat16 if the kernel reads that.
  const int64_t stride = rounded_stride(intermediate_size);
  const bool bf16 = up_input == Input::bf16;
  const int64_t element = bf16 ? 2 : 4;
  const int64_t input_element = up_input == Input::int8 ? 1 : element;
  auto* hidden = hidden_.get<std::byte>(n_rows * stride * element);
  const int64_t n_up_panels = n_panels_of(intermediate_size);
  const auto n_groups = static_cast<int64_t>(groups.size());
  const int64_t rows_per_expert = ceil_div(n_rows, std::max<int64_t>(n_groups, 1));
  const int64_t smallest_up = smallest_task(type, rows_per_expert, hidden_size);
  for_ranges(
      n_groups * n_up_panels, smallest_up, 2 * n_products, [&](int64_t begin, int64_t end, int) {
        for (int64_t g = begin / n_up_panels; g * n_up_panels < end; ++g) {
          const ExpertGroups::Group& group = groups[static_cast<size_t>(g)];
          LinearArgs args;
          args.x = static_cast<const std::byte*>(input.data) +
                   (in_order ? group.begin * input.stride * input_element : 0);
          args.x_stride = input.stride;
          args.x_rows = in_order ? nullptr : group.rows.data();
          args.w = experts.gate_proj.matrix(group.matrix).data();
          args.w_up = experts.up_proj.matrix(group.matrix).data();
          args.n_in = hidden_size;
          args.n_out = intermediate_size;
          args.out = hidden + group.begin * stride * element;
          args.out_stride = stride;
          args.write = Write::silu_mul;
          kernel(type)(args,
                       0,
                       static_cast<int64_t>(group.rows.size()),
                       std::max(begin - g * n_up_panels, int64_t{0}),
                       std::min(end - g * n_up_panels, n_up_panels));
        }
      });

  Activations down_rows{hidden, stride};
  int64_t down_element = element;
  if (down_input != (bf16 ? Input::bf16 : Input::f32)) {
    down_rows = converted(
        down_input, reinterpret_cast<const float*>(hidden), stride, n_rows, intermediate_size);
    down_element = down_input == Input::bf16 ? 2 : 1;
  }

  const ExpertSum sum{.out = out,
                      .experts = experts,
                      .rows = down_rows,
                      .element = down_element,
                      .leaves = leaf_steps(experts.leaves, n_experts),
                      .write = write};
  // A task owns some output features and adds every expert's share to them, as many panels at a time as
  // have their sums in a part of L2.
  constexpr int64_t kSumBytes = 256 << 10;
  const int64_t sums_of_panel = kMaxSums * n_tokens * kPanel;
  const int64_t n_abreast = std::max(kSumBytes / (4 * sums_of_panel), kGroup);
  auto* sums = sums_.get<float>(pool_.size() * n_abreast * sums_of_panel);
  const int64_t smallest_down = smallest_task(down_type, rows_per_expert, intermediate_size);
  for_ranges(n_panels_of(hidden_size),
             smallest_down,
             n_products,
             [&](int64_t begin, int64_t end, int thread) {
               for (; begin < end; begin += n_abreast) {
                 sum_panels(sum,
                            begin,
                            std::min(begin + n_abreast, end),
                            sums + thread * n_abreast * sums_of_panel);
               }
             });
}

// Deterministic, and no two tasks touch the same element of the outputs. `sums` has room for kMaxSums of
// all tokens and these panels.
void Products::sum_panels(const ExpertSum& sum, int64_t begin, int64_t end, float* sums) const {
  const Weight& w = sum.experts.down_proj;
  const int64_t n_tokens = sum.out.dim(0), width = (end - begin) * kPanel;
  const int64_t size = n_tokens * width;
  const int64_t panel_bytes = w.format().bytes / n_panels_of(w.n_out());
  LinearArgs args;
  args.x_stride = sum.rows.stride;
  args.n_in = w.n_in();
  args.n_out = std::min(w.n_out() - begin * kPanel, width);
  args.out_stride = width;
  args.write = Write::add_scaled;
  auto left = groups_.groups();
  float* to = sums;
  for (const LeafSteps::Step& leaf : sum.leaves.steps()) {
    std::fill_n(to, size, 0.0f);
    for (; !left.empty() && left.front().matrix < leaf.end; left = left.subspan(1)) {
      const ExpertGroups::Group& group = left.front();
      args.x = static_cast<const std::byte*>(sum.rows.data) +
               group.begin * sum.rows.stride * sum.element;
      args.w = w.matrix(group.matrix).data() + begin * panel_bytes;
      args.out = to;
      args.out_rows = group.rows.data();
      args.scales = group.weights.data();
      kernel(w.type())(args, 0, static_cast<int64_t>(group.rows.size()), 0, end - begin);
    }
    for (int i = 0; i < leaf.n_merges; ++i) {
      to -= size;
      kernels_.add(to, to + size, size);
    }
    to += size;
  }
  for (int64_t t = 0; t < n_tokens; ++t) {
    float* const row = sum.out.f32_row(t) + begin * kPanel;
    if (sum.write == Write::add) {
      kernels_.add(row, sums + t * width, args.n_out);
    } else {
      std::copy_n(sums + t * width, args.n_out, row);
    }
  }
}

}  // namespace qwen3::cpu
