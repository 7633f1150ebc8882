/* The elementwise losses of the native executor: adding one is adding one entry to the list.
 *
 * ENTRY(name, loss: l from the prediction p and the target t, slope: d = dl/dp). Both may use the
 * parameters c0, c1, c2. The rules of formulas.h hold. Called by loss.pxi through the tables at
 * the end.
 */
#ifndef FASTNN_LOSSES_H
#define FASTNN_LOSSES_H

#include "formulas.h"

#define C(value) ((REAL)(value))

/* Probabilities are clipped to [1e-7, 1 - 1e-7]; beyond that the slope is 0. */
#define LOW C(1e-7)
#define HIGH (C(1) - LOW)
#define CLIP(p) ((p) < LOW ? LOW : (p) > HIGH ? HIGH : (p))

#define AT_LEAST(x, low) ((x) < (low) ? (low) : (x))
#define IN_UNIT(x) ((x) < LOW ? LOW : (x) > C(1) ? C(1) : (x))
#define SIGN(x) ((x) > C(0) ? C(1) : (x) < C(0) ? C(-1) : (x))

/* x^g of x above 0; what is below stands for rounding. */
#define POWER(x, g) ((x) <= C(0) ? ((g) == C(0) ? C(1) : C(0)) : EXP((g) * LOG(x)))

/* A label of 0 is taken as -1. */
#define LABEL(t) ((t) == C(0) ? C(-1) : (t))

#define BCE(q, t) (-(t) * LOG(q) - (C(1) - (t)) * LOG(C(1) - (q)))
#define LOG_DIFFERENCE (LOG(AT_LEAST(p, LOW) + C(1)) - LOG(AT_LEAST(t, LOW) + C(1)))
#define MISSED (C(1) - (t * p + (C(1) - t) * (C(1) - p)))

#define LOSSES(ENTRY)                                                                             \
    ENTRY(squared_error, l = (p - t) * (p - t), d = C(2) * (p - t))                               \
    ENTRY(absolute_error, l = ABSOLUTE(p - t),                                                    \
          const REAL e = p - t; d = e > C(0) ? C(1) : e < C(0) ? C(-1) : e)                       \
    ENTRY(binary_crossentropy,                                                                    \
          const REAL q = CLIP(p); l = BCE(q, t),                                                  \
          const REAL q = CLIP(p);                                                                 \
          const REAL inside = (q - t) / (q * (C(1) - q));                                         \
          d = p < LOW ? C(0) : p > HIGH ? C(0) : inside)                                          \
    ENTRY(binary_crossentropy_logits,                                                             \
          l = (p < C(0) ? C(0) : p) - p * t + LOG1P_EXP(-ABSOLUTE(p)), d = SIGMOID(p) - t)       \
    ENTRY(percentage_error, l = C(100) * ABSOLUTE((t - p) / AT_LEAST(ABSOLUTE(t), LOW)),          \
          d = C(100) * SIGN(p - t) / AT_LEAST(ABSOLUTE(t), LOW))                                  \
    ENTRY(squared_logarithmic_error, const REAL e = LOG_DIFFERENCE; l = e * e,                    \
          const REAL e = C(2) * LOG_DIFFERENCE / (p + C(1)); d = p < LOW ? C(0) : e)              \
    ENTRY(huber, /* c0: delta */                                                                  \
          const REAL e = ABSOLUTE(p - t);                                                         \
          l = e <= c0 ? C(0.5) * e * e : c0 * e - C(0.5) * c0 * c0,                               \
          const REAL e = p - t; d = ABSOLUTE(e) <= c0 ? e : c0 * SIGN(e))                         \
    ENTRY(log_cosh,                                                                               \
          const REAL e = ABSOLUTE(p - t);                                                         \
          l = e + LOG1P_EXP(C(-2) * e) - C(0.69314718055994531), d = TANH(p - t))                \
    ENTRY(binary_focal, /* c0: gamma; c1, c2: the weights of ones and zeros */                    \
          const REAL q = CLIP(p);                                                                 \
          l = (c1 * t + c2 * (C(1) - t)) * POWER(MISSED, c0) * BCE(q, t),                         \
          const REAL q = CLIP(p);                                                                 \
          const REAL slope = (q - t) / (q * (C(1) - q));                                          \
          const REAL direct = POWER(MISSED, c0) * (p < LOW ? C(0) : p > HIGH ? C(0) : slope);     \
          const REAL focus = c0 * POWER(MISSED, c0 - C(1)) * (C(1) - C(2) * t) * BCE(q, t);       \
          d = (c1 * t + c2 * (C(1) - t)) * (direct + focus))                                      \
    ENTRY(categorical_focal, /* c0: gamma, c1: alpha */                                           \
          const REAL q = CLIP(p); l = c1 * POWER(C(1) - q, c0) * (-t * LOG(q)),                   \
          const REAL q = CLIP(p);                                                                 \
          const REAL slope = c0 * POWER(C(1) - q, c0 - C(1)) * LOG(q) - POWER(C(1) - q, c0) / q;  \
          d = p < LOW ? C(0) : p > HIGH ? C(0) : c1 * t * slope)                                  \
    ENTRY(kl_divergence,                                                                          \
          const REAL u = IN_UNIT(t); l = u * LOG(u / IN_UNIT(p)),                                 \
          const REAL slope = -IN_UNIT(t) / p; d = p < LOW ? C(0) : p > C(1) ? C(0) : slope)       \
    ENTRY(poisson, l = p - t * LOG(p + LOW), d = C(1) - t / (p + LOW))                            \
    ENTRY(hinge,                                                                                  \
          const REAL margin = C(1) - LABEL(t) * p; l = margin < C(0) ? C(0) : margin,             \
          const REAL margin = C(1) - LABEL(t) * p;                                                \
          d = margin > C(0) ? -LABEL(t) : margin <= C(0) ? C(0) : margin)                         \
    ENTRY(squared_hinge,                                                                          \
          const REAL margin = C(1) - LABEL(t) * p; l = margin < C(0) ? C(0) : margin * margin,    \
          const REAL margin = C(1) - LABEL(t) * p;                                                \
          d = C(-2) * LABEL(t) * (margin < C(0) ? C(0) : margin))

#define ENTRY_NAME(name, ...) #name,
static const char *const loss_names[] = {LOSSES(ENTRY_NAME)};
#undef ENTRY_NAME
#define ENTRY_ID(name, ...) LOSS_##name,
enum { LOSSES(ENTRY_ID) LOSS_COUNT };
#undef ENTRY_ID

/* A loss's sum over n elements (in double), and dp = slope * factor or dp += slope * factor. */
#define LOSS_LOOPS(name, loss, ...)                                                               \
    FASTNN_NOINLINE double TYPED(name##_sum)(const REAL *ps, const REAL *ts, int64_t n,            \
                                              const double *c) {                                  \
        double sum = 0;                                                                           \
        LOSS_NUMBERS                                                                              \
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
                                             REAL factor, int add, const double *c) {             \
        LOSS_NUMBERS                                                                              \
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
/* A row of probabilities x / total: the sum of -t log, and that of the t of those not clipped. */
#define PROBABILITY_ROWS                                                                          \
    FASTNN_NOINLINE double TYPED(row_crossentropy)(const REAL *x, const REAL *t, REAL total,      \
                                                   int64_t n) {                                   \
        double sum = 0;                                                                           \
        FASTNN_PRAGMA(omp simd reduction(+ : sum))                                                \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const REAL q = x[i] / total;                                                          \
            sum -= (double)(t[i] * LOG(CLIP(q)));                                                 \
        }                                                                                         \
        return sum;                                                                               \
    }                                                                                             \
    FASTNN_NOINLINE REAL TYPED(row_unclipped)(const REAL *x, const REAL *t, REAL total,           \
                                              int64_t n) {                                        \
        REAL sum = 0;                                                                             \
        FASTNN_PRAGMA(omp simd reduction(+ : sum))                                                \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const REAL q = x[i] / total, target = t[i];                                           \
            sum += q < LOW ? C(0) : q > HIGH ? C(0) : target;                                     \
        }                                                                                         \
        return sum;                                                                               \
    }
#define LOSS_NUMBERS                                                                              \
    const REAL c0 = (REAL)c[0], c1 = (REAL)c[1], c2 = (REAL)c[2];                                 \
    (void)c0, (void)c1, (void)c2;
#define LOOP_N FASTNN_PRAGMA(omp simd) for (int64_t i = 0; i < n; i++)
#define SUM_ADDRESS(name, ...) TYPED(name##_sum),
#define SLOPE_ADDRESS(name, ...) TYPED(name##_slope),

#define REAL float
#define TYPED(name) name##_float
LOSSES(LOSS_LOOPS)
PROBABILITY_ROWS
static double (*const loss_sum_float[])(const float *p, const float *t, int64_t n,
                                                const double *c) = {
    LOSSES(SUM_ADDRESS)};
static void (*const loss_slope_float[])(float *dp, const float *p, const float *t, int64_t n,
                                        float factor, int add, const double *c) = {
    LOSSES(SLOPE_ADDRESS)};
#undef REAL
#undef TYPED

#define REAL double
#define TYPED(name) name##_double
LOSSES(LOSS_LOOPS)
PROBABILITY_ROWS
static double (*const loss_sum_double[])(const double *p, const double *t, int64_t n,
                                                 const double *c) = {
    LOSSES(SUM_ADDRESS)};
static void (*const loss_slope_double[])(double *dp, const double *p, const double *t, int64_t n,
                                         double factor, int add, const double *c) = {
    LOSSES(SLOPE_ADDRESS)};
#undef REAL
#undef TYPED
#undef C

#endif
