// Stage 3 for AVX-512 with VNNI, BF16 and VBMI: two keys at a time, in 16-bit numbers.
//
// Queries and keys are int16, scaled so that the int32 dot product is log2 units · 2^23. Its upper 16 bits then
// are the bits of the weight as a bfloat16, but for the mantissa, which runs linearly from 1 to 2 where 2^x does
// not: a table of 128 entries, read by one byte permutation, corrects it. Numerator and denominator use the same
// rounded weights.
#pragma once
#include <immintrin.h>

#include "attention.h"
#include "tables.h"

namespace vnni {

constexpr int kUpperWords = 0xAAAAAAAA;
constexpr float kValueUnit = 16384.0f;  // int16 of an attention output of 1

INLINE __m512i pair(__m512 low, __m512 high) {
    return _mm512_mask_blend_epi16(kUpperWords, _mm512_cvtps_epi32(low), _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
}

INLINE __m512i splat_at(const int32_t *p) { return _mm512_set1_epi32(*p); }

template <int R, int V> struct PackedKeys {
    int pairs;
    alignas(64) int32_t k[R / 2][kMaxBands];       // two directions of one key
    alignas(64) int32_t bias[kMaxBands];
    alignas(64) int32_t v[V][kMaxBands / 2 + 16];  // two keys of one direction, bfloat16
    alignas(64) int32_t one[kMaxBands / 2 + 16];   // 1, or 0 for the key that pads an odd number
};

template <int R> INLINE void pack_directions(const float (*k)[kMaxBands], int j, const float *scale, int32_t (*out)[kMaxBands]) {
    for (int r = 0; r < R; r += 2) {
        const __m512 low = _mm512_load_ps(k[r] + j) * _mm512_set1_ps(kExponentUnit / scale[r]);
        const __m512 high = _mm512_load_ps(k[r + 1] + j) * _mm512_set1_ps(kExponentUnit / scale[r + 1]);
        _mm512_store_si512(out[r / 2] + j, pair(low, high));
    }
}

// Queries, likewise packed.
template <int R> struct PackedQueries {
    alignas(64) int32_t q[R / 2][kMaxBands];
};

template <int R>
static void pack_queries(const float (*q)[kMaxBands], int count, const float *scale, PackedQueries<R> &out) {
    for (int i = 0; i < count; i += 16)
        for (int r = 0; r < R; r += 2)
            _mm512_store_si512(out.q[r / 2] + i, pair(_mm512_load_ps(q[r] + i) * _mm512_set1_ps(scale[r]),
                                                      _mm512_load_ps(q[r + 1] + i) * _mm512_set1_ps(scale[r + 1])));
}

// float keys → packed. `scale` is the queries'; keys take 2^23 / scale.
template <int R, int V>
static __attribute__((noinline)) void pack_keys(const float (*k)[kMaxBands], const float (*v)[kMaxBands], const float *bias, int count, const float *scale,
                      PackedKeys<R, V> &out) {
    out.pairs = (count + 1) / 2;
    for (int j = 0; j < count; j += 16) {
        pack_directions<R>(k, j, scale, out.k);
        // 127 is the exponent's own bias; half a unit of the last place kept makes truncation rounding.
        const __m512 b = bias ? _mm512_load_ps(bias + j) : _mm512_setzero_ps();
        const __m512i fixed = _mm512_cvtps_epi32(b * _mm512_set1_ps(kExponentUnit));
        _mm512_store_si512(out.bias + j, _mm512_add_epi32(fixed, _mm512_set1_epi32((127 << 23) + (1 << 15))));
        const __mmask16 there = count - j >= 16 ? 0xffff : (1 << (count - j)) - 1;
        for (int r = 0; r < V; r++) {
            const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_load_ps(there, v[r] + j));
            _mm256_store_si256((__m256i *)(out.v[r] + j / 2), (__m256i)rounded);
        }
        _mm256_store_si256((__m256i *)(out.one + j / 2), _mm256_maskz_set1_epi16(there, 0x3f80));
    }
    if (count & 1) {
        for (int r = 0; r < R / 2; r++) out.k[r][count] = out.k[r][count - 1];
        out.bias[count] = out.bias[count - 1];
    }
}

// Selects the upper 16 bits of both arguments, alternating.
INLINE __m512i upper_of_both() {
    alignas(64) static const uint16_t words[32] = {1,  33, 3,  35, 5,  37, 7,  39, 9,  41, 11, 43, 13, 45, 15, 47,
                                                   17, 49, 19, 51, 21, 53, 23, 55, 25, 57, 27, 59, 29, 61, 31, 63};
    return _mm512_load_si512(words);
}

alignas(64) static uint8_t kMantissa[128];
static bool make_mantissa() {
    for (int i = 0; i < 128; i++) kMantissa[i] = (uint8_t)(__builtin_exp2(i / 128.0) * 128 - 128 + 0.5);
    return true;
}
static const bool kMantissaMade = make_mantissa();

template <int R, int V, int B, class Finish>
INLINE void attend(const PackedQueries<R> &queries, int at, const PackedKeys<R, V> &keys, Finish finish) {
    const __m512i table_low = _mm512_load_si512(kMantissa), table_high = _mm512_load_si512(kMantissa + 64);
    const __m512i mantissa = _mm512_set1_epi16(0x7f);
    const __m512i words = upper_of_both();
    __m512i query[B][R / 2];
    __m512 total[B], mixed[B][V];
    for (int b = 0; b < B; b++) {
        for (int r = 0; r < R / 2; r++) query[b][r] = _mm512_load_si512(queries.q[r] + at + b * 16);
        total[b] = _mm512_setzero_ps();
        for (int r = 0; r < V; r++) mixed[b][r] = _mm512_setzero_ps();
    }
    for (int j = 0; j < keys.pairs; j++) {
        __m512bh weight[B];
        for (int b = 0; b < B; b++) {
            __m512i first = splat_at(keys.bias + 2 * j), second = splat_at(keys.bias + 2 * j + 1);
            for (int r = 0; r < R / 2; r++) {
                first = _mm512_dpwssd_epi32(first, query[b][r], splat_at(keys.k[r] + 2 * j));
                second = _mm512_dpwssd_epi32(second, query[b][r], splat_at(keys.k[r] + 2 * j + 1));
            }
            const __m512i linear = _mm512_permutex2var_epi16(first, words, second);
            const __m512i curved = _mm512_permutex2var_epi8(table_low, linear, table_high);
            weight[b] = (__m512bh)_mm512_ternarylogic_epi32(mantissa, curved, linear, 0xCA);  // mantissa ? curved : linear
        }
        for (int b = 0; b < B; b++) total[b] = _mm512_dpbf16_ps(total[b], weight[b], (__m512bh)splat_at(keys.one + j));
        for (int r = 0; r < V; r++)
            for (int b = 0; b < B; b++) mixed[b][r] = _mm512_dpbf16_ps(mixed[b][r], weight[b], (__m512bh)splat_at(keys.v[r] + j));
    }
    for (int b = 0; b < B; b++) finish(at + b * 16, mixed[b], _mm512_set1_ps(1.0f) / total[b]);
}

template <int R, int V, class Finish>
INLINE void attend_all(const PackedQueries<R> &queries, int from, int upto, const PackedKeys<R, V> &keys, Finish finish) {
    int i = from;
    for (; i + 32 <= upto; i += 32) attend<R, V, 2>(queries, i, keys, finish);
    for (; i < upto; i += 16) attend<R, V, 1>(queries, i, keys, finish);
}

// The queries from..upto; outputs are pairs of int16, [V / 2][kMaxBands].
template <int R, int V>
static __attribute__((noinline)) void attention(const PackedQueries<R> &queries, int from, int upto, const PackedKeys<R, V> &keys,
                                                int32_t *out) {
    attend_all(queries, from, upto, keys, [&](int at, const __m512(&mixed)[V], __m512 share) {
        share *= _mm512_set1_ps(kValueUnit);
        for (int r = 0; r < V; r += 2) _mm512_store_si512(out + r / 2 * kMaxBands + at, pair(mixed[r] * share, mixed[r + 1] * share));
    });
}

// The same for the fine pass; outputs are floats, [V][kMaxBands].
template <int R, int V>
static __attribute__((noinline)) void attention(const PackedQueries<R> &queries, int from, int upto, const PackedKeys<R, V> &keys,
                                                float *out) {
    attend_all(queries, from, upto, keys, [&](int at, const __m512(&mixed)[V], __m512 share) {
        for (int r = 0; r < V; r++) _mm512_store_ps(out + r * kMaxBands + at, mixed[r] * share);
    });
}

// What the cascade calls; `plain` in kernel.cpp says the same in float.
using CoarseKeys = PackedKeys<kCoarseLogit, kCoarseValue>;
using CoarseQueries = PackedQueries<kCoarseLogit>;
using Number = int32_t;
constexpr int kCoarseRows = kCoarseIn / 2;

INLINE void prepare(const Tables &t, int head, const float (*q)[kMaxBands], const Keys<kCoarseLogit, kCoarseValue> &merged,
                    CoarseQueries &queries, CoarseKeys &keys) {
    const float *scale = t.query_scale + head * kLogitRank;
    pack_queries<kCoarseLogit>(q, t.padded, scale, queries);
    pack_keys(merged.k, merged.v, merged.bias, merged.count, scale, keys);
}

}  // namespace vnni
