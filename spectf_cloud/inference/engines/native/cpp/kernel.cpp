// The cascade: a coarse pass with merged keys for every pixel; then, where its answer is not safe, a fine pass
// with all keys for the bands that may hold a feature's maximum. Blocks of pixels share table reads; every
// pixel's arithmetic is its own, so no result depends on its neighbours.
#include <cmath>
#include <cstdlib>

#include "attention.h"
#include "curves.h"
#include "merge.h"
#include "tail.h"
#if defined(__AVX512VNNI__) && defined(__AVX512BF16__) && defined(__AVX512VBMI__)
#define SPECTF_VNNI
#include "tail_vnni.h"
#endif

// The coarse pass in float; `vnni` has the same names for 16-bit numbers.
namespace plain {

using CoarseKeys = Keys<kCoarseLogit, kCoarseValue>;
struct CoarseQueries {
    alignas(64) float q[kCoarseLogit][kMaxBands];
};
using Number = float;
constexpr int kCoarseRows = kCoarseIn;

INLINE void prepare(const Tables &, int, const float (*q)[kMaxBands], const CoarseKeys &merged, CoarseQueries &queries, CoarseKeys &keys) {
    std::memcpy(queries.q, q, sizeof queries.q);
    keys = merged;
}

INLINE void attention(const CoarseQueries &queries, int from, int upto, const CoarseKeys &keys, float *out) {
    ::attention<kCoarseLogit, kCoarseValue>(queries.q[0] + from, upto - from, {keys.count, keys.k, keys.v, keys.bias}, out + from);
}

using ::coarse_tail;
using ::find_candidates;
using ::pool_more;

}  // namespace plain

#ifdef SPECTF_VNNI
namespace coarse = vnni;
#else
namespace coarse = plain;
#endif

namespace {

struct Scratch {
    Block block;
    HeadCurves<kCoarseLogit, kCoarseValue> coarse_curves;
    HeadCurves<kLogitRank, kValueRank> fine_curves;
    Groups levels[kLevels];
    Keys<kCoarseLogit, kCoarseValue> merged;
    coarse::CoarseQueries queries[kBlock][kHeads];
    coarse::CoarseKeys keys[kBlock][kHeads];
    alignas(64) coarse::Number mixed[coarse::kCoarseRows][kMaxBands];
    alignas(64) coarse::Number features[kDim][kMaxBands];
#ifdef SPECTF_VNNI
    vnni::PackedQueries<kLogitRank> packed_queries;
    vnni::PackedKeys<kLogitRank, kValueRank> packed_keys;
#endif
    alignas(64) float fine_mixed[kBlock][kFineIn][kMaxBands];
    alignas(64) float fine_features[kDim][kMaxBands];
    alignas(64) float asked[kLogitRank][kMaxBands];
    double keys_seen, bands_asked, bands_redone, pixels_redone;
};

struct Redo {
    int64_t pixel;
    int32_t count;
    uint16_t band[kMaxBands];
};

// One pixel of the block, its keys being ready: its logit, and what is left to do in `redo`. Stops as soon as
// the bands that have asked make a safe answer.
float coarse_pixel(const Tables &t, const Plan &plan, Scratch &s, int index, Redo &redo) {
    alignas(64) coarse::Number best[kDim];
    float logit = 0;
    int from = 0;
    for (int stage = 0; stage < kStages; stage++) {
        const int upto = t.stages[stage];
        if (upto == from) continue;
        for (int h = 0; h < kHeads; h++)
            coarse::attention(s.queries[index][h], from, upto, s.keys[index][h], s.mixed[h * coarse::kCoarseRows / kHeads]);
        coarse::coarse_tail(t, s.mixed[0], from, upto, s.features[0]);
        logit = coarse::pool_more(t, s.features[0], from, upto, best);
        from = upto;
        if (stage < kStages - 1 && std::fabs(logit) > plan.enough_logit[stage] && !plan.all_fine) break;
    }
    s.bands_asked += from;
    redo.count = 0;
    if (std::fabs(logit) < plan.redo_logit || plan.all_fine) {
        // A band missed costs p (1 − p) times what it lacks: look furthest where the probability is near one half.
        const float p = 1.0f / (1.0f + std::exp(-logit)), margin = plan.all_fine ? 1e9f : plan.margin * 4 * p * (1 - p);
        redo.count = coarse::find_candidates(t, margin, s.features[0], best, redo.band);
    }
    return logit;
}

void coarse_block(const Tables &t, const Plan &plan, Scratch &s, const float *const toa[kBlock], int used,
                  const int64_t *pixel, float *logit, Redo *redo, int64_t &redos) {
    start_block(t, toa, s.block);
    for (int h = 0; h < kHeads; h++) {
        project_head<kCoarseDegree>(t, t.coarse_curves, h, s.block, s.coarse_curves);
        for (int p = 0; p < used; p++) {
            const auto q = s.coarse_curves.q[p];
            merge_keys(q, s.coarse_curves.k[p], s.coarse_curves.v[p], t.bands, t.stages[1], plan.merge_variance, s.levels, s.merged);
            coarse::prepare(t, h, q, s.merged, s.queries[p][h], s.keys[p][h]);
            s.keys_seen += s.merged.count;
        }
    }
    for (int p = 0; p < used; p++) {
        redo[redos].pixel = pixel[p];
        logit[pixel[p]] = coarse_pixel(t, plan, s, p, redo[redos]);
        if (redo[redos].count) redos++;
    }
}

// The queries in `asked` over all keys of one pixel of the block; `plain`: in float whatever the instruction set.
void fine_attention(const Tables &t, Scratch &s, int p, int head, int queries, bool plain) {
    float *out = s.fine_mixed[p][head * kValueRank];
#ifdef SPECTF_VNNI
    if (!plain) {
        const float *scale = t.query_scale + head * kLogitRank;
        vnni::pack_queries<kLogitRank>(s.asked, queries, scale, s.packed_queries);
        vnni::pack_keys(s.fine_curves.k[p], s.fine_curves.v[p], nullptr, t.bands, scale, s.packed_keys);
        vnni::attention(s.packed_queries, 0, queries, s.packed_keys, out);
        return;
    }
#else
    (void)plain;
#endif
    attention<kLogitRank, kValueRank>(s.asked[0], queries, {t.bands, s.fine_curves.k[p], s.fine_curves.v[p], nullptr}, out);
}

void fine_block(const Tables &t, const Plan &plan, Scratch &s, const float *const toa[kBlock], const Redo *redo, int used, float *logit) {
    start_block(t, toa, s.block);
    for (int h = 0; h < kHeads; h++) {
        project_head<kDegree>(t, t.curves, h, s.block, s.fine_curves);
        for (int p = 0; p < used; p++) {
            const int count = redo[p].count, whole = (count + W - 1) / W * W;
            for (int r = 0; r < kLogitRank; r++)
                for (int i = 0; i < whole; i++) s.asked[r][i] = s.fine_curves.q[p][r][redo[p].band[i < count ? i : count - 1]];
            fine_attention(t, s, p, h, whole, std::fabs(logit[redo[p].pixel]) < plan.float_logit);
        }
    }
    for (int p = 0; p < used; p++) {
        alignas(64) float best[kDim];
        const int whole = (redo[p].count + W - 1) / W * W;
        fine_tail(t, s.fine_mixed[p][0], whole, s.fine_features[0]);
        logit[redo[p].pixel] = pool_more(t, s.fine_features[0], 0, whole, best);
        s.bands_redone += redo[p].count;
    }
    s.pixels_redone += used;
}

Scratch *make_scratch() {
    void *memory = std::aligned_alloc(64, (sizeof(Scratch) + 63) / 64 * 64);
    if (memory) std::memset(memory, 0, sizeof(Scratch));
    return static_cast<Scratch *>(memory);
}

// One number of the coarse attention's outputs, for tests.
[[maybe_unused]] float mixed_value(const Scratch &s, int row, int band) {
#ifdef SPECTF_VNNI
    const uint32_t both = s.mixed[row / 2][band];
    return (int16_t)(row & 1 ? both >> 16 : both) / vnni::kValueUnit;
#else
    return s.mixed[row][band];
#endif
}

}  // namespace

#include "stages.h"

// toa (n, bands) finite and inside the domain → logit (n). statistics: keys per head and pixel, share of bands
// that asked, share of pixels redone, bands redone per such pixel. Returns 0, or 1 where memory is short.
SPECTF_API int spectf_run(const Tables *t, const Plan *plan, const float *toa, int64_t n, float *logit, double *statistics) {
    Scratch *s = make_scratch();
    Redo *redo = static_cast<Redo *>(std::malloc(sizeof(Redo) * (n + kBlock)));
    if (!s || !redo) return std::free(s), std::free(redo), 1;
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
        fine_block(*t, *plan, *s, rows, redo + first, used, logit);
    }
    if (statistics && n) {
        statistics[0] = s->keys_seen / n / kHeads;
        statistics[1] = s->bands_asked / n / t->padded;
        statistics[2] = s->pixels_redone / n;
        statistics[3] = redos ? s->bands_redone / redos : 0;
    }
    std::free(s);
    std::free(redo);
    return 0;
}
