// Stage 2, merging keys: aligned groups of 2, 4, 8, 16 neighbouring bands whose keys look alike to this
// pixel's own queries become one key, with the group's size and spread in its bias.
#pragma once
#include "tables.h"
#include "vec.h"

constexpr int kLevels = 5;  // groups of 1, 2, 4, 8, 16; of the first nothing is stored

// Keys of one head as the attention reads them; weights are 2^(q·k + bias).
template <int R, int V> struct Keys {
    int count;
    alignas(64) float k[R][kMaxBands], v[V][kMaxBands], bias[kMaxBands];
};

struct Moments {
    float mean[kCoarseLogit], second[kCoarseLogit][kCoarseLogit];
};

// Over the queries that ask first, in one pass: those that hold most maxima, whose keys have to be right.
INLINE Moments query_moments(const float (*q)[kMaxBands], int queries) {
    constexpr int kSums = kCoarseLogit + kCoarseLogit * (kCoarseLogit + 1) / 2;
    vf total[kSums] = {};
    for (int b = 0; b < queries; b += W) {
        vf x[kCoarseLogit];
        int n = 0;
        for (int i = 0; i < kCoarseLogit; i++) x[i] = load(q[i] + b), total[n++] += x[i];
        for (int i = 0; i < kCoarseLogit; i++)
            for (int j = 0; j <= i; j++) total[n++] += x[i] * x[j];
    }
    alignas(64) float sums[(kSums + W - 1) / W * W];
    for (int n = 0; n < kSums; n += W) store(sums + n, sums_of_rows(total + n, kSums - n));
    Moments m;
    const float scale = 1.0f / queries;
    int n = 0;
    for (int i = 0; i < kCoarseLogit; i++) m.mean[i] = sums[n++] * scale;
    for (int i = 0; i < kCoarseLogit; i++)
        for (int j = 0; j <= i; j++) m.second[i][j] = m.second[j][i] = sums[n++] * scale;
    return m;
}

// What is known of groups of 2^level bands: mean key, mean value, covariance of value and logit, variance of the logit.
struct Groups {
    alignas(64) float k[kCoarseLogit][kMaxBands], v[kCoarseValue][kMaxBands], covariance[kCoarseValue][kMaxBands];
    alignas(64) float spread[kMaxBands];
};

// Vectors of the first and of the second neighbours of W pairs.
INLINE void neighbours(const float *from, vf &first, vf &second) {
#if defined(__AVX512F__)
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512 a = _mm512_load_ps(from), b = _mm512_load_ps(from + 16);
    first = (vf)_mm512_permutex2var_ps(a, even, b), second = (vf)_mm512_permutex2var_ps(a, odd, b);
#else
    for (int i = 0; i < W; i++) first[i] = from[2 * i], second[i] = from[2 * i + 1];
#endif
}

INLINE vf mean_of_neighbours(const float *from) {
    vf a, b;
    neighbours(from, a, b);
    return 0.5f * (a + b);
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

constexpr float kLn2 = 0.69314718f;

// Groups twice as large as those of `k` and `v`. `below` knows what is spread inside each of these; null: single bands.
INLINE void pair_groups(const Moments &m, const float (*k)[kMaxBands], const float (*v)[kMaxBands], const Groups *below, int groups,
                        Groups &here) {
    for (int g = 0; g < groups; g += W) {
        vf a, b, apart[kCoarseLogit], logit_apart{};
        for (int i = 0; i < kCoarseLogit; i++) {
            neighbours(k[i] + 2 * g, a, b);
            apart[i] = 0.5f * (a - b);
            logit_apart += m.mean[i] * apart[i];
            store(here.k[i] + g, 0.5f * (a + b));
        }
        const vf between = quadratic(m, apart);
        store(here.spread + g, below ? between + mean_of_neighbours(below->spread + 2 * g) : between);
        for (int i = 0; i < kCoarseValue; i++) {
            neighbours(v[i] + 2 * g, a, b);
            const vf together = 0.5f * logit_apart * (a - b);
            store(here.v[i] + g, 0.5f * (a + b));
            store(here.covariance[i] + g, below ? together + mean_of_neighbours(below->covariance[i] + 2 * g) : together);
        }
    }
}

// Every bit twice.
INLINE unsigned doubled(unsigned eight_bits) {
    unsigned x = eight_bits;
    x = (x | x << 4) & 0x0f0f, x = (x | x << 2) & 0x3333, x = (x | x << 1) & 0x5555;
    return x * 3;
}

// The largest acceptable groups, from the top level down; returns how many keys there are.
INLINE int choose(const float (*k)[kMaxBands], const float (*v)[kMaxBands], const Groups *levels, int bands, float merge_variance,
                  Keys<kCoarseLogit, kCoarseValue> &out) {
    uint16_t taken[kLevels][kMaxBands / W + 1];  // a bit for each group in a vector
    int count = 0;
    for (int level = kLevels - 1; level >= 0; level--) {
        const Groups &here = levels[level];
        const int groups = bands >> level;
        for (int g = 0; g < groups; g += W) {
            const unsigned valid = groups - g >= W ? (1u << W) - 1 : (1u << (groups - g)) - 1;
            const int above = g / 2;
            const bool known = level < kLevels - 1 && above < bands >> (level + 1);
            const unsigned covered = known ? doubled(taken[level + 1][above / W] >> above % W & ((1u << W / 2) - 1)) : 0;
            const vf spread = level ? load(here.spread + g) : vf{};
            const unsigned accept = level ? mask_of(spread < merge_variance) : ~0u;
            taken[level][g / W] = valid & (covered | accept);
            const unsigned take = valid & accept & ~covered;
            if (!take) continue;
            for (int i = 0; i < kCoarseLogit; i++) append(out.k[i] + count, take, load((level ? here.k : k)[i] + g));
            for (int i = 0; i < kCoarseValue; i++) {
                const vf x = load((level ? here.v : v)[i] + g);
                append(out.v[i] + count, take, level ? x + kLn2 * load(here.covariance[i] + g) : x);
            }
            append(out.bias + count, take, (float)level + 0.5f * kLn2 * spread);
            count += __builtin_popcount(take);
        }
    }
    return count;
}

static __attribute__((noinline)) void merge_keys(const float (*q)[kMaxBands], const float (*k)[kMaxBands], const float (*v)[kMaxBands],
                                                 int bands, int queries, float merge_variance, Groups *levels,
                                                 Keys<kCoarseLogit, kCoarseValue> &out) {
    const Moments m = query_moments(q, queries);
    pair_groups(m, k, v, nullptr, bands >> 1, levels[1]);
    for (int level = 2; level < kLevels; level++)
        pair_groups(m, levels[level - 1].k, levels[level - 1].v, &levels[level - 1], bands >> level, levels[level]);
    out.count = choose(k, v, levels, bands, merge_variance, out);
}
