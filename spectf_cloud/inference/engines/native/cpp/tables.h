// What Python hands to the kernel. Mirrors `_Tables` and `_Plan` in kernel.py, field by field.
#pragma once
#include <cstdint>

constexpr int kHeads = 8, kDim = 64;
constexpr int kDegree = 10, kCoarseDegree = 7;  // of the curves
// Scratch arrays are for 512 bands; 16 more keep rows off each other's cache sets.
constexpr int kMaxBands = 528;
constexpr int kLogitRank = 6, kValueRank = 8;   // fine pass
constexpr int kCoarseLogit = 4, kCoarseValue = 6;
constexpr int kCoarseTail = 32;
constexpr int kCoarseIn = kHeads * kCoarseValue, kFineIn = kHeads * kValueRank;
constexpr int kBlock = 8;  // pixels that share one pass over the curve tables

constexpr int kStages = 6;

struct Tables {
    int32_t bands, padded;
    const int32_t *order;         // [padded]: which band asks when
    const int32_t *stages;        // [kStages]: how many have asked when the coarse pass may stop
    const float *curves;          // [head][column][degree + 1][padded], the queries' in the order of `order`
    const float *coarse_curves;   // the same of the coarse pass
    const float *variance, *query_variance;  // [degree + 1][padded]
    const float *query_constant;  // [head][kLogitRank]
    const float *query_scale;     // [head][kLogitRank], to int16; keys take 2^23 / scale
    const float *key_centre;      // [head][kLogitRank]
    const float *value_centre;    // [head][kValueRank]
    const float *root, *hidden;                // [64][65], [64][65]
    const float *coarse_project, *coarse_hidden;  // [kCoarseTail][49], [64][kCoarseTail]
    const float *hidden_bias;                  // [64]
    const float *mixing;                       // [64][64]
    const float *difference;                   // [64]
    const int32_t *fixed_project, *fixed_project_constant;  // pairs [kCoarseTail][24], [kCoarseTail]; see fixed_point.py
    const int32_t *fixed_hidden, *fixed_mixing;             // pairs [64][kCoarseTail / 2], [64][32]
    const float *fixed_difference;                          // [64]
    float offset, coarse_rest, layer_norm_eps, fixed_square_scale, fixed_hidden_scale, fixed_active_unit;
};

struct Plan {
    float merge_variance;  // keys are merged while their logits' variance (log2 units) is below this
    float redo_logit;      // |coarse logit| below this: the pixel goes through the fine pass
    float margin;          // change of p (times 4) a band may lack to the best one and still be in the fine pass
    float float_logit;  // |coarse logit| below this: the fine pass computes in float whatever the instruction set
    float enough_logit[kStages - 1];  // |coarse logit| beyond which the bands of a stage are enough
    int32_t all_fine;  // every band of every pixel through the fine pass, in float
};
