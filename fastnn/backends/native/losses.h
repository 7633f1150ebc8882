/* The elementwise losses of the native executor: adding one is adding one entry to the list.
 *
 * ENTRY(name, loss: l from the prediction p and the target t, slope: d = dl/dp). The rules of
 * formulas.h hold. Called by loss.pxi through the tables at the end.
 */
#ifndef FASTNN_LOSSES_H
#define FASTNN_LOSSES_H

#include "formulas.h"

#define C(value) ((REAL)(value))
#define LOG1P(x) CHOOSE(log1p, x)

/* Probabilities are clipped to [1e-7, 1 - 1e-7]; beyond that the slope is 0. */
#define LOW C(1e-7)
#define HIGH (C(1) - LOW)
#define CLIP(p) ((p) < LOW ? LOW : (p) > HIGH ? HIGH : (p))

#define LOSSES(ENTRY)                                                                             \
    ENTRY(squared_error, l = (p - t) * (p - t), d = C(2) * (p - t))                               \
    ENTRY(absolute_error, l = ABSOLUTE(p - t),                                                    \
          const REAL e = p - t; d = e > C(0) ? C(1) : e < C(0) ? C(-1) : e)                       \
    ENTRY(binary_crossentropy,                                                                    \
          const REAL q = CLIP(p); l = -t * LOG(q) - (C(1) - t) * LOG(C(1) - q),                   \
          const REAL q = CLIP(p);                                                                 \
          const REAL inside = (q - t) / (q * (C(1) - q));                                         \
          d = p < LOW ? C(0) : p > HIGH ? C(0) : inside)                                          \
    ENTRY(binary_crossentropy_logits,                                                             \
          l = (p < C(0) ? C(0) : p) - p * t + LOG1P(EXP(-ABSOLUTE(p))), d = SIGMOID(p) - t)

#define ENTRY_NAME(name, ...) #name,
static const char *const loss_names[] = {LOSSES(ENTRY_NAME)};
enum { LOSS_COUNT = sizeof loss_names / sizeof *loss_names };
#undef ENTRY_NAME

/* A loss's sum over n elements (in double), and dp = slope * factor or dp += slope * factor. */
#define LOSS_LOOPS(name, loss, ...)                                                               \
    FASTNN_NOINLINE double TYPED(name##_sum)(const REAL *ps, const REAL *ts, int64_t n) {         \
        double sum = 0;                                                                           \
        if (n < 16) {                                                                             \
            for (int64_t i = 0; i < n; i++) {                                                     \
                const REAL p = ps[i], t = ts[i];                                                  \
                REAL l;                                                                           \
                loss;                                                                             \
                sum += (double)l;                                                                 \
            }                                                                                     \
            return sum;                                                                           \
        }                                                                                         \
        FASTNN_PRAGMA(omp simd reduction(+ : sum))                                                \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const REAL p = ps[i], t = ts[i];                                                      \
            REAL l;                                                                               \
            loss;                                                                                 \
            sum += (double)l;                                                                     \
        }                                                                                         \
        return sum;                                                                               \
    }                                                                                             \
    FASTNN_NOINLINE void TYPED(name##_slope)(REAL *dp, const REAL *ps, const REAL *ts, int64_t n, \
                                             REAL factor, int add) {                              \
        if (add) {                                                                                \
            LOOP_N {                                                                              \
                const REAL p = ps[i], t = ts[i];                                                  \
                REAL d;                                                                           \
                __VA_ARGS__;                                                                      \
                dp[i] += d * factor;                                                              \
            }                                                                                     \
        } else {                                                                                  \
            LOOP_N {                                                                              \
                const REAL p = ps[i], t = ts[i];                                                  \
                REAL d;                                                                           \
                __VA_ARGS__;                                                                      \
                dp[i] = d * factor;                                                               \
            }                                                                                     \
        }                                                                                         \
    }
#define LOOP_N FASTNN_PRAGMA(omp simd) for (int64_t i = 0; i < n; i++)
#define SUM_ADDRESS(name, ...) TYPED(name##_sum),
#define SLOPE_ADDRESS(name, ...) TYPED(name##_slope),

#define REAL float
#define TYPED(name) name##_float
LOSSES(LOSS_LOOPS)
static double (*const loss_sum_float[])(const float *p, const float *t, int64_t n) = {
    LOSSES(SUM_ADDRESS)};
static void (*const loss_slope_float[])(float *dp, const float *p, const float *t, int64_t n,
                                        float factor, int add) = {LOSSES(SLOPE_ADDRESS)};
#undef REAL
#undef TYPED

#define REAL double
#define TYPED(name) name##_double
LOSSES(LOSS_LOOPS)
static double (*const loss_sum_double[])(const double *p, const double *t, int64_t n) = {
    LOSSES(SUM_ADDRESS)};
static void (*const loss_slope_double[])(double *dp, const double *p, const double *t, int64_t n,
                                         double factor, int add) = {LOSSES(SLOPE_ADDRESS)};
#undef REAL
#undef TYPED
#undef C

#endif
