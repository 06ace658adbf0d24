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

// Means of neighbours; n is a multiple of W.
INLINE void halve(const float *from, float *to, int n) {
#if defined(__AVX512F__)
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (int i = 0; i < n; i += 16) {
        const __m512 a = _mm512_load_ps(from + 2 * i), b = _mm512_load_ps(from + 2 * i + 16);
        store(to + i, 0.5f * ((vf)_mm512_permutex2var_ps(a, even, b) + (vf)_mm512_permutex2var_ps(a, odd, b)));
    }
#else
    for (int i = 0; i < n; i++) to[i] = 0.5f * (from[2 * i] + from[2 * i + 1]);
#endif
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

// The largest acceptable groups, from the top level down; returns how many keys there are.
#if defined(__AVX512F__)
INLINE __mmask16 doubled(unsigned eight_bits) {
    unsigned x = eight_bits;
    x = (x | x << 4) & 0x0f0f, x = (x | x << 2) & 0x3333, x = (x | x << 1) & 0x5555;
    return x * 3;
}

static int emit(const Level *levels, int bands, float merge_variance, Keys<kCoarseLogit, kCoarseValue> &out) {
    uint16_t taken[kLevels][kMaxBands / 16 + 1];
    int count = 0;
    for (int level = kLevels - 1; level >= 0; level--) {
        const Level &here = levels[level];
        const int groups = bands >> level;
        for (int g = 0; g < groups; g += 16) {
            const __mmask16 valid = groups - g >= 16 ? 0xffff : (1 << (groups - g)) - 1;
            const int above = g / 2;
            const bool known = level < kLevels - 1 && above < bands >> (level + 1);
            const __mmask16 covered = known ? doubled(taken[level + 1][above / 16] >> (above & 8) & 0xff) : 0;
            const __m512 spread = _mm512_load_ps(here.spread + g);
            const __mmask16 accept = level ? _mm512_cmplt_ps_mask(spread, _mm512_set1_ps(merge_variance)) : 0xffff;
            taken[level][g / 16] = valid & (covered | accept);
            const __mmask16 take = valid & accept & ~covered;
            if (!take) continue;
            const auto put = [&](float *to, vf x) { _mm512_storeu_ps(to + count, _mm512_maskz_compress_ps(take, (__m512)x)); };
            for (int i = 0; i < kCoarseLogit; i++) put(out.k[i], load(here.k[i] + g));
            const vf c = load(here.c + g);
            for (int i = 0; i < kCoarseValue; i++) {
                const vf v = load(here.v[i] + g);
                put(out.v[i], level ? v + kLn2 * (load(here.cv[i] + g) - c * v) : v);
            }
            put(out.bias, level ? (float)level + 0.5f * kLn2 * (vf)spread : vf{});
            count += __builtin_popcount(take);
        }
    }
    return count;
}
#else
static int emit(Level *levels, int bands, float merge_variance, Keys<kCoarseLogit, kCoarseValue> &out) {
    int count = 0;
    for (int level = kLevels - 1; level >= 0; level--) {
        Level &here = levels[level];
        const int groups = bands >> level;
        for (int g = 0; g < groups; g++) {
            const bool covered = level < kLevels - 1 && (g >> 1) < (bands >> (level + 1)) && levels[level + 1].taken[g >> 1];
            const bool accept = level == 0 || here.spread[g] < merge_variance;
            here.taken[g] = covered | accept;
            if (covered || !accept) continue;
            for (int i = 0; i < kCoarseLogit; i++) out.k[i][count] = here.k[i][g];
            for (int i = 0; i < kCoarseValue; i++)
                out.v[i][count] = here.v[i][g] + (level ? kLn2 * (here.cv[i][g] - here.c[g] * here.v[i][g]) : 0.0f);
            out.bias[count++] = level ? level + 0.5f * kLn2 * here.spread[g] : 0.0f;
        }
    }
    return count;
}
#endif

static __attribute__((noinline)) void merge_keys(const float (*q)[kMaxBands], const float (*k)[kMaxBands], const float (*v)[kMaxBands], int bands,
                       int padded, float merge_variance, Level *levels, Keys<kCoarseLogit, kCoarseValue> &out) {
    const Moments m = query_moments(q, padded);
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
    out.count = emit(levels, bands, merge_variance, out);
}
