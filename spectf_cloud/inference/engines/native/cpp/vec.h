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

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

// A bit for each lane of a comparison.
INLINE unsigned mask_of(vi x) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask((__m512i)x);
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)x);
#else
    unsigned mask = 0;
    for (int i = 0; i < W; i++) mask |= (x[i] & 1) << i;
    return mask;
#endif
}

// The lanes whose bits are set, one after another.
INLINE void append(float *to, unsigned mask, vf x) {
#if defined(__AVX512F__)
    _mm512_storeu_ps(to, _mm512_maskz_compress_ps(mask, (__m512)x));
#else
    for (int i = 0; i < W; i++)
        if (mask >> i & 1) *to++ = x[i];
#endif
}

// Rows to one vector: its lane i is the sum (or the like) of row i's lanes. `count` rows are there, W at most are read.
template <class Combine> INLINE vf across(const vf *rows, int count, Combine combine) {
#if defined(__AVX512F__)
    __m512 x[16];
    for (int i = 0; i < 16; i++) x[i] = (__m512)rows[i < count ? i : 0];
    for (int i = 0; i < 16; i += 2)
        x[i / 2] = combine(_mm512_unpacklo_ps(x[i], x[i + 1]), _mm512_unpackhi_ps(x[i], x[i + 1]));
    for (int i = 0; i < 8; i += 2)
        x[i / 2] = combine((__m512)_mm512_unpacklo_pd((__m512d)x[i], (__m512d)x[i + 1]),
                           (__m512)_mm512_unpackhi_pd((__m512d)x[i], (__m512d)x[i + 1]));
    for (int half = 4; half > 1; half /= 2)
        for (int i = 0; i < half; i += 2)
            x[i / 2] = combine(_mm512_shuffle_f32x4(x[i], x[i + 1], 0x88), _mm512_shuffle_f32x4(x[i], x[i + 1], 0xdd));
    return (vf)x[0];
#else
    vf made{};
    for (int i = 0; i < W && i < count; i++) {
        vf x = rows[i];
        for (int half = W / 2; half; half /= 2) {
            vf upper = x;
            for (int j = 0; j < half; j++) upper[j] = x[j + half];
            x = combine(x, upper);
        }
        made[i] = x[0];
    }
    return made;
#endif
}
#if defined(__AVX512F__)
INLINE vf vsqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
INLINE vf vsqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vf vsqrt(vf x) {
    vf y;
    for (int i = 0; i < W; i++) y[i] = __builtin_sqrtf(x[i]);
    return y;
}
#endif

INLINE vf sums_of_rows(const vf *rows, int count) {
    return across(rows, count, [](auto a, auto b) { return a + b; });
}
INLINE vf highest_of_rows(const vf *rows) {
    return across(rows, W, [](auto a, auto b) { return (decltype(a))vmax((vf)a, (vf)b); });
}
INLINE float sum(vf x) { return sums_of_rows(&x, 1)[0]; }
