// Sequences with many rows: 128 rows at a time (positions times query heads of a kv head) walk through the units
// of keys that they see.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

// What a thread of the C fragments of S = Q·Kᵀ holds: rows g and g + 8.
struct Running {
  float m[2] = {kNone, kNone}, l[2] = {0, 0};
};

template <int kHeadDim>
__global__ void __launch_bounds__(256, 1)
    slices_kernel(const __grid_constant__ AttentionArgs args) {
  constexpr int kBlocks32 = kHeadDim / 32, kTiles16 = kHeadDim / 16;
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2;
  constexpr int kUnitBytes = kUnitGroups * kGroupBytes;  // of keys; values as many
  extern __shared__ __align__(128) uint8_t units[];      // [2][keys, values]
  pdl_trigger();
  pdl_wait();

  const BatchArgs& batch = args.batch;
  const KvArgs& kv = args.kv;
  const int kv_head = blockIdx.y, group = args.n_heads / kv.n_kv_heads, head_dim = kv.head_dim;
  int seq = 0, first_token = 0, n_tokens = 0,
      first_packed = (gridDim.x - 1 - blockIdx.x) * kTileRows;  // long ones first
  for (int i = 0; i < batch.n_slices; ++i) {
    seq = batch.slices[i];
    first_token = batch.cu_seqlens_q[seq];
    n_tokens = batch.cu_seqlens_q[seq + 1] - first_token;
    const int n_rows = attention_tiles(n_tokens, group) * kTileRows;
    if (first_packed < n_rows) break;
    first_packed -= n_rows;
  }
  const int kv_len = batch.kv_lens[seq];
  const int n_packed = min(kTileRows, n_tokens * group - first_packed);
  const int first_position = kv_len - n_tokens + first_packed / group;
  const int last_position = kv_len - n_tokens + (first_packed + n_packed - 1) / group;
  const int last_unit = last_position / kAttentionUnit;
  const int first_unit =
      args.window > 0
          ? static_cast<int>(max(int64_t{0}, first_position - args.window + 1)) / kAttentionUnit
          : 0;
  const int32_t* const table = batch.block_tables + static_cast<int64_t>(seq) * batch.table_stride;

  const auto copy_unit = [&](int unit) {
    uint8_t* const to = units + unit % 2 * 2 * kUnitBytes;
#pragma unroll 1
    for (int i = 0; i < kUnitGroups; ++i) {
      const int key = unit * kAttentionUnit + i * kKeyGroup;
      if (key >= kv_len) break;
      const int64_t slot =
          static_cast<int64_t>(table[key / kv.block_size]) * kv.block_size + key % kv.block_size;
      const int64_t offset = group_offset(kv, slot, kv_head) * 2;
      for (int at = threadIdx.x * 16; at < kGroupBytes; at += 256 * 16) {
        copy_16(to + i * kGroupBytes + at, static_cast<const uint8_t*>(kv.k) + offset + at);
        copy_16(to + kUnitBytes + i * kGroupBytes + at,
                static_cast<const uint8_t*>(kv.v) + offset + at);
      }
    }
    copy_commit();
  };
  copy_unit(first_unit);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  uint4 q[2 * kBlocks32];
  int position[2];
  {
    const uint32_t* from[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int packed = warp * 16 + g + 8 * r;
      const bool valid = packed < n_packed;
      const int token = (first_packed + packed) / group,
                head = kv_head * group + (first_packed + packed) % group;
      position[r] = valid ? kv_len - n_tokens + token : -1;
      from[r] =
          valid ? reinterpret_cast<const uint32_t*>(
                      static_cast<const bf16*>(args.q) +
                      (static_cast<int64_t>(first_token + token) * args.n_heads + head) * head_dim)
                : nullptr;
    }
    const auto two = [&](int r, int d) {
      return from[r] != nullptr && d < head_dim ? from[r][d / 2] : 0u;
    };
#pragma unroll
    for (int step = 0; step < 2 * kBlocks32; ++step) {
      const int d = step * 16 + 2 * c;
      q[step] = {two(0, d), two(1, d), two(0, d + 8), two(1, d + 8)};
    }
  }

  Running running;
  float total[2 * kTiles16][4] = {};
  const float factor = args.scale * kLog2E;
  for (int unit = first_unit; unit <= last_unit; ++unit) {
    if (unit < last_unit) {
      copy_unit(unit + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
    const uint8_t* const keys = units + unit % 2 * 2 * kUnitBytes;
    const uint8_t* const values = keys + kUnitBytes;
    const int first = unit * kAttentionUnit, n_valid = min(kAttentionUnit, kv_len - first);

    float s[16][4] = {};
#pragma unroll
    for (int n = 0; n < 16; ++n) {
      const uint8_t* from = keys + n / 2 * kGroupBytes + n % 2 * (kGroupBytes / 2) + lane * 16;
#pragma unroll
      for (int b = 0; b < kBlocks32; ++b) {
        const uint4 k = *reinterpret_cast<const uint4*>(from + b * 512);
        mma(s[n], q[2 * b], k.x, k.y);
        mma(s[n], q[2 * b + 1], k.z, k.w);
      }
    }
    float m[2] = {kNone, kNone};
#pragma unroll
    for (int n = 0; n < 16; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first + n * 8 + 2 * c + i % 2;
        const bool seen =
            key <= position[i / 2] && (args.window == 0 || key > position[i / 2] - args.window);
        s[n][i] = seen ? s[n][i] * factor : kNone;
        m[i / 2] = fmaxf(m[i / 2], s[n][i]);
      }
    }
    float a[2], b[2], l[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      m[r] = quad_max(m[r]);
      const float reference = m[r] == kNone ? 0.0f : m[r];
      float part[4];
#pragma unroll
      for (int n = 0; n < 16; ++n) {
        if (n % 4 == 0) part[n / 4] = 0;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& p = s[n][2 * r + i];
          p = exp2_of(p - reference);
          part[n / 4] += p;
        }
      }
      l[r] = quad_sum((part[0] + part[1]) + (part[2] + part[3]));
      float M;
      merge_scales(running.m[r], m[r], M, a[r], b[r]);
      running.m[r] = M;
      running.l[r] = merge(running.l[r], a[r], l[r], b[r]);
    }
    uint4 p[kUnitGroups];
#pragma unroll
    for (int i = 0; i < kUnitGroups; ++i) {
      p[i] = {pack_bf16(s[2 * i][0], s[2 * i][1]),
              pack_bf16(s[2 * i][2], s[2 * i][3]),
              pack_bf16(s[2 * i + 1][0], s[2 * i + 1][1]),
              pack_bf16(s[2 * i + 1][2], s[2 * i + 1][3])};
    }
    const bool whole = n_valid == kAttentionUnit;
#pragma unroll
    for (int tile = 0; tile < kTiles16; ++tile) {
      float o[2][4] = {};
#pragma unroll
      for (int i = 0; i < kUnitGroups; ++i) {
        if (i * kKeyGroup < n_valid) {
          uint4 v =
              *reinterpret_cast<const uint4*>(values + i * kGroupBytes + tile * 512 + lane * 16);
          if (!whole) {
            const int key = i * kKeyGroup + 2 * c;
            v.x = mask_keys(v.x, key, n_valid);
            v.y = mask_keys(v.y, key + 8, n_valid);
            v.z = mask_keys(v.z, key, n_valid);
            v.w = mask_keys(v.w, key + 8, n_valid);
          }
          mma(o[0], p[i], v.x, v.y);
          mma(o[1], p[i], v.z, v.w);
        }
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          total[2 * tile + j][i] = merge(total[2 * tile + j][i], a[i / 2], o[j][i], b[i / 2]);
        }
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int packed = warp * 16 + g + 8 * r;
    if (packed >= n_packed) continue;
    const int token = (first_packed + packed) / group,
              head = kv_head * group + (first_packed + packed) % group;
    bf16* const out = static_cast<bf16*>(args.out) +
                      (static_cast<int64_t>(first_token + token) * args.n_heads + head) * head_dim;
    const float inverse = 1.0f / running.l[r];
#pragma unroll
    for (int n = 0; n < 2 * kTiles16; ++n) {
      const int d = n * 8 + 2 * c;
      if (d < head_dim) {
        *reinterpret_cast<uint32_t*>(out + d) =
            pack_bf16(total[n][2 * r] * inverse, total[n][2 * r + 1] * inverse);
      }
    }
  }
}

template <int kHeadDim>
void launch_slices(const AttentionArgs& args, Stream stream) {
  constexpr int kBytes = 4 * kAttentionUnit * kHeadDim * 2;
  static const bool once = [] {
    allow_shared(slices_kernel<kHeadDim>, kBytes);
    return true;
  }();
  static_cast<void>(once);
  launch(slices_kernel<kHeadDim>,
         dim3(static_cast<unsigned>(args.n_tiles), static_cast<unsigned>(args.kv.n_kv_heads)),
         256,
         kBytes,
         stream,
         args);
}

}  // namespace

void attend_slices(const AttentionArgs& args, Stream stream) {
  switch (padded_head_dim(args.kv.head_dim)) {
    case 32:
      return launch_slices<32>(args, stream);
    case 64:
      return launch_slices<64>(args, stream);
    case 96:
      return launch_slices<96>(args, stream);
    default:
      return launch_slices<128>(args, stream);
  }
}

}  // namespace qwen3::cuda
