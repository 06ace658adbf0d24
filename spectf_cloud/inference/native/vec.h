// Vectors of floats by the compiler's own vector types: the same source for every instruction set.
#pragma once
#include <cstdint>
#include <cstring>

#ifndef SPECTF_LANES
#define SPECTF_LANES 4
#endif
constexpr int W = SPECTF_LANES;
typedef float vf __attribute__((vector_size(4 * SPECTF_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * SPECTF_LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p) { vf x; std::memcpy(&x, p, sizeof x); return x; }
INLINE void store(float *p, vf x) { std::memcpy(p, &x, sizeof x); }
INLINE vf splat(float x) { return x - vf{}; }
INLINE vi bits(vf x) { return (vi)x; }
INLINE vf floats(vi x) { return (vf)x; }
INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
INLINE float highest(vf x) {
    float best = x[0];
    for (int i = 1; i < W; i++) best = x[i] > best ? x[i] : best;
    return best;
}
INLINE float sum(vf x) {
    float total = x[0];
    for (int i = 1; i < W; i++) total += x[i];
    return total;
}
#if defined(__AVX512F__)
#include <immintrin.h>
INLINE vf vsqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
#include <immintrin.h>
INLINE vf vsqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vf vsqrt(vf x) {
    vf y;
    for (int i = 0; i < W; i++) y[i] = __builtin_sqrtf(x[i]);
    return y;
}
#endif
