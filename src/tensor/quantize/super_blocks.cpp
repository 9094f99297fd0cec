// Q4_K Q5_K Q6_K: 256 elements in groups whose scales are small integers times a float16 that all
// share. The groups' own fits say where to begin; then in turns: the integers of each group are the
// best of their neighbours for the shared scales, with the elements rounded anew each time, and the
// shared scales are the least-squares fit to what the integers are.
#include <algorithm>
#include <array>

#include "tensor/quantize/blocks.h"
#include "tensor/quantize/fit.h"

namespace qwen3::quantization {
namespace {

constexpr int kTurns = 4;

// ---- eight groups of 32: d · sc_g · q - dmin · mn_g ----------------------------------------------

constexpr int kGroups = 8, kGroup = 32;
constexpr float kMaxSixBits = 63;

struct SuperAffine {
  float d = 0, dmin = 0;
  std::array<float, kGroups> scales = {}, mins = {};
  float error = 0;

  Affine group(int g) const {
    const auto i = static_cast<size_t>(g);
    return {d * scales[i], dmin * mins[i]};
  }
};

float six_bits(float v) { return nearest_in(v, 0, kMaxSixBits); }

// The integers of group g near `wanted` for the shared scales of `s`; returns the error.
float choose_group(
    SuperAffine& s, int g, const float* x, const float* w, float top, Affine wanted) {
  const auto i = static_cast<size_t>(g);
  const float scale = six_bits(std::min(wanted.scale * inverse(s.d), kMaxSixBits));
  const float min = six_bits(std::min(wanted.min * inverse(s.dmin), kMaxSixBits));
  float best_scale = scale, best_min = min, least = INFINITY;
  const auto consider = [&](float sc, float mn) {
    if (sc < 0 || sc > kMaxSixBits || mn < 0 || mn > kMaxSixBits) return;
    const float error = affine_error<kGroup>(x, w, {s.d * sc, s.dmin * mn}, top);
    if (error < least) {
      least = error;
      best_scale = sc;
      best_min = mn;
    }
  };
  for (int a = -1; a <= 1; ++a) {
    for (int b = -1; b <= 1; ++b) {
      consider(scale + static_cast<float>(a), min + static_cast<float>(b));
    }
  }
  s.scales[i] = best_scale;
  s.mins[i] = best_min;
  return least;
}

// d and dmin by least squares for the integers as they are.
void refit_shared(SuperAffine& s, const float* x, const float* w, float top) {
  // x ≈ d · a - dmin · b with a = sc · q, b = mn.
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (int g = 0; g < kGroups; ++g) {
    const Moments m = moments_of<kGroup>(x + kGroup * g, w + kGroup * g, s.group(g), top);
    const double sc = s.scales[static_cast<size_t>(g)], mn = s.mins[static_cast<size_t>(g)];
    aa += sc * sc * m.wqq;
    ab += sc * mn * m.wq;
    bb += mn * mn * m.w;
    xa += sc * m.wxq;
    xb += mn * m.wx;
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    s.d = as_half(static_cast<float>((bb * xa - ab * xb) / determinant));
    s.dmin = as_half(static_cast<float>((ab * xa - aa * xb) / determinant));
  } else if (aa > 0) {
    s.d = as_half(static_cast<float>(xa / aa));
  }
}

SuperAffine fit_super(const float* x, const float* w, float top) {
  std::array<Affine, kGroups> groups;
  Affine largest;
  for (int g = 0; g < kGroups; ++g) {
    Affine& a = groups[static_cast<size_t>(g)];
    a = fit_affine<kGroup>(x + kGroup * g, w + kGroup * g, top, Min::not_negative);
    largest = {std::max(largest.scale, a.scale), std::max(largest.min, a.min)};
  }
  SuperAffine best, s;
  best.error = INFINITY;
  s.d = as_half(largest.scale / kMaxSixBits);
  s.dmin = as_half(largest.min / kMaxSixBits);
  for (int turn = 0; turn < kTurns; ++turn) {
    s.error = 0;
    for (int g = 0; g < kGroups; ++g) {
      s.error += choose_group(s,
                              g,
                              x + kGroup * g,
                              w + kGroup * g,
                              top,
                              turn == 0 ? groups[static_cast<size_t>(g)] : s.group(g));
    }
    if (!(s.error < best.error)) break;
    best = s;
    refit_shared(s, x, w, top);
    if (!(s.d >= 0 && s.dmin >= 0)) break;
  }
  return best.error < INFINITY ? best : s;  // beyond float16: let it show
}

void put_six_bit_scales(uint8_t* to, const SuperAffine& s) {
  for (size_t g = 0; g < 4; ++g) {
    const auto number = [](float v) { return static_cast<int>(v); };
    const int sc = number(s.scales[g]), mn = number(s.mins[g]);
    const int sc4 = number(s.scales[g + 4]), mn4 = number(s.mins[g + 4]);
    to[g] = static_cast<uint8_t>(sc | sc4 >> 4 << 6);
    to[g + 4] = static_cast<uint8_t>(mn | mn4 >> 4 << 6);
    to[g + 8] = static_cast<uint8_t>((sc4 & 15) | (mn4 & 15) << 4);
  }
}

// d, dmin and scales; the elements' integers into q.
void affine_super(int* q, uint8_t* block, const float* x, const float* w, float top) {
  const SuperAffine s = fit_super(x, w, top);
  put_half(block, s.d);
  put_half(block + 2, s.dmin);
  put_six_bit_scales(block + 4, s);
  for (int i = 0; i < kSuper; ++i) {
    const Affine a = s.group(i / kGroup);
    q[i] = static_cast<int>(nearest_in((x[i] + a.min) * inverse(a.scale), 0, top));
  }
}

void put_k_nibbles(uint8_t* to, const int* q) {
  for (int pair = 0; pair < 4; ++pair) {
    for (int l = 0; l < 32; ++l) {
      const int low = q[64 * pair + l] & 15, high = q[64 * pair + 32 + l] & 15;
      to[32 * pair + l] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

// ---- sixteen groups of 16: d · sc_g · (q - 32) ---------------------------------------------------

constexpr int kSmallGroups = 16, kSmallGroup = 16;
constexpr Codes kSixBitCodes = {-32, 31};
constexpr Codes kScaleCodes = {-128, 127};
constexpr Reach kSixBitReach = {-3, 4, 0.5f};

struct SuperScale {
  float d = 0;
  std::array<float, kSmallGroups> scales = {};
  float error = 0;
};

float choose_scale(float d, float* chosen, const float* x, const float* w, float wanted) {
  const float near = nearest_in(wanted * inverse(d), kScaleCodes.low, kScaleCodes.high);
  float least = INFINITY;
  for (const float step : {0.0f, -1.0f, 1.0f}) {
    const float scale = std::clamp(near + step, kScaleCodes.low, kScaleCodes.high);
    const float error = scale_error<kSmallGroup>(x, w, d * scale, kSixBitCodes);
    if (error < least) {
      least = error;
      *chosen = scale;
    }
  }
  return least;
}

float refit_d(const SuperScale& s, const float* x, const float* w) {
  double xa = 0, aa = 0;
  for (int i = 0; i < kSuper; ++i) {
    const float scale = s.scales[static_cast<size_t>(i / kSmallGroup)];
    const float q = nearest_in(x[i] * inverse(s.d * scale), kSixBitCodes.low, kSixBitCodes.high);
    const double a = scale * q;
    xa += w[i] * x[i] * a;
    aa += w[i] * a * a;
  }
  return aa > 0 ? as_half(static_cast<float>(xa / aa)) : 0;
}

SuperScale fit_super_scale(const float* x, const float* w) {
  std::array<float, kSmallGroups> wanted;
  float largest = 0;  // with its sign
  for (int g = 0; g < kSmallGroups; ++g) {
    float& scale = wanted[static_cast<size_t>(g)];
    scale = fit_scale<kSmallGroup>(
        x + kSmallGroup * g, w + kSmallGroup * g, kSixBitCodes, kSixBitReach);
    if (std::abs(scale) > std::abs(largest)) largest = scale;
  }
  SuperScale best;
  best.error = INFINITY;
  // The largest scale at -128, and a little below: the others then fall on other integers.
  for (int end = 128; end >= 112; end -= 4) {
    SuperScale s;
    s.d = as_half(largest / static_cast<float>(-end));
    for (int turn = 0; turn < kTurns && s.d != 0; ++turn) {
      s.error = 0;
      for (int g = 0; g < kSmallGroups; ++g) {
        float& scale = s.scales[static_cast<size_t>(g)];
        const float from = turn == 0 ? wanted[static_cast<size_t>(g)] : s.d * scale;
        s.error += choose_scale(s.d, &scale, x + kSmallGroup * g, w + kSmallGroup * g, from);
      }
      if (!(s.error < best.error)) break;
      best = s;
      s.d = refit_d(s, x, w);
    }
  }
  if (!(best.error < INFINITY))
    best.d = as_half(largest);  // nothing, or beyond float16: let it show
  return best;
}

}  // namespace

void q4_k(uint8_t* block, const float* x, const float* w) {
  int q[kSuper];
  affine_super(q, block, x, w, 15);
  put_k_nibbles(block + 16, q);
}

void q5_k(uint8_t* block, const float* x, const float* w) {
  int q[kSuper];
  affine_super(q, block, x, w, 31);
  for (int l = 0; l < 32; ++l) {
    int bits = 0;
    for (int g = 0; g < kGroups; ++g) bits |= q[kGroup * g + l] >> 4 << g;
    block[16 + l] = static_cast<uint8_t>(bits);
  }
  put_k_nibbles(block + 48, q);
}

void q6_k(uint8_t* block, const float* x, const float* w) {
  const SuperScale s = fit_super_scale(x, w);
  std::memset(block, 0, 192);
  for (int i = 0; i < kSuper; ++i) {
    const float inv = inverse(s.d * s.scales[static_cast<size_t>(i / kSmallGroup)]);
    const int q =
        static_cast<int>(nearest_in(x[i] * inv, kSixBitCodes.low, kSixBitCodes.high)) + 32;
    const int half = i / 128, quarter = i / 32 % 4, l = i % 32;
    uint8_t& low = block[64 * half + 32 * (quarter % 2) + l];
    uint8_t& high = block[128 + 32 * half + l];
    low = static_cast<uint8_t>(low | (q & 15) << (4 * (quarter / 2)));
    high = static_cast<uint8_t>(high | q >> 4 << (2 * quarter));
  }
  for (size_t g = 0; g < kSmallGroups; ++g) {
    block[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(s.scales[g]));
  }
  put_half(block + 208, s.d);
}

}  // namespace qwen3::quantization
