// Whole models in every quantised form of safetensors, and their twins, whose weights are the same
// numbers written out as float32.
#pragma once

#include <cmath>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/json.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"
#include "tensor/dtype.h"

namespace qwen3::test {

inline constexpr int64_t kHidden = 64, kInner = 96, kVocab = 72, kHeads = 4, kKvHeads = 2,
                         kHeadDim = 16;
inline constexpr int64_t kExperts = 4, kExpertInner = 32;

// Numbers that are the same everywhere.
class Draw {
 public:
  explicit Draw(const std::string& name) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  }
  int below(int n) {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<int>(state_ >> 33) % n;
  }
  // Eight steps between powers of two: exact in bfloat16 and float16.
  float scale(float unit) { return unit * (1 + static_cast<float>(below(8)) / 8); }

 private:
  uint64_t state_ = 14695981039346656037ull;
};

struct Matrix {
  std::string module;
  int64_t out, in, n = 1;  // n: of a stack
  Draw draw;
  std::vector<float> values;  // of the twin

  Matrix(std::string name, int64_t n_out, int64_t n_in, int64_t n_stacked = 1)
      : module(std::move(name)), out(n_out), in(n_in), n(n_stacked), draw(module) {}
};

// `values` of `per_row` a row as a dense little-endian stream of bits, each row of whole words.
inline std::string pack_bits(const std::vector<int>& values, int64_t per_row, int bits) {
  const auto n_rows = static_cast<int64_t>(values.size()) / per_row;
  const int64_t row_bytes = ceil_div(per_row * bits, 32) * 4;
  std::string bytes(static_cast<size_t>(n_rows * row_bytes), '\0');
  for (int64_t i = 0; i < n_rows * per_row; ++i) {
    for (int b = 0; b < bits; ++b) {
      const int64_t bit = i / per_row * row_bytes * 8 + i % per_row * bits + b;
      const int set = values[static_cast<size_t>(i)] >> b & 1;
      bytes[static_cast<size_t>(bit / 8)] |= static_cast<char>(set << bit % 8);
    }
  }
  return bytes;
}

inline std::vector<int> transposed(const std::vector<int>& values,
                                   int64_t n_rows,
                                   int64_t n_columns) {
  std::vector<int> turned(values.size());
  for (int64_t r = 0; r < n_rows; ++r) {
    for (int64_t c = 0; c < n_columns; ++c) {
      turned[static_cast<size_t>(c * n_rows + r)] = values[static_cast<size_t>(r * n_columns + c)];
    }
  }
  return turned;
}

inline std::string floats_as(const std::string& dtype, const std::vector<float>& values) {
  if (dtype == "F32") return raw_bytes(values);
  std::vector<uint16_t> halves;
  for (const float v : values) halves.push_back(dtype == "BF16" ? f32_to_bf16(v) : f32_to_f16(v));
  return raw_bytes(halves);
}

// Numbers, scales and zeros of a matrix, and the values that they stand for. `group_of` column.
struct Affine {
  std::vector<int> q;  // [n * out, in]
  std::vector<float> scales, offsets;
  std::vector<int> zeros;  // [n * out, n_groups]
  int64_t n_groups;
};
inline Affine draw_affine(Matrix& m,
                          int bits,
                          int64_t group,
                          int low_zero,
                          int high_zero,
                          const std::vector<int32_t>& group_of = {}) {
  Affine a{.q = {}, .scales = {}, .offsets = {}, .zeros = {}, .n_groups = m.in / group};
  const int64_t rows = m.n * m.out;
  const float unit = 0.25f / static_cast<float>(1 << bits);
  for (int64_t i = 0; i < rows * a.n_groups; ++i) {
    a.scales.push_back(m.draw.scale(unit));
    a.zeros.push_back(low_zero + m.draw.below(high_zero - low_zero + 1));
    a.offsets.push_back(-m.draw.scale(unit) * static_cast<float>(1 << bits) / 2);
  }
  for (int64_t i = 0; i < rows * m.in; ++i) {
    const int64_t column = i % m.in;
    const int64_t g = group_of.empty() ? column / group : group_of[static_cast<size_t>(column)];
    const auto at = static_cast<size_t>(i / m.in * a.n_groups + g);
    a.q.push_back(m.draw.below(1 << bits));
    m.values.push_back(a.scales[at] * static_cast<float>(a.q.back() - a.zeros[at]));
  }
  return a;
}

struct Scheme {
  std::string name;
  Json config;  // entries of config.json
  std::function<void(RawTensors& file, Matrix& matrix)> write;
  bool mlx = false;

  friend std::ostream& operator<<(std::ostream& out, const Scheme& s) { return out << s.name; }
};

inline float e4m3(int bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float value = exponent == 0
                          ? std::ldexp(static_cast<float>(mantissa), -9)
                          : std::ldexp(1 + static_cast<float>(mantissa) / 8, exponent - 7);
  return (bits & 0x80) != 0 ? -value : value;
}

// Blocks of rows * columns share a scale.
inline void write_float8(
    RawTensors& file, Matrix& m, int64_t rows, int64_t columns, bool ct, bool scalar) {
  const int64_t n_columns = ceil_div(m.in, columns);
  std::vector<float> scales;
  for (int64_t i = 0; i < ceil_div(m.out, rows) * n_columns; ++i) {
    scales.push_back(m.draw.scale(0x1p-11f));
  }
  std::string bytes;
  for (int64_t i = 0; i < m.out * m.in; ++i) {
    const int q = m.draw.below(0x78) | m.draw.below(2) << 7;
    bytes += static_cast<char>(q);
    m.values.push_back(
        scales[static_cast<size_t>(i / m.in / rows * n_columns + i % m.in / columns)] * e4m3(q));
  }
  file[m.module + ".weight"] = {"F8_E4M3", {m.out, m.in}, bytes};
  std::vector<int64_t> shape = {ceil_div(m.out, rows), n_columns};
  if (scalar) shape = {1};
  file[m.module + (ct ? ".weight_scale" : ".weight_scale_inv")] = {
      "BF16", shape, floats_as("BF16", scales)};
}

inline Scheme fp8() {
  return {"fp8",
          {{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}}}},
          [](RawTensors& file, Matrix& m) { write_float8(file, m, 128, 128, false, false); }};
}

inline Json compressed(const std::string& format, const Json& weights) {
  return {{"quantization_config",
           {{"quant_method", "compressed-tensors"},
            {"format", format},
            {"config_groups", {{"group_0", {{"weights", weights}}}}}}}};
}

inline Scheme ct_float(const std::string& strategy) {
  const Json weights = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", strategy}, {"block_structure", {32, 64}}};
  return {"ct_float_" + strategy,
          compressed("float-quantized", weights),
          [strategy](RawTensors& file, Matrix& m) {
            const bool block = strategy == "block", tensor = strategy == "tensor";
            write_float8(file, m, block ? 32 : tensor ? m.out : 1, block ? 64 : m.in, true, tensor);
            if (tensor) file[m.module + ".input_scale"] = {"BF16", {1}, "\x80\x3F"};
          }};
}

inline Scheme ct_pack(int bits, bool symmetric) {
  const Json weights = {{"num_bits", bits},
                        {"type", "int"},
                        {"strategy", "group"},
                        {"group_size", 32},
                        {"symmetric", symmetric}};
  return {fmt::format("ct_w{}a16_{}", bits, symmetric),
          compressed("pack-quantized", weights),
          [bits, symmetric](RawTensors& file, Matrix& m) {
            const int middle = 1 << (bits - 1);
            const Affine a = draw_affine(
                m, bits, 32, symmetric ? middle : 0, symmetric ? middle : 2 * middle - 1);
            file[m.module + ".weight_packed"] = {
                "I32", {m.out, m.in * bits / 32}, pack_bits(a.q, m.in, bits)};
            file[m.module + ".weight_scale"] = {
                "BF16", {m.out, a.n_groups}, floats_as("BF16", a.scales)};
            file[m.module + ".weight_shape"] = {
                "I64", {2}, raw_bytes(std::vector<int64_t>{m.out, m.in})};
            if (symmetric) return;
            // Packed along rows: the stream of each group's column, turned back into rows of words.
            const std::string words =
                pack_bits(transposed(a.zeros, m.out, a.n_groups), m.out, bits);
            const int64_t per_group = m.out * bits / 32;
            std::string rows;
            for (int64_t w = 0; w < per_group; ++w) {
              for (int64_t g = 0; g < a.n_groups; ++g) {
                rows += words.substr(static_cast<size_t>((g * per_group + w) * 4), 4);
              }
            }
            file[m.module + ".weight_zero_point"] = {"I32", {per_group, a.n_groups}, rows};
          }};
}

inline Scheme ct_int8() {
  return {"ct_w8a8",
          compressed("int-quantized", {{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}}),
          [](RawTensors& file, Matrix& m) {
            const Affine a = draw_affine(m, 8, m.in, 128, 128);
            std::string bytes;
            for (const int q : a.q) bytes += static_cast<char>(q - 128);
            file[m.module + ".weight"] = {"I8", {m.out, m.in}, bytes};
            file[m.module + ".weight_scale"] = {"BF16", {m.out, 1}, floats_as("BF16", a.scales)};
          }};
}

inline std::vector<float> scales_by_group(const Affine& a, int64_t out) {
  std::vector<float> turned(a.scales.size());
  for (int64_t g = 0; g < a.n_groups; ++g) {
    for (int64_t o = 0; o < out; ++o) {
      turned[static_cast<size_t>(g * out + o)] = a.scales[static_cast<size_t>(o * a.n_groups + g)];
    }
  }
  return turned;
}

inline Scheme awq() {
  return {
      "awq",
      {{"quantization_config", {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 32}}}},
      [](RawTensors& file, Matrix& m) {
        const Affine a = draw_affine(m, 4, 32, 0, 15);
        const auto packed = [&](const std::vector<int>& rows, int64_t n_columns) {
          // [n_columns, out], the columns of each eight in AWQ's order
          std::vector<int> turned = transposed(rows, m.out, n_columns), mixed(turned.size());
          constexpr int kOrder[] = {0, 2, 4, 6, 1, 3, 5, 7};
          for (size_t i = 0; i < turned.size(); ++i) {
            mixed[i] = turned[i / 8 * 8 + static_cast<size_t>(kOrder[i % 8])];
          }
          return pack_bits(mixed, m.out, 4);
        };
        file[m.module + ".qweight"] = {"I32", {m.in, m.out / 8}, packed(a.q, m.in)};
        file[m.module + ".qzeros"] = {"I32", {a.n_groups, m.out / 8}, packed(a.zeros, a.n_groups)};
        file[m.module + ".scales"] = {
            "F16", {a.n_groups, m.out}, floats_as("F16", scales_by_group(a, m.out))};
      }};
}

inline Scheme gptq(int bits, const std::string& format, bool desc_act) {
  return {fmt::format("{}{}{}", format, bits, desc_act ? "_desc_act" : ""),
          {{"quantization_config",
            {{"quant_method", "gptq"},
             {"bits", bits},
             {"group_size", 32},
             {"desc_act", desc_act},
             {"checkpoint_format", format}}}},
          [bits, format, desc_act](RawTensors& file, Matrix& m) {
            std::vector<int32_t> group_of(static_cast<size_t>(m.in));
            for (size_t i = 0; i < group_of.size(); ++i) {
              const size_t column = desc_act ? i * 5 % group_of.size() : i;
              group_of[i] = static_cast<int32_t>(column / 32);
            }
            const int minus = format == "gptq" ? 1 : 0;
            Affine a = draw_affine(m, bits, 32, minus, (1 << bits) - 1 + minus, group_of);
            for (int& zero : a.zeros) zero -= minus;
            // Words hold inputs that follow each other: [in / k, out]. So pack rows, then turn words.
            const std::string rows = pack_bits(a.q, m.in, bits);
            const int64_t n_words = m.in * bits / 32;
            std::string words;
            for (int64_t w = 0; w < n_words; ++w) {
              for (int64_t o = 0; o < m.out; ++o) {
                words += rows.substr(static_cast<size_t>((o * n_words + w) * 4), 4);
              }
            }
            file[m.module + ".qweight"] = {"I32", {n_words, m.out}, words};
            file[m.module + ".qzeros"] = {
                "I32",
                {a.n_groups, m.out * bits / 32},
                pack_bits(transposed(a.zeros, m.out, a.n_groups), m.out, bits)};
            file[m.module + ".scales"] = {
                "F16", {a.n_groups, m.out}, floats_as("F16", scales_by_group(a, m.out))};
            file[m.module + ".g_idx"] = {"I32", {m.in}, raw_bytes(group_of)};
            file[m.module + ".bias"] = {
                "F16", {m.out}, std::string(static_cast<size_t>(m.out) * 2, '\0')};
          }};
}

inline Scheme mlx(int bits) {
  Json entry = {{"group_size", 32}, {"bits", bits}, {"mode", "affine"}};
  entry["model.layers.1.mlp.gate"] = {{"group_size", 64}, {"bits", 8}};
  entry["model.layers.0.mlp.down_proj"] = {{"group_size", 32}, {"bits", 8}};
  return {
      fmt::format("mlx{}", bits),
      {{"quantization", entry}, {"quantization_config", entry}},
      [bits](RawTensors& file, Matrix& m) {
        const bool router = m.module.ends_with("mlp.gate");
        const bool own = router || m.module == "model.layers.0.mlp.down_proj";
        const int n_bits = own ? 8 : bits;
        const Affine a = draw_affine(m, n_bits, router ? 64 : 32, 0, 0);
        for (size_t i = 0; i < m.values.size(); ++i) {
          const auto group = static_cast<size_t>(m.in / a.n_groups);
          m.values[i] += a.offsets[i / group];
        }
        std::vector<int64_t> shape = {m.out, m.in * n_bits / 32}, of_scales = {m.out, a.n_groups};
        if (m.n > 1) {
          shape.insert(shape.begin(), m.n);
          of_scales.insert(of_scales.begin(), m.n);
        }
        file[m.module + ".weight"] = {"U32", shape, pack_bits(a.q, m.in, n_bits)};
        file[m.module + ".scales"] = {"BF16", of_scales, floats_as("BF16", a.scales)};
        file[m.module + ".biases"] = {"BF16", of_scales, floats_as("BF16", a.offsets)};
      },
      true};
}

enum class Kind { dense, tied, moe };

inline std::string config_of(Kind kind, const Json& entries) {
  Json config = {{"model_type", kind == Kind::moe ? "qwen3_moe" : "qwen3"},
                 {"vocab_size", kVocab},
                 {"hidden_size", kHidden},
                 {"intermediate_size", kInner},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", kHeads},
                 {"num_key_value_heads", kKvHeads},
                 {"head_dim", kHeadDim},
                 {"max_position_embeddings", 64},
                 {"rope_theta", 10000},
                 {"tie_word_embeddings", kind == Kind::tied}};
  if (kind == Kind::moe) {
    config.update(Json{{"num_experts", kExperts},
                       {"num_experts_per_tok", 2},
                       {"moe_intermediate_size", kExpertInner},
                       {"decoder_sparse_step", 2},
                       {"norm_topk_prob", true}});
  }
  config.update(entries);
  return dump_json(config);
}

// A model and its twin.
class Twins {
 public:
  Twins(const Scheme& scheme, Kind kind) : scheme_(scheme) {
    // MLX quantises these as well; everybody else leaves them as they are.
    const bool all = scheme.mlx;
    matrix("model.embed_tokens", kVocab, kHidden, all);
    if (kind != Kind::tied) matrix("lm_head", kVocab, kHidden, all);
    vector("model.norm.weight", kHidden);
    for (int i = 0; i < 2; ++i)
      layer(fmt::format("model.layers.{}.", i), kind == Kind::moe && i == 1);
    if (scheme.name.starts_with("ct")) {
      quantized["model.layers.0.self_attn.k_scale"] = {"BF16", {1}, "\x80\x3F"};
      quantized["model.layers.0.self_attn.v_scale"] = {"BF16", {1}, "\x80\x3F"};
    }
    write(dir, quantized, config_of(kind, scheme.config));
    write(twin_dir, twin, config_of(kind, Json::object()));
  }

  static void write(const TempDir& to, const RawTensors& tensors, const std::string& config) {
    to.write("config.json", config);
    write_raw(to.path() / "model.safetensors", tensors);
  }

  RawTensors quantized, twin;
  TempDir dir, twin_dir;

 private:
  void layer(const std::string& p, bool moe) {
    vector(p + "input_layernorm.weight", kHidden);
    vector(p + "post_attention_layernorm.weight", kHidden);
    vector(p + "self_attn.q_norm.weight", kHeadDim);
    vector(p + "self_attn.k_norm.weight", kHeadDim);
    matrix(p + "self_attn.q_proj", kHeads * kHeadDim, kHidden);
    matrix(p + "self_attn.k_proj", kKvHeads * kHeadDim, kHidden);
    matrix(p + "self_attn.v_proj", kKvHeads * kHeadDim, kHidden);
    matrix(p + "self_attn.o_proj", kHidden, kHeads * kHeadDim);
    if (!moe) {
      mlp(p + "mlp.", kInner);
      return;
    }
    matrix(p + "mlp.gate", kExperts, kHidden, scheme_.mlx);
    if (scheme_.mlx) {
      stack(p, "gate_proj", kExpertInner, kHidden);
      stack(p, "up_proj", kExpertInner, kHidden);
      stack(p, "down_proj", kHidden, kExpertInner);
      return;
    }
    for (int e = 0; e < kExperts; ++e) mlp(fmt::format("{}mlp.experts.{}.", p, e), kExpertInner);
  }

  void mlp(const std::string& p, int64_t inner) {
    matrix(p + "gate_proj", inner, kHidden);
    matrix(p + "up_proj", inner, kHidden);
    matrix(p + "down_proj", kHidden, inner);
  }

  void matrix(const std::string& module, int64_t out, int64_t in, bool is_quantized = true) {
    Matrix m(module, out, in);
    if (is_quantized) {
      scheme_.write(quantized, m);
    } else {
      for (int64_t i = 0; i < out * in; ++i) {
        m.values.push_back(m.draw.scale(0.03125f) - 0.046875f);
      }
      quantized[module + ".weight"] = {"BF16", {out, in}, floats_as("BF16", m.values)};
    }
    twin[module + ".weight"] = {"F32", {out, in}, raw_bytes(m.values)};
  }

  // One tensor in the model, one an expert in the twin.
  void stack(const std::string& p, const std::string& projection, int64_t out, int64_t in) {
    Matrix m(p + "mlp.switch_mlp." + projection, out, in, kExperts);
    scheme_.write(quantized, m);
    for (int64_t e = 0; e < kExperts; ++e) {
      const std::vector<float> one(m.values.begin() + e * out * in,
                                   m.values.begin() + (e + 1) * out * in);
      twin[fmt::format("{}mlp.experts.{}.{}.weight", p, e, projection)] = {
          "F32", {out, in}, raw_bytes(one)};
    }
  }

  void vector(const std::string& name, int64_t n) {
    Draw draw(name);
    std::vector<float> values;
    for (int64_t i = 0; i < n; ++i) values.push_back(draw.scale(0.75f));
    quantized[name] = {"BF16", {n}, floats_as("BF16", values)};
    twin[name] = {"F32", {n}, raw_bytes(values)};
  }

  const Scheme& scheme_;
};

inline std::vector<Scheme> every_scheme() {
  return {fp8(),
          ct_float("channel"),
          ct_float("tensor"),
          ct_float("block"),
          ct_pack(4, true),
          ct_pack(4, false),
          ct_pack(8, true),
          ct_pack(8, false),
          ct_int8(),
          awq(),
          gptq(4, "gptq", false),
          gptq(4, "gptq_v2", false),
          gptq(8, "gptq", false),
          gptq(8, "gptq_v2", true),
          gptq(4, "gptq", true),
          mlx(2),
          mlx(3),
          mlx(4),
          mlx(5),
          mlx(6),
          mlx(8)};
}

}  // namespace qwen3::test
