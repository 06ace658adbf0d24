// Stage 4 of the coarse pass for AVX-512 VNNI: int16 pairs, int32 sums; see fixed_point.py for the scales.
#pragma once
#include "attention_vnni.h"
#include "tables.h"

namespace vnni {

// Φ − ½ to 1.1e-3 · x, five terms: enough for a pass whose answers are looked at twice.
INLINE __m512 coarse_gelu(__m512 x, float unit) {
    const __m512 end = _mm512_set1_ps(3.4f);
    const __m512 z = _mm512_max_ps(_mm512_min_ps(x, end), -end), s = z * z;
    __m512 p = _mm512_set1_ps(1.0015572299036183e-05f) * s - _mm512_set1_ps(0.00040092115793041564f);
    p = p * s + _mm512_set1_ps(0.006586687267617885f);
    p = p * s - _mm512_set1_ps(0.05938710860754277f);
    p = p * s + _mm512_set1_ps(0.39385836296876386f);
    return x * _mm512_set1_ps(unit) * (p * z + _mm512_set1_ps(0.5f));
}

// Four rows of a matrix of N pairs times columns of lanes, for B vectors.
template <int N, int B, class Start, class Finish>
INLINE void multiply(const int32_t *matrix, int rows, const int32_t *in, int stride, Start start, Finish finish) {
    for (int row = 0; row < rows; row += 4) {
        const int32_t *m = matrix + row * N;
        __m512i acc[4][B];
        for (int i = 0; i < 4; i++)
            for (int b = 0; b < B; b++) acc[i][b] = start(row + i);
        for (int j = 0; j < N; j++) {
            __m512i x[B];
            for (int b = 0; b < B; b++) x[b] = _mm512_loadu_si512(in + j * stride + b * 16);
            for (int i = 0; i < 4; i++)
                for (int b = 0; b < B; b++) acc[i][b] = _mm512_dpwssd_epi32(acc[i][b], x[b], splat_at(m + i * N + j));
        }
        finish(row, acc);
    }
}

template <int B> INLINE void coarse_tail_group(const Tables &t, const int32_t *in, int32_t *out) {
    alignas(64) int32_t leading[kCoarseTail / 2][B * 16], active[kDim / 2][B * 16];
    const __m512i words = upper_of_both();
    __m512i square[B];
    for (int b = 0; b < B; b++) square[b] = _mm512_setzero_si512();
    multiply<kCoarseIn / 2, B>(
        t.fixed_project, kCoarseTail, in, kMaxBands, [&](int row) { return splat_at(t.fixed_project_constant + row); },
        [&](int row, const __m512i(&acc)[4][B]) {
            for (int i = 0; i < 4; i += 2)
                for (int b = 0; b < B; b++) {
                    const __m512i both = _mm512_permutex2var_epi16(acc[i][b], words, acc[i + 1][b]);
                    square[b] = _mm512_dpwssd_epi32(square[b], both, both);
                    _mm512_store_si512(leading[(row + i) / 2] + b * 16, both);
                }
        });
    __m512 inverse[B];
    for (int b = 0; b < B; b++) {
        const __m512 norm = _mm512_cvtepi32_ps(square[b]) * _mm512_set1_ps(t.fixed_square_scale) + _mm512_set1_ps(t.coarse_rest);
        inverse[b] = _mm512_set1_ps(t.fixed_hidden_scale) /
                     _mm512_sqrt_ps(norm * _mm512_set1_ps(1.0f / kDim) + _mm512_set1_ps(t.layer_norm_eps));
    }
    const auto zero = [](int) { return _mm512_setzero_si512(); };
    multiply<kCoarseTail / 2, B>(t.fixed_hidden, kDim, leading[0], B * 16, zero, [&](int row, const __m512i(&acc)[4][B]) {
        for (int i = 0; i < 4; i += 2)
            for (int b = 0; b < B; b++) {
                __m512 g[2];
                for (int k = 0; k < 2; k++)
                    g[k] = coarse_gelu(_mm512_cvtepi32_ps(acc[i + k][b]) * inverse[b] + _mm512_set1_ps(t.hidden_bias[row + i + k]),
                                       t.fixed_active_unit);
                _mm512_store_si512(active[(row + i) / 2] + b * 16, pair(g[0], g[1]));
            }
    });
    multiply<kDim / 2, B>(t.fixed_mixing, kDim, active[0], B * 16, zero, [&](int row, const __m512i(&acc)[4][B]) {
        for (int i = 0; i < 4; i++)
            for (int b = 0; b < B; b++) _mm512_store_si512(out + (row + i) * kMaxBands + b * 16, acc[i][b]);
    });
}

// in [kCoarseIn / 2][kMaxBands] pairs → out [64][kMaxBands], for the bands from..upto.
static __attribute__((noinline)) void coarse_tail(const Tables &t, const int32_t *in, int from, int upto, int32_t *out) {
    int i = from;
    for (; i + 32 <= upto; i += 32) coarse_tail_group<2>(t, in + i, out + i);
    for (; i < upto; i += 16) coarse_tail_group<1>(t, in + i, out + i);
}

// As `pool_more` and `find_candidates` do in float.
static float pool_more(const Tables &t, const int32_t *features, int from, int upto, int32_t *best) {
    __m512 logit = _mm512_setzero_ps();
    for (int c = 0; c < kDim; c += 16) {
        vf top[16];
        for (int i = 0; i < 16; i++) {
            const int32_t *row = features + (c + i) * kMaxBands;
            __m512i x = _mm512_load_si512(row + from);
            for (int b = from + 16; b < upto; b += 16) x = _mm512_max_epi32(x, _mm512_load_si512(row + b));
            top[i] = (vf)x;
        }
        __m512i now = (__m512i)across(top, 16, [](__m512 a, __m512 b) { return (__m512)_mm512_max_epi32((__m512i)a, (__m512i)b); });
        if (from) now = _mm512_max_epi32(now, _mm512_loadu_si512(best + c));
        _mm512_storeu_si512(best + c, now);
        logit += _mm512_loadu_ps(t.fixed_difference + c) * _mm512_cvtepi32_ps(now);
    }
    return t.offset + _mm512_reduce_add_ps(logit);
}

INLINE int find_candidates(const Tables &t, float margin, const int32_t *features, const int32_t *best, uint16_t *band) {
    __m512i least[kDim];
    for (int c = 0; c < kDim; c++)
        least[c] = _mm512_set1_epi32(best[c] - (int32_t)__builtin_fminf(1e9f, margin / (__builtin_fabsf(t.fixed_difference[c]) + 1e-12f)));
    int count = 0;
    for (int b = 0; b < t.padded; b += 16) {
        __mmask16 hit = 0;
        for (int c = 0; c < kDim; c++) hit |= _mm512_cmpge_epi32_mask(_mm512_load_si512(features + c * kMaxBands + b), least[c]);
        for (int i = 0; i < 16; i++)
            if ((hit >> i & 1) && b + i < t.bands) band[count++] = b + i;
    }
    return count;
}

}  // namespace vnni
