// The stages one by one, for tests: each takes one pixel (or its intermediate results) and returns what the next
// stage would see. Arrays are [rows][kMaxBands]; queries are in the order in which bands ask.
#pragma once

#define SPECTF_API extern "C" __attribute__((visibility("default")))

// toa (bands) → q, k [6][kMaxBands], v [8][kMaxBands] of one head.
SPECTF_API int spectf_curves(const Tables *t, const float *toa, int head, float *q, float *k, float *v) {
    Scratch *s = make_scratch();
    if (!s) return 1;
    const float *rows[kBlock];
    for (int p = 0; p < kBlock; p++) rows[p] = toa;
    start_block(*t, rows, s->block);
    project_head<kDegree>(*t, t->curves, head, s->block, s->fine_curves);
    std::memcpy(q, s->fine_curves.q[0], sizeof s->fine_curves.q[0]);
    std::memcpy(k, s->fine_curves.k[0], sizeof s->fine_curves.k[0]);
    std::memcpy(v, s->fine_curves.v[0], sizeof s->fine_curves.v[0]);
    std::free(s);
    return 0;
}

// q [4], k [4], v [6] → merged k, v, bias [1]; returns how many keys are left, or −1.
SPECTF_API int spectf_merge(const Tables *t, const float *q, const float *k, const float *v, float merge_variance, float *merged_k,
                            float *merged_v, float *bias) {
    Scratch *s = make_scratch();
    if (!s) return -1;
    using Rows = const float(*)[kMaxBands];
    std::memcpy(s->coarse_curves.q[0], q, sizeof s->coarse_curves.q[0]);
    std::memcpy(s->coarse_curves.k[0], k, sizeof s->coarse_curves.k[0]);
    std::memcpy(s->coarse_curves.v[0], v, sizeof s->coarse_curves.v[0]);
    merge_keys((Rows)s->coarse_curves.q[0], (Rows)s->coarse_curves.k[0], (Rows)s->coarse_curves.v[0], t->bands, t->padded,
               merge_variance, s->levels, s->merged);
    std::memcpy(merged_k, s->merged.k, sizeof s->merged.k);
    std::memcpy(merged_v, s->merged.v, sizeof s->merged.v);
    std::memcpy(bias, s->merged.bias, sizeof s->merged.bias);
    const int count = s->merged.count;
    std::free(s);
    return count;
}

// q, k [6], v [8] of one head → fine attention outputs [8], and coarse ones [6] of the first 4 and 6 directions.
SPECTF_API int spectf_attention(const Tables *t, int head, const float *q, const float *k, const float *v, float *fine, float *coarse_out) {
    Scratch *s = make_scratch();
    if (!s) return 1;
    std::memcpy(s->asked, q, sizeof s->asked);
    std::memcpy(s->fine_curves.k[0], k, sizeof s->fine_curves.k[0]);
    std::memcpy(s->fine_curves.v[0], v, sizeof s->fine_curves.v[0]);
    fine_attention(*t, *s, 0, head, t->padded, false);
    std::memcpy(fine, s->fine_mixed[0][head * kValueRank], sizeof(float) * kValueRank * kMaxBands);
    std::memcpy(s->merged.k, k, sizeof s->merged.k);
    std::memcpy(s->merged.v, v, sizeof s->merged.v);
    std::memset(s->merged.bias, 0, sizeof s->merged.bias);
    s->merged.count = t->bands;
    coarse::prepare(*t, head, s->asked, s->merged, s->queries[0][0], s->keys[0][0]);
    coarse::attention(s->queries[0][0], 0, t->padded, s->keys[0][0], s->mixed[0]);
    for (int r = 0; r < kCoarseValue; r++)
        for (int b = 0; b < t->padded; b++) coarse_out[r * kMaxBands + b] = mixed_value(*s, r, b);
    std::free(s);
    return 0;
}

// Attention outputs [64] → features [64]; count is a multiple of the vector length.
SPECTF_API int spectf_tail(const Tables *t, const float *mixed, int count, float *features) {
    Scratch *s = make_scratch();
    if (!s) return 1;
    std::memcpy(s->fine_mixed[0], mixed, sizeof s->fine_mixed[0]);
    fine_tail(*t, s->fine_mixed[0][0], count, s->fine_features[0]);
    std::memcpy(features, s->fine_features, sizeof s->fine_features);
    std::free(s);
    return 0;
}
