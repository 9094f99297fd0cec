// The table of an instruction set, put together from the headers beside it.
#pragma once

#include "kernels/cpu/isa/attention_kernel.h"
#include "kernels/cpu/isa/block_kernel.h"
#include "kernels/cpu/isa/dot_tile.h"
#include "kernels/cpu/isa/fp8_kernel.h"
#include "kernels/cpu/isa/linear_kernel.h"
#include "kernels/cpu/isa/q8_attention.h"
#include "kernels/cpu/isa/row_kernels.h"
#include "kernels/cpu/kernel_table.h"
#if defined(__AMX_INT8__)
#include "kernels/cpu/isa/block_amx.h"
#include "kernels/cpu/isa/linear_amx.h"
#endif

namespace qwen3::cpu {
namespace {

#if defined(__AVX512BF16__)
using Bf16 = Bf16DotProduct;
#else
using Bf16 = Bf16Product;
#endif

#if defined(__AMX_INT8__)
constexpr LinearKernel kLinearBf16 = linear_amx;
constexpr int64_t kStreamRowsBf16 = kAmxRows;
template <Blocks kBlocks>
constexpr LinearKernel kLinearBlocks = block_linear_amx<kBlocks>;
#else
constexpr LinearKernel kLinearBf16 = linear<Bf16>;
constexpr int64_t kStreamRowsBf16 = kStreamRows;
template <Blocks kBlocks>
constexpr LinearKernel kLinearBlocks = block_linear<kBlocks>;
#endif

constexpr KernelTable kTable = {
    .bf16_dot = sizeof(Bf16::X) == 2,
    .linear_f32 = linear<F32Product>,
    .linear_bf16 = kLinearBf16,
    .linear_f16 = linear<F16Product>,
    .linear_blocks = {kLinearBlocks<Blocks::q4_0>,
                      kLinearBlocks<Blocks::q4_1>,
                      kLinearBlocks<Blocks::q5_0>,
                      kLinearBlocks<Blocks::q5_1>,
                      kLinearBlocks<Blocks::q8_0>,
                      kLinearBlocks<Blocks::q2_k>,
                      kLinearBlocks<Blocks::q3_k>,
                      kLinearBlocks<Blocks::q4_k>,
                      kLinearBlocks<Blocks::q5_k>,
                      kLinearBlocks<Blocks::q6_k>,
                      kLinearBlocks<Blocks::iq4_nl>,
                      kLinearBlocks<Blocks::iq4_xs>,
                      kLinearBlocks<Blocks::mxfp4>,
                      kLinearBlocks<Blocks::affine4>,
                      kLinearBlocks<Blocks::affine8>,
                      fp8_linear<Blocks::fp8>,
                      fp8_linear<Blocks::fp8_128>},
    .stream_rows = kStreamRows,
    .stream_rows_bf16 = kStreamRowsBf16,
    .kv_store_f32 = kv_store<float>,
    .kv_store_bf16 = kv_store<uint16_t>,
    .kv_store_q8 = kv_store_q8,
    .attend_f32 = attend<F32Product>,
    .attend_bf16 = attend<Bf16>,
    .attend_q8 = attend_q8,
    .rotate_head = rotate_head,
    .merge_states = merge_states,
    .finish_state = finish_state,
    .round_row = round_row,
    .quantise_row = quantise_row,
    .rms_norm_row = rms_norm_row,
    .rope_head = rope_head,
    .silu_mul = silu_mul,
    .add = add,
    .add_scaled = add_scaled,
    .route = route,
};

}  // namespace
}  // namespace qwen3::cpu
