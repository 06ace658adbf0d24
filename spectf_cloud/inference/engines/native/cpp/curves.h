// Stage 1, projection curves: queries, keys and values of every band from its reflectance.
#pragma once
#include "tables.h"
#include "vec.h"

// Scaled reflectance and 1/sigma of a block of pixels; lanes are bands.
struct Lanes {
    alignas(64) float scaled[kBlock][kMaxBands];
    alignas(64) float inverse_sigma[kBlock][kMaxBands];
};

// The bands as they are, and in the order in which they ask.
struct Block {
    Lanes bands, queries;
};

// Horner's rule with one coefficient per band, for all pixels of the block at once.
template <int Degree> INLINE void horner(const float *coefficients, int padded, int at, const Lanes &block, vf (&value)[kBlock]) {
    vf u[kBlock];
    const vf first = load(coefficients + at);
    for (int p = 0; p < kBlock; p++) u[p] = load(block.scaled[p] + at), value[p] = first;
    for (int d = 1; d <= Degree; d++) {
        const vf c = load(coefficients + d * padded + at);
        for (int p = 0; p < kBlock; p++) value[p] = value[p] * u[p] + c;
    }
}

static void start_lanes(const Tables &t, const float *variance, Lanes &lanes) {
    for (int b = 0; b < t.padded; b += W) {
        vf value[kBlock];
        horner<kDegree>(variance, t.padded, b, lanes, value);
        for (int p = 0; p < kBlock; p++) store(lanes.inverse_sigma[p] + b, 1.0f / vsqrt(value[p]));
    }
}

static void start_block(const Tables &t, const float *const toa[kBlock], Block &block) {
    const float middle = 0.85f, half = 0.9f;
    for (int p = 0; p < kBlock; p++) {
        for (int b = 0; b < t.padded; b++)
            block.bands.scaled[p][b] = (toa[p][b < t.bands ? b : t.bands - 1] - middle) * (1 / half);
        for (int b = 0; b < t.padded; b++) block.queries.scaled[p][b] = block.bands.scaled[p][t.order[b]];
    }
    start_lanes(t, t.variance, block.bands);
    start_lanes(t, t.query_variance, block.queries);
}

// One column (a direction of q, k or v of one head): out[p][band] = numerator / sigma + constant.
template <int Degree>
INLINE void project_column(const float *coefficients, int padded, float constant, const Lanes &block, float *out, int pixel_stride) {
    for (int b = 0; b < padded; b += W) {
        vf value[kBlock];
        horner<Degree>(coefficients, padded, b, block, value);
        for (int p = 0; p < kBlock; p++)
            store(out + p * pixel_stride + b, value[p] * load(block.inverse_sigma[p] + b) + constant);
    }
}

// Queries, keys and values of one head for a block: [pixel][rank][kMaxBands].
template <int R, int V> struct HeadCurves {
    alignas(64) float q[kBlock][R][kMaxBands], k[kBlock][R][kMaxBands], v[kBlock][V][kMaxBands];
};

// `curves`: [head][2 R + V][Degree + 1][padded].
template <int Degree, int R, int V>
static __attribute__((noinline)) void project_head(const Tables &t, const float *curves, int head, const Block &block, HeadCurves<R, V> &out) {
    const int64_t column = (Degree + 1) * t.padded;
    const float *at = curves + head * (2 * R + V) * column;
    for (int r = 0; r < R; r++, at += column)
        project_column<Degree>(at, t.padded, t.query_constant[head * kLogitRank + r], block.queries, out.q[0][r], R * kMaxBands);
    for (int r = 0; r < R; r++, at += column)
        project_column<Degree>(at, t.padded, -t.key_centre[head * kLogitRank + r], block.bands, out.k[0][r], R * kMaxBands);
    for (int r = 0; r < V; r++, at += column)
        project_column<Degree>(at, t.padded, -t.value_centre[head * kValueRank + r], block.bands, out.v[0][r], V * kMaxBands);
}
