// Stage 2, merging keys: aligned groups of 2, 4, 8, 16 neighbouring bands whose keys look alike to this
// pixel's own queries become one key, with the group's size and spread in its bias.
#pragma once
#include "tables.h"
#include "vec.h"

constexpr int kLevels = 5;  // groups of 1, 2, 4, 8, 16

// Keys of one head as the attention reads them; weights are 2^(q·k + bias).
template <int R, int V> struct Keys {
    int count;
    alignas(64) float k[R][kMaxBands], v[V][kMaxBands], bias[kMaxBands];
};

struct Moments {
    float mean[kCoarseLogit], second[kCoarseLogit][kCoarseLogit];
};

INLINE Moments query_moments(const float (*q)[kMaxBands], int padded) {
    Moments m;
    const float scale = 1.0f / padded;
    for (int i = 0; i < kCoarseLogit; i++) {
        vf total{};
        for (int b = 0; b < padded; b += W) total += load(q[i] + b);
        m.mean[i] = sum(total) * scale;
        for (int j = 0; j <= i; j++) {
            vf product{};
            for (int b = 0; b < padded; b += W) product += load(q[i] + b) * load(q[j] + b);
            m.second[i][j] = m.second[j][i] = sum(product) * scale;
        }
    }
    return m;
}

// Means over groups of 2^level bands of: key, value, centre·value, and the key's own q-weighted square.
struct Level {
    alignas(64) float k[kCoarseLogit][kMaxBands], v[kCoarseValue][kMaxBands], cv[kCoarseValue][kMaxBands];
    alignas(64) float square[kMaxBands], c[kMaxBands], spread[kMaxBands];
    uint8_t taken[kMaxBands];
};

INLINE void halve(const float *from, float *to, int n) {
    for (int i = 0; i < n; i++) to[i] = 0.5f * (from[2 * i] + from[2 * i + 1]);
}

INLINE vf quadratic(const Moments &m, const vf (&k)[kCoarseLogit]) {
    vf total{};
    for (int i = 0; i < kCoarseLogit; i++) {
        vf row = 0.5f * m.second[i][i] * k[i];
        for (int j = 0; j < i; j++) row += m.second[i][j] * k[j];
        total += 2.0f * row * k[i];
    }
    return total;
}

static __attribute__((noinline)) void merge_keys(const float (*q)[kMaxBands], const float (*k)[kMaxBands], const float (*v)[kMaxBands], int bands,
                       int padded, float merge_variance, Level *levels, Keys<kCoarseLogit, kCoarseValue> &out) {
    const Moments m = query_moments(q, padded);
    const float ln2 = 0.69314718f;
    for (int level = 0; level < kLevels; level++) {
        Level &here = levels[level];
        const int groups = bands >> level, whole = (groups + W - 1) / W * W;
        if (level == 0) {
            std::memcpy(here.k, k, sizeof here.k);
            std::memcpy(here.v, v, sizeof here.v);
        } else {
            const Level &below = levels[level - 1];
            for (int i = 0; i < kCoarseLogit; i++) halve(below.k[i], here.k[i], whole);
            for (int i = 0; i < kCoarseValue; i++) halve(below.v[i], here.v[i], whole), halve(below.cv[i], here.cv[i], whole);
            halve(below.square, here.square, whole);
        }
        for (int g = 0; g < whole; g += W) {
            vf key[kCoarseLogit], c{};
            for (int i = 0; i < kCoarseLogit; i++) key[i] = load(here.k[i] + g), c += m.mean[i] * key[i];
            const vf own = quadratic(m, key);
            store(here.c + g, c);
            if (level == 0) {
                store(here.square + g, own);
                for (int i = 0; i < kCoarseValue; i++) store(here.cv[i] + g, c * load(here.v[i] + g));
            }
            store(here.spread + g, load(here.square + g) - own);
        }
    }
    int count = 0;
    for (int level = kLevels - 1; level >= 0; level--) {
        Level &here = levels[level];
        const int groups = bands >> level;
        for (int g = 0; g < groups; g++) {
            const bool covered = level < kLevels - 1 && (g >> 1) < (bands >> (level + 1)) && levels[level + 1].taken[g >> 1];
            const bool accept = level == 0 || here.spread[g] < merge_variance;
            here.taken[g] = covered | accept;
            if (covered || !accept) continue;
            const float spread = level ? here.spread[g] : 0.0f;
            for (int i = 0; i < kCoarseLogit; i++) out.k[i][count] = here.k[i][g];
            for (int i = 0; i < kCoarseValue; i++)
                out.v[i][count] = here.v[i][g] + (level ? ln2 * (here.cv[i][g] - here.c[g] * here.v[i][g]) : 0.0f);
            out.bias[count++] = level + 0.5f * ln2 * spread;
        }
    }
    out.count = count;
}
