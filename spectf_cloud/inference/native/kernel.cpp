// The cascade: a coarse pass with merged keys for every pixel; then, where its answer is not safe, a fine pass
// with all keys for the bands that may hold a feature's maximum. Blocks of pixels share table reads; every
// pixel's arithmetic is its own, so no result depends on its neighbours.
#include <cmath>
#include <cstdlib>
#include <new>

#include "attention.h"
#include "curves.h"
#include "merge.h"
#include "tail.h"
#if defined(__AVX512VNNI__) && defined(__AVX512BF16__) && defined(__AVX512VBMI__)
#define SPECTF_VNNI
#include "tail_vnni.h"
#endif

namespace {

struct Scratch {
    Block block;
    HeadCurves<kCoarseLogit, kCoarseValue> coarse;
    HeadCurves<kLogitRank, kValueRank> fine;
    Level levels[kLevels];
    Keys<kCoarseLogit, kCoarseValue> merged;
#ifdef SPECTF_VNNI
    vnni::PackedKeys<kCoarseLogit, kCoarseValue> packed_merged;
    vnni::FineKeys<kLogitRank, kValueRank> packed;
#else
    Keys<kLogitRank, kValueRank> keys;
#endif
#ifdef SPECTF_VNNI
    alignas(64) int32_t coarse_out[kBlock][kCoarseIn / 2][kMaxBands];
    alignas(64) int32_t coarse_features[kDim][kMaxBands];
#else
    alignas(64) float coarse_out[kBlock][kCoarseIn][kMaxBands];
#endif
    alignas(64) float fine_out[kBlock][kFineIn][kMaxBands];
    alignas(64) float features[kDim][kMaxBands];
    alignas(64) float asked[kLogitRank][kMaxBands];
    double keys_seen, bands_redone, pixels_redone;
};

struct Redo {
    int64_t pixel;
    int32_t count;
    uint16_t band[kMaxBands];
};

void coarse_block(const Tables &t, const Plan &plan, Scratch &s, const float *const toa[kBlock], int used,
                  const int64_t *pixel, float *logit, Redo *redo, int64_t &redos) {
    start_block(t, toa, s.block);
    for (int h = 0; h < kHeads; h++) {
        project_head(t, h, s.block, s.coarse);
        for (int p = 0; p < used; p++) {
            merge_keys(s.coarse.q[p], s.coarse.k[p], s.coarse.v[p], t.bands, t.padded, plan.merge_variance, s.levels, s.merged);
            s.keys_seen += s.merged.count;
#ifdef SPECTF_VNNI
            const float *scale = t.query_scale + h * kLogitRank;
            vnni::pack_keys(s.merged.k, s.merged.v, s.merged.bias, s.merged.count, scale, s.packed_merged);
            vnni::attention(s.coarse.q[p][0], kMaxBands, t.padded, scale, s.packed_merged, s.coarse_out[p][h * kCoarseValue / 2]);
#else
            attention(s.coarse.q[p][0], kMaxBands, t.padded, s.merged, s.coarse_out[p][h * kCoarseValue], kMaxBands);
#endif
        }
    }
    for (int p = 0; p < used; p++) {
#ifdef SPECTF_VNNI
        using namespace vnni;
        int32_t best[kDim];
        auto features = s.coarse_features[0];
#else
        float best[kDim];
        auto features = s.features[0];
#endif
        coarse_tail(t, s.coarse_out[p][0], t.padded, features);
        const float answer = pool(t, features, t.padded, best);
        logit[pixel[p]] = answer;
        if (std::fabs(answer) >= plan.redo_logit && !plan.all_fine) continue;
        Redo &again = redo[redos++];
        again.pixel = pixel[p];
        again.count = find_candidates(t, plan.all_fine ? 1e9f : plan.margin, features, best, again.band);
    }
}

void fine_block(const Tables &t, Scratch &s, const float *const toa[kBlock], const Redo *redo, int used, float *logit) {
    start_block(t, toa, s.block);
    for (int h = 0; h < kHeads; h++) {
        project_head(t, h, s.block, s.fine);
        for (int p = 0; p < used; p++) {
            const int count = redo[p].count, whole = (count + W - 1) / W * W;
            for (int r = 0; r < kLogitRank; r++)
                for (int i = 0; i < whole; i++) s.asked[r][i] = s.fine.q[p][r][redo[p].band[i < count ? i : count - 1]];
#ifdef SPECTF_VNNI
            const float *scale = t.query_scale + h * kLogitRank;
            s.packed.count = t.bands, s.packed.v = s.fine.v[p];
            for (int j = 0; j < t.padded; j += 16) vnni::pack_directions<kLogitRank>(s.fine.k[p], j, scale, s.packed.k);
            vnni::attention_fine(s.asked[0], kMaxBands, whole, scale, s.packed, s.fine_out[p][h * kValueRank], kMaxBands);
#else
            s.keys.count = t.bands;
            std::memcpy(s.keys.k, s.fine.k[p], sizeof s.keys.k);
            std::memcpy(s.keys.v, s.fine.v[p], sizeof s.keys.v);
            attention(s.asked[0], kMaxBands, whole, s.keys, s.fine_out[p][h * kValueRank], kMaxBands);
#endif
        }
    }
    for (int p = 0; p < used; p++) {
        float best[kDim];
        const int whole = (redo[p].count + W - 1) / W * W;
        fine_tail(t, s.fine_out[p][0], whole, s.features[0]);
        logit[redo[p].pixel] = pool(t, s.features[0], whole, best);
        s.bands_redone += redo[p].count;
    }
    s.pixels_redone += used;
}

}  // namespace

// toa (n, bands) finite and inside the domain → logit (n). statistics: keys per head and pixel, share of pixels
// redone, bands redone per such pixel. Returns 0, or 1 where memory is short.
extern "C" __attribute__((visibility("default"))) int spectf_run(const Tables *t, const Plan *plan, const float *toa, int64_t n, float *logit, double *statistics) {
    Scratch *s = static_cast<Scratch *>(std::aligned_alloc(64, (sizeof(Scratch) + 63) / 64 * 64));
    Redo *redo = static_cast<Redo *>(std::malloc(sizeof(Redo) * (n + kBlock)));
    if (!s || !redo) return std::free(s), std::free(redo), 1;
    std::memset(static_cast<void *>(s), 0, sizeof *s);
    int64_t redos = 0;
    for (int64_t first = 0; first < n; first += kBlock) {
        const float *rows[kBlock];
        int64_t pixel[kBlock];
        const int used = n - first < kBlock ? n - first : kBlock;
        for (int p = 0; p < kBlock; p++) pixel[p] = first + (p < used ? p : 0), rows[p] = toa + pixel[p] * t->bands;
        coarse_block(*t, *plan, *s, rows, used, pixel, logit, redo, redos);
    }
    for (int64_t first = 0; first < redos; first += kBlock) {
        const float *rows[kBlock];
        const int used = redos - first < kBlock ? redos - first : kBlock;
        for (int p = 0; p < kBlock; p++) rows[p] = toa + redo[first + (p < used ? p : 0)].pixel * t->bands;
        fine_block(*t, *s, rows, redo + first, used, logit);
    }
    if (statistics && n) {
        statistics[0] = s->keys_seen / n / kHeads;
        statistics[1] = s->pixels_redone / n;
        statistics[2] = redos ? s->bands_redone / redos : 0;
    }
    std::free(s);
    std::free(redo);
    return 0;
}
