// Stage 4, tail: LayerNorm, feed-forward layers, GELU; lanes are bands.
#pragma once
#include "tables.h"
#include "vec.h"

// x·Φ(x): Φ − ½ as an odd polynomial that reaches ½ at 3.9; absolute error below 1.9e-4.
INLINE vf gelu(vf x) {
    const float end = 3.9f;
    const vf z = vmax(vmin(x, splat(end)), splat(-end)), s = z * z;
    vf p = 2.2793652625879815e-08f * s - 1.596801074300961e-06f;
    p = p * s + 4.787945867997597e-05f;
    p = p * s - 0.0008129618685708035f;
    p = p * s + 0.008766087799501289f;
    p = p * s - 0.06455734653694911f;
    p = p * s + 0.39787111111893775f;
    return x * (p * z + 0.5f);
}

// matrix [rows][N + constant] times columns of lanes, four rows at a time; rows is a multiple of four.
template <int N, bool Constant, int B, class Finish>
INLINE void multiply(const float *matrix, int rows, bool triangular, const float *in, int stride, Finish finish) {
    constexpr int width = N + Constant;
    for (int row = 0; row < rows; row += 4) {
        const float *m = matrix + row * width;
        vf acc[4][B];
        for (int i = 0; i < 4; i++)
            for (int b = 0; b < B; b++) acc[i][b] = splat(Constant ? m[i * width + N] : 0.0f);
        for (int j = triangular ? row : 0; j < N; j++) {
            vf x[B];
            for (int b = 0; b < B; b++) x[b] = load(in + j * stride + b * W);
            for (int i = 0; i < 4; i++)
                for (int b = 0; b < B; b++) acc[i][b] += m[i * width + j] * x[b];
        }
        for (int i = 0; i < 4; i++) finish(row + i, acc[i]);
    }
}

// LayerNorm's divisor from the square of the norm.
template <int B> INLINE void invert(const Tables &t, float rest, vf (&square)[B]) {
    for (int b = 0; b < B; b++) square[b] = 1.0f / vsqrt((square[b] + rest) * (1.0f / kDim) + t.layer_norm_eps);
}

// Attention outputs (kFineIn) → features (64), for B vectors of bands: all directions.
template <int B> INLINE void fine_tail_group(const Tables &t, const float *in, float *out) {
    vf inverse[B];
    for (int b = 0; b < B; b++) inverse[b] = vf{};
    multiply<kFineIn, true, B>(t.root, kDim, true, in, kMaxBands, [&](int, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) inverse[b] += y[b] * y[b];
    });
    invert<B>(t, 0.0f, inverse);
    alignas(64) float active[kDim][B * W];
    multiply<kFineIn, true, B>(t.hidden, kDim, false, in, kMaxBands, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) store(active[row] + b * W, gelu(y[b] * inverse[b] + t.hidden_bias[row]));
    });
    multiply<kDim, false, B>(t.mixing, kDim, false, active[0], B * W, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) store(out + row * kMaxBands + b * W, y[b]);
    });
}

// The same of the coarse pass (kCoarseIn): through the leading directions.
template <int B> INLINE void coarse_tail_group(const Tables &t, const float *in, float *out) {
    vf inverse[B];
    for (int b = 0; b < B; b++) inverse[b] = vf{};
    alignas(64) float leading[kCoarseTail][B * W], active[kDim][B * W];
    multiply<kCoarseIn, true, B>(t.coarse_project, kCoarseTail, false, in, kMaxBands, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) inverse[b] += y[b] * y[b], store(leading[row] + b * W, y[b]);
    });
    invert<B>(t, t.coarse_rest, inverse);
    multiply<kCoarseTail, false, B>(t.coarse_hidden, kDim, false, leading[0], B * W, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) store(active[row] + b * W, gelu(y[b] * inverse[b] + t.hidden_bias[row]));
    });
    multiply<kDim, false, B>(t.mixing, kDim, false, active[0], B * W, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) store(out + row * kMaxBands + b * W, y[b]);
    });
}

// in [inputs][kMaxBands] → out [64][kMaxBands]; count is a multiple of W.
static __attribute__((noinline)) void fine_tail(const Tables &t, const float *in, int count, float *out) {
    int i = 0;
    for (; i + 2 * W <= count; i += 2 * W) fine_tail_group<2>(t, in + i, out + i);
    for (; i < count; i += W) fine_tail_group<1>(t, in + i, out + i);
}

static __attribute__((noinline)) void coarse_tail(const Tables &t, const float *in, int from, int upto, float *out) {
    int i = from;
    for (; i + 2 * W <= upto; i += 2 * W) coarse_tail_group<2>(t, in + i, out + i);
    for (; i < upto; i += W) coarse_tail_group<1>(t, in + i, out + i);
}

// Largest of each feature over the bands, those before `from` being in `best` already; from them the logit
// difference cloud − clear.
static float pool_more(const Tables &t, const float *features, int from, int upto, float *best) {
    vf logit{};
    for (int c = 0; c < kDim; c += W) {
        vf top[W];
        for (int i = 0; i < W; i++) {
            const float *row = features + (c + i) * kMaxBands;
            top[i] = load(row + from);
            for (int b = from + W; b < upto; b += W) top[i] = vmax(top[i], load(row + b));
        }
        const vf highest = highest_of_rows(top), now = from ? vmax(highest, load(best + c)) : highest;
        store(best + c, now);
        logit += load(t.difference + c) * now;
    }
    return t.offset + sum(logit);
}

// Bands whose features come within `margin` (in logits) of a maximum.
static __attribute__((noinline)) int find_candidates(const Tables &t, float margin, const float *features, const float *best, uint16_t *band) {
    float least[kDim];
    for (int c = 0; c < kDim; c++) least[c] = best[c] - margin / (__builtin_fabsf(t.difference[c]) + 1e-6f);
    int count = 0;
    for (int b = 0; b < t.padded; b += W) {
        vi hit{};
        for (int c = 0; c < kDim; c++) hit |= load(features + c * kMaxBands + b) >= least[c];
        for (int i = 0; i < W; i++)
            if (hit[i] && b + i < t.bands) band[count++] = b + i;
    }
    return count;
}
