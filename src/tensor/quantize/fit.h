// Scales of one group of numbers by weighted least squares.
//
// For given integers q the best scale (and offset) is a linear fit; for given scale the best integers
// are the nearest ones. Each alone is easy, both together have many local minima: so the search begins
// at a range of scales that cut off more or less of the extremes, fits each once, and goes on in turns
// from the best until nothing improves.
//
// Sums run in eight lanes that are added in a fixed order: vector instructions without permission to
// reorder, and the same bits on every machine.
#pragma once

#include <algorithm>
#include <cmath>

namespace qwen3::quantization {

// Round half to even, for |v| < 2^22, without a call: vectorises.
inline float nearest(float v) { return (v + 12582912.0f) - 12582912.0f; }

inline float nearest_in(float v, float low, float high) {
  return nearest(std::min(std::max(low, v), high));  // NaN is low
}

constexpr int kLanes = 8;

// Σ term(i) for i in [0, n), n a multiple of kLanes.
template <int n, typename Term>
float lane_sum(Term&& term) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += term(i + l);
  }
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

template <int n>
float largest_magnitude(const float* x) {
  float lanes[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] = std::max(lanes[l], std::abs(x[i + l]));
  }
  return *std::max_element(lanes, lanes + kLanes);
}

// The integers that a group has.
struct Codes {
  float low, high;
};

// ---- x ≈ scale · q ---------------------------------------------------------------------------------

inline float inverse(float scale) {
  const float inv = 1 / scale;
  return std::isfinite(inv) ? inv : 0;
}

template <int n>
float scale_error(const float* x, const float* w, float scale, Codes codes) {
  const float inv = inverse(scale);
  return lane_sum<n>([&](int i) {
    const float off = x[i] - scale * nearest_in(x[i] * inv, codes.low, codes.high);
    return w[i] * off * off;
  });
}

// What is gained over q = 0 by the best scale for the integers of 1 / inv, and that scale.
struct ScaleFit {
  float scale = 0, gain = 0;
};
template <int n>
ScaleFit fit_to_codes(const float* x, const float* w, float inv, Codes codes) {
  float xq[kLanes] = {}, qq[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float q = nearest_in(x[i + l] * inv, codes.low, codes.high);
      const float wq = w[i + l] * q;
      xq[l] += wq * x[i + l];
      qq[l] += wq * q;
    }
  }
  const float sum_xq = lane_sum<kLanes>([&](int l) { return xq[l]; });
  const float sum_qq = lane_sum<kLanes>([&](int l) { return qq[l]; });
  if (!(sum_qq > 0)) return {};
  return {sum_xq / sum_qq, sum_xq * sum_xq / sum_qq};
}

// `from` to `to`: how far beyond (or within) the codes' end the largest magnitude may be scaled.
struct Reach {
  float from, to, step;
};

template <int n>
float fit_scale(const float* x, const float* w, Codes codes, Reach reach) {
  const float largest = largest_magnitude<n>(x);
  if (!(largest > 0)) return 0;
  ScaleFit best;
  const float end = std::max(codes.high, -codes.low);
  for (float at = reach.from; at <= reach.to; at += reach.step) {
    for (const float sign : {1.0f, -1.0f}) {
      // Symmetric codes are the same with either sign.
      if (sign < 0 && codes.low == -codes.high) continue;
      const ScaleFit fit = fit_to_codes<n>(x, w, sign * (end + at) / largest, codes);
      if (fit.gain > best.gain) best = fit;
    }
  }
  for (int turn = 0; turn < 8 && best.scale != 0; ++turn) {
    const ScaleFit fit = fit_to_codes<n>(x, w, inverse(best.scale), codes);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

// ---- x ≈ scale · q - min, q in [0, top] ------------------------------------------------------------

struct Affine {
  float scale = 0, min = 0;
};
enum class Min { any, not_negative };

template <int n>
float affine_error(const float* x, const float* w, Affine a, float top) {
  const float inv = inverse(a.scale);
  return lane_sum<n>([&](int i) {
    const float off = x[i] - (a.scale * nearest_in((x[i] + a.min) * inv, 0, top) - a.min);
    return w[i] * off * off;
  });
}

// The sums that decide a fit to integers.
struct Moments {
  float w = 0, wq = 0, wqq = 0, wx = 0, wxq = 0;
};
template <int n>
Moments moments_of(const float* x, const float* w, Affine a, float top) {
  const float inv = inverse(a.scale);
  float lanes[5][kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float q = nearest_in((x[i + l] + a.min) * inv, 0, top);
      const float wl = w[i + l];
      lanes[0][l] += wl;
      lanes[1][l] += wl * q;
      lanes[2][l] += wl * q * q;
      lanes[3][l] += wl * x[i + l];
      lanes[4][l] += wl * x[i + l] * q;
    }
  }
  float sums[5];
  for (int k = 0; k < 5; ++k) sums[k] = lane_sum<kLanes>([&](int l) { return lanes[k][l]; });
  return {sums[0], sums[1], sums[2], sums[3], sums[4]};
}

inline Affine solve(const Moments& s, Min limit) {
  const float determinant = s.w * s.wqq - s.wq * s.wq;
  Affine fit;
  if (determinant > 0) {
    fit = {(s.w * s.wxq - s.wq * s.wx) / determinant, (s.wq * s.wxq - s.wqq * s.wx) / determinant};
  } else if (s.w > 0) {
    fit.min = -s.wx / s.w;
  }
  if (limit == Min::not_negative && fit.min < 0) {
    fit = {s.wqq > 0 ? s.wxq / s.wqq : 0, 0};
  }
  if (fit.scale < 0) fit = {};
  return fit;
}

// The fit to the integers of `from`, and what it gains over x̂ = 0.
struct AffineFit {
  Affine to;
  float gain = 0;
};
template <int n>
AffineFit refit(const float* x, const float* w, Affine from, float top, Min limit) {
  const Moments s = moments_of<n>(x, w, from, top);
  const Affine fit = solve(s, limit);
  return {fit, fit.scale * s.wxq - fit.min * s.wx};
}

template <int n>
Affine fit_affine(const float* x, const float* w, float top, Min limit) {
  float low = *std::min_element(x, x + n), high = *std::max_element(x, x + n);
  if (limit == Min::not_negative) {
    low = std::min(low, 0.0f);
    high = std::max(high, 0.0f);
  }
  const float spread = high - low;
  const Affine plain = {spread / top, -low};
  if (!(spread > 0)) return plain;
  // How much of the spread is cut off below and above.
  constexpr int kCuts = 6;
  constexpr float kStep = 0.05f;
  AffineFit best;
  for (int below = -1; below < kCuts; ++below) {
    for (int above = -1; above < kCuts; ++above) {
      const float from = low + kStep * static_cast<float>(below) * spread;
      const float to = high - kStep * static_cast<float>(above) * spread;
      const AffineFit fit = refit<n>(x, w, {(to - from) / top, -from}, top, limit);
      if (fit.gain > best.gain) best = fit;
    }
  }
  for (int turn = 0; turn < 8; ++turn) {
    const AffineFit fit = refit<n>(x, w, best.to, top, limit);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return affine_error<n>(x, w, best.to, top) < affine_error<n>(x, w, plain, top) ? best.to : plain;
}

}  // namespace qwen3::quantization
