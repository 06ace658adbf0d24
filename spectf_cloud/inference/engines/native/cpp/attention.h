// Stage 3, attention: weighted means of values; lanes are queries, keys are broadcast one after another.
#pragma once
#include "merge.h"
#include "tables.h"
#include "vec.h"

// 2^(x / 2^23) for |x| < 126 · 2^23: mantissa bits as a number in [1, 2), its polynomial, exponent bits added.
INLINE vf exp2_of(vi i) {
    const vf m = floats((i & 0x7fffff) | 0x3f800000);
    const vf p = ((0.07802453882741234f * m - 0.008006462386356383f) * m + 0.47777283501098883f) * m + 0.4521343081917609f;
    return floats(bits(p) + (i & (int32_t)0xff800000));
}
INLINE vf exp2_scaled(vf x) { return exp2_of(__builtin_convertvector(x, vi)); }

constexpr float kExponentUnit = 8388608.0f;  // 2^23

// Keys and values as they lie in memory, [R or V][kMaxBands]; no bias: none.
struct KeyRows {
    int count;
    const float (*k)[kMaxBands], (*v)[kMaxBands], *bias;
};

template <int R, int V, int B> INLINE void attend(const float *q, const KeyRows &keys, float *out) {
    vf query[B][R], total[B], mixed[B][V];
    for (int b = 0; b < B; b++) {
        for (int r = 0; r < R; r++) query[b][r] = load(q + r * kMaxBands + b * W) * kExponentUnit;
        total[b] = vf{};
        for (int r = 0; r < V; r++) mixed[b][r] = vf{};
    }
    for (int j = 0; j < keys.count; j++) {
        vf weight[B];
        const float bias = keys.bias ? keys.bias[j] * kExponentUnit : 0.0f;
        for (int b = 0; b < B; b++) {
            vf logit = query[b][0] * keys.k[0][j] + bias;
            for (int r = 1; r < R; r++) logit += query[b][r] * keys.k[r][j];
            weight[b] = exp2_scaled(logit);
            total[b] += weight[b];
        }
        for (int r = 0; r < V; r++)
            for (int b = 0; b < B; b++) mixed[b][r] += weight[b] * keys.v[r][j];
    }
    for (int b = 0; b < B; b++) {
        const vf share = 1.0f / total[b];
        for (int r = 0; r < V; r++) store(out + r * kMaxBands + b * W, mixed[b][r] * share);
    }
}

// q [R][kMaxBands], out [V][kMaxBands]; queries is a multiple of W.
template <int R, int V>
static __attribute__((noinline)) void attention(const float *q, int queries, const KeyRows &keys, float *out) {
    int i = 0;
    for (; i + 2 * W <= queries; i += 2 * W) attend<R, V, 2>(q + i, keys, out + i);
    for (; i < queries; i += W) attend<R, V, 1>(q + i, keys, out + i);
}
