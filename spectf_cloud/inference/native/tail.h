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

// rows × (inputs + 1 constant) times columns of lanes, four rows at a time.
template <int N, int B, class Finish>
INLINE void multiply(const float *matrix, int rows, bool triangular, const float *in, int stride, Finish finish) {
    for (int row = 0; row < rows; row += 4) {
        vf acc[4][B];
        const float *m[4];
        for (int i = 0; i < 4; i++) {
            m[i] = matrix + (row + i < rows ? row + i : rows - 1) * (N + 1);
            for (int b = 0; b < B; b++) acc[i][b] = splat(m[i][N]);
        }
        for (int j = triangular ? row : 0; j < N; j++) {
            vf x[B];
            for (int b = 0; b < B; b++) x[b] = load(in + j * stride + b * W);
            for (int i = 0; i < 4; i++)
                for (int b = 0; b < B; b++) acc[i][b] += m[i][j] * x[b];
        }
        for (int i = 0; i < 4 && row + i < rows; i++) finish(row + i, acc[i]);
    }
}

// One group of B vectors of bands: attention outputs in (N directions) → features out (64).
template <int N, int B>
INLINE void tail_group(const Tables &t, const float *root, int root_rows, const float *hidden, const float *in, int stride,
                       float *out, int out_stride) {
    vf square[B];
    for (int b = 0; b < B; b++) square[b] = vf{};
    multiply<N, B>(root, root_rows, true, in, stride, [&](int, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) square[b] += y[b] * y[b];
    });
    vf inverse[B];
    for (int b = 0; b < B; b++) inverse[b] = 1.0f / vsqrt(square[b] * (1.0f / kDim) + t.layer_norm_eps);
    alignas(64) float active[kDim][B * W];
    multiply<N, B>(hidden, kDim, false, in, stride, [&](int row, const vf(&y)[B]) {
        for (int b = 0; b < B; b++) store(active[row] + b * W, gelu(y[b] * inverse[b] + t.hidden_bias[row]));
    });
    for (int row = 0; row < kDim; row += 4) {
        vf acc[4][B];
        for (int i = 0; i < 4; i++)
            for (int b = 0; b < B; b++) acc[i][b] = vf{};
        for (int j = 0; j < kDim; j++) {
            vf x[B];
            for (int b = 0; b < B; b++) x[b] = load(active[j] + b * W);
            for (int i = 0; i < 4; i++)
                for (int b = 0; b < B; b++) acc[i][b] += t.mixing[(row + i) * kDim + j] * x[b];
        }
        for (int i = 0; i < 4; i++)
            for (int b = 0; b < B; b++) store(out + (row + i) * out_stride + b * W, acc[i][b]);
    }
}

// in [N][kMaxBands] → out [64][kMaxBands]; count is a multiple of W.
template <int N>
static void tail(const Tables &t, const float *root, int root_rows, const float *hidden, const float *in, int count, float *out) {
    int i = 0;
    for (; i + 2 * W <= count; i += 2 * W) tail_group<N, 2>(t, root, root_rows, hidden, in + i, kMaxBands, out + i, kMaxBands);
    for (; i < count; i += W) tail_group<N, 1>(t, root, root_rows, hidden, in + i, kMaxBands, out + i, kMaxBands);
}

// Largest of each feature over the bands, and from them the logit difference cloud − clear.
static float pool(const Tables &t, const float *features, int count, float *best) {
    float logit = t.offset;
    for (int c = 0; c < kDim; c++) {
        vf top = load(features + c * kMaxBands);
        for (int b = W; b < count; b += W) top = vmax(top, load(features + c * kMaxBands + b));
        best[c] = highest(top);
        logit += t.difference[c] * best[c];
    }
    return logit;
}
