/* The formulas of the native executor: activations, functions of one and of two numbers.
 *
 * Adding one is adding one entry to a list below; loops, tables, ids and names follow from it. The
 * epilogue of linear.pxi and the kernels of elementwise.pxi call the tables.
 *
 * A formula is written once for float and double, as a statement over single numbers: C(0.5) is a
 * constant, P(0) the first parameter of an activation, REAL the type, and EXP, TANH ... choose the function of vmath.h by the type of their
 * argument. NaN must stay alive: write `x < 0 ? 0 : x`, never `x > 0 ? x : 0`.
 */
#ifndef FASTNN_FORMULAS_H
#define FASTNN_FORMULAS_H

#include "vmath.h"

#define C(value) ((REAL)(value))
#define P(number) parameter_##number
#define CHOOSE(function, x) _Generic((x), float: function##_float, double: function##_double)(x)
#define EXP(x) CHOOSE(exp, x)
#define EXPM1(x) CHOOSE(expm1, x)
#define LOG(x) CHOOSE(log, x)
#define LOG1P(x) CHOOSE(log1p, x)
#define LOG1P_EXP(x) CHOOSE(log1p_exp, x)
#define TANH(x) CHOOSE(tanh, x)
#define SIGMOID(x) CHOOSE(sigmoid, x)
#define ERF(x) CHOOSE(erf, x)
#define SIN(x) _Generic((x), float: sinf, double: sin)(x)   /* the library's: exact far from 0 */
#define COS(x) _Generic((x), float: cosf, double: cos)(x)
#define FLOOR(x) _Generic((x), float: floorf, double: floor)(x)
#define ROUND(x) _Generic((x), float: rintf, double: rint)(x)
#define POW(a, b) _Generic((a), float: power_float, double: power_double)(a, b)
#define SQRT(x) _Generic((x), float: sqrtf, double: sqrt)(x)
#define ABSOLUTE(x) _Generic((x), float: fabsf, double: fabs)(x)

/* ENTRY(name, saved tensor: y or x, forward: y from x, backward: dx from dy and the saved one) */
#define ACTIVATIONS(ENTRY)                                                                        \
    ENTRY(linear, y, y = x, dx = dy)                                                              \
    ENTRY(step, y, y = x >= C(0) ? C(1) : x < C(0) ? C(0) : x, dx = C(0))                         \
    ENTRY(relu, y, y = x < C(0) ? C(0) : x, dx = y <= C(0) ? C(0) : dy)                           \
    ENTRY(leaky_relu, y, y = x < C(0) ? P(0) * x : x, dx = y <= C(0) ? P(0) * dy : dy)            \
    ENTRY(relu6, y, y = x < C(0) ? C(0) : x > C(6) ? C(6) : x,                                    \
          dx = y <= C(0) ? C(0) : y >= C(6) ? C(0) : dy)                                          \
    ENTRY(relu_general, x, /* P: slope below the threshold, largest y, threshold */               \
          y = x > P(2) ? (x < P(1) ? x : P(1)) : x != x ? x                                       \
              : P(0) == C(0) ? C(0) : P(0) * (x - P(2)),                                          \
          dx = x > P(2) ? (x < P(1) ? dy : C(0)) : P(0) == C(0) ? C(0) : P(0) * dy)               \
    ENTRY(elu, y, y = x > C(0) ? x : P(0) * EXPM1(x), dx = y > C(0) ? dy : dy * (y + P(0)))       \
    ENTRY(selu, y, y = x > C(0) ? C(SELU_SCALE) * x : C(SELU_SCALE * SELU_ALPHA) * EXPM1(x),      \
          dx = dy * (y > C(0) ? C(SELU_SCALE) : y + C(SELU_SCALE * SELU_ALPHA)))                  \
    ENTRY(sigmoid, y, y = SIGMOID(x), dx = dy * y * (C(1) - y))                                   \
    ENTRY(hard_sigmoid, y, y = x < C(-3) ? C(0) : x > C(3) ? C(1) : (x + C(3)) / C(6),            \
          dx = y <= C(0) ? C(0) : y >= C(1) ? C(0) : dy / C(6))                                   \
    ENTRY(log_sigmoid, y, y = (x < C(0) ? x : C(0)) - LOG1P_EXP(-ABSOLUTE(x)),                    \
          dx = dy * -EXPM1(y))                                                                    \
    ENTRY(tanh, y, y = TANH(x), dx = dy * (C(1) - y * y))                                         \
    ENTRY(hard_tanh, y, y = x < C(-1) ? C(-1) : x > C(1) ? C(1) : x,                              \
          dx = y <= C(-1) ? C(0) : y >= C(1) ? C(0) : dy)                                         \
    ENTRY(exponential, y, y = EXP(x), dx = dy * y)                                                \
    ENTRY(softplus, y, y = (x > C(0) ? x : C(0)) + LOG1P_EXP(-ABSOLUTE(x)),                       \
          dx = dy * -EXPM1(-y))                                                                   \
    ENTRY(softsign, y, y = x / (C(1) + ABSOLUTE(x)),                                              \
          REAL rest = C(1) - ABSOLUTE(y); dx = dy * rest * rest)                                  \
    ENTRY(silu, x, y = x * SIGMOID(x),                                                            \
          REAL gate = SIGMOID(x); dx = dy * (gate + x * gate * (C(1) - gate)))                    \
    ENTRY(mish, x, REAL t = x > C(20) ? C(20) : x; REAL e = EXP(t); REAL n = e * (e + C(2));      \
          y = x * (n / (n + C(2))),                                                               \
          REAL t = x > C(20) ? C(20) : x; REAL e = EXP(t); REAL n = e * (e + C(2));               \
          dx = dy * (n + t * (C(4) * e * (e + C(1)) / (n + C(2)))) / (n + C(2)))                  \
    ENTRY(gelu, x, y = x * GAUSS(x), dx = dy * (GAUSS(x) + x * GAUSS_DENSITY(x)))                 \
    ENTRY(gelu_tanh, x, y = x * SIGMOID(GELU_INNER(x)),                                           \
          /* beyond 12 the slope is 0 or 1, and x * x could overflow */                           \
          REAL t = x > C(12) ? C(12) : x < C(-12) ? C(-12) : x;                                   \
          REAL gate = SIGMOID(GELU_INNER(t));                                                     \
          dx = dy * (gate + t * gate * (C(1) - gate) * GELU_INNER_SLOPE(t)))

/* Phi(x) = (1 + erf(x / sqrt(2))) / 2 and its derivative exp(-x^2 / 2) / sqrt(2 pi) */
#define GAUSS(x) (C(0.5) + C(0.5) * ERF(x * C(0.70710678118654752)))
#define GAUSS_DENSITY(x) (C(0.39894228040143268) * EXP(C(-0.5) * x * x))
/* Klambauer et al. 2017: with these the layers of a deep network keep mean 0 and variance 1. */
#define SELU_ALPHA 1.6732632423543772848170429916717
#define SELU_SCALE 1.0507009873554804934193349852946
/* tanh(softplus(x)) = n / (n + 2), n = e^x (e^x + 2); from x = 20 on this is 1 (mish) */
/* (1 + tanh(v)) / 2 = sigmoid(2 v), here 2 v = 2 sqrt(2 / pi) (x + 0.044715 x^3) */
#define GELU_INNER(x) (x * (C(1.5957691216057308) + C(0.071354816272600247) * x * x))
#define GELU_INNER_SLOPE(x) (C(1.5957691216057308) + C(0.21406444881780074) * x * x)

/* ENTRY(name, y from x) */
#define UNARY_FUNCTIONS(ENTRY)                                                                    \
    ENTRY(exp, y = EXP(x))                                                                        \
    ENTRY(expm1, y = EXPM1(x))                                                                    \
    ENTRY(log, y = LOG(x))                                                                        \
    ENTRY(log1p, y = LOG1P(x))                                                                    \
    ENTRY(erf, y = ERF(x))                                                                        \
    ENTRY(sin, y = SIN(x))                                                                        \
    ENTRY(cos, y = COS(x))                                                                        \
    ENTRY(floor, y = FLOOR(x))                                                                    \
    ENTRY(round, y = ROUND(x))                                                                    \
    ENTRY(sqrt, y = SQRT(x))                                                                      \
    ENTRY(square, y = x * x)                                                                      \
    ENTRY(absolute, y = ABSOLUTE(x))                                                              \
    ENTRY(negative, y = -x)                                                                       \
    ENTRY(sign, y = x > C(0) ? C(1) : x < C(0) ? C(-1) : x)                                       \
    ENTRY(reciprocal, y = C(1) / x)

/* ENTRY(name, y from a and b). A NaN wins in maximum and minimum. */
#define BINARY_FUNCTIONS(ENTRY)                                                                   \
    ENTRY(add, y = a + b)                                                                         \
    ENTRY(subtract, y = a - b)                                                                    \
    ENTRY(multiply, y = a * b)                                                                    \
    ENTRY(divide, y = a / b)                                                                      \
    ENTRY(maximum, y = a != a ? a : a > b ? a : b)                                                \
    ENTRY(minimum, y = a != a ? a : a < b ? a : b)                                                \
    ENTRY(greater, y = a > b ? C(1) : C(0))                                                       \
    ENTRY(less, y = a < b ? C(1) : C(0))                                                          \
    ENTRY(equal, y = a == b ? C(1) : C(0))                                                        \
    ENTRY(not_equal, y = a != b ? C(1) : C(0))                                                    \
    ENTRY(greater_equal, y = a >= b ? C(1) : C(0))                                                \
    ENTRY(less_equal, y = a <= b ? C(1) : C(0))                                                   \
    ENTRY(power, y = POW(a, b))

/* What follows is generated from the lists: ids ACT_<name>, UNARY_<name>, BINARY_<name>, */

#define ENTRY_ID(name, ...) ACT_##name,
enum activation_id { ACTIVATIONS(ENTRY_ID) ACT_COUNT };
#undef ENTRY_ID
#define ENTRY_ID(name, ...) UNARY_##name,
enum unary_id { UNARY_FUNCTIONS(ENTRY_ID) UNARY_COUNT };
#undef ENTRY_ID
#define ENTRY_ID(name, ...) BINARY_##name,
enum binary_id { BINARY_FUNCTIONS(ENTRY_ID) BINARY_COUNT };
#undef ENTRY_ID

/* names, */

#define ENTRY_NAME(name, ...) #name,
static const char *const activation_names[] = {ACTIVATIONS(ENTRY_NAME)};
static const char *const unary_names[] = {UNARY_FUNCTIONS(ENTRY_NAME)};
static const char *const binary_names[] = {BINARY_FUNCTIONS(ENTRY_NAME)};
#undef ENTRY_NAME

/* and a loop per formula and type, each its own function, so that the vectoriser sees it alone.
 * `omp simd` says that the output may be an input (the same address or none in common). What is
 * left after the last whole vector becomes one vector with a mask, not up to 15 single numbers. */

#define LOOP(...)                                                                                 \
    {                                                                                             \
        const int64_t whole = count & -(int64_t)LANES;                                            \
        const INDEX rest = (INDEX)(count - whole);                                                \
        FASTNN_PRAGMA(omp simd)                                                                   \
        for (int64_t i = 0; i < whole; i++) {                                                     \
            __VA_ARGS__                                                                           \
        }                                                                                         \
        FASTNN_PRAGMA(omp simd)                                                                   \
        for (INDEX lane = 0; lane < LANES; lane++) {                                              \
            if (lane < rest) {                                                                    \
                const int64_t i = whole + lane;                                                   \
                __VA_ARGS__                                                                       \
            }                                                                                     \
        }                                                                                         \
    }

#define FORWARD(formula) const REAL x = in[i]; REAL y; formula; out[i] = y;
#define BACKWARD(saved, assign, ...)                                                              \
    const REAL dy = in[i], saved = kept[i]; REAL dx; (void)dy, (void)saved; __VA_ARGS__;          \
    out[i] assign dx;

/* c holds three parameters, whether an activation has so many or not. */
#define PARAMETERS                                                                                \
    const REAL parameter_0 = (REAL)c[0], parameter_1 = (REAL)c[1], parameter_2 = (REAL)c[2];      \
    (void)parameter_0, (void)parameter_1, (void)parameter_2;

#define ACTIVATION_LOOPS(name, saved, forward, ...)                                               \
    FASTNN_NOINLINE void TYPED(name##_forward)(REAL *out, const REAL *in, int64_t count,          \
                                               const double *c) {                                 \
        PARAMETERS                                                                                \
        LOOP(FORWARD(forward))                                                                    \
    }                                                                                             \
    FASTNN_NOINLINE void TYPED(name##_backward)(REAL *out, const REAL *in, const REAL *kept,      \
                                                int64_t count, const double *c, int add) {        \
        PARAMETERS                                                                                \
        if (add)                                                                                  \
            LOOP(BACKWARD(saved, +=, __VA_ARGS__))                                                \
        else                                                                                      \
            LOOP(BACKWARD(saved, =, __VA_ARGS__))                                                 \
    }

#define UNARY_LOOP(name, forward)                                                                 \
    FASTNN_NOINLINE void TYPED(name)(REAL *out, const REAL *in, int64_t count) {                  \
        LOOP(FORWARD(forward))                                                                    \
    }

/* Strides in elements; the inner strides that occur in practice have loops of their own. */
#define BINARY(value_a, value_b, formula)                                                         \
    const REAL a = value_a, b = value_b; REAL y; formula; out[i] = y;

#define BINARY_LOOPS(name, forward)                                                               \
    FASTNN_NOINLINE void TYPED(name)(REAL *out, const REAL *left, const REAL *right,              \
                                     int64_t count, int64_t left_stride, int64_t right_stride) {  \
        if (left_stride == 1 && right_stride == 1) {                                              \
            LOOP(BINARY(left[i], right[i], forward))                                              \
        } else if (left_stride == 1 && right_stride == 0) {                                       \
            const REAL fixed = right[0];                                                          \
            LOOP(BINARY(left[i], fixed, forward))                                                 \
        } else if (left_stride == 0 && right_stride == 1) {                                       \
            const REAL fixed = left[0];                                                           \
            LOOP(BINARY(fixed, right[i], forward))                                                \
        } else {                                                                                  \
            for (int64_t i = 0; i < count; i++) {                                                 \
                BINARY(left[i * left_stride], right[i * right_stride], forward)                   \
            }                                                                                     \
        }                                                                                         \
    }

#define FORWARD_ADDRESS(name, ...) TYPED(name##_forward),
#define BACKWARD_ADDRESS(name, ...) TYPED(name##_backward),
#define ADDRESS(name, ...) TYPED(name),

#define REAL float
#define INDEX int32_t
#define LANES (FASTNN_VECTOR_BYTES / (int)sizeof(REAL))
#define TYPED(name) name##_loop_float
ACTIVATIONS(ACTIVATION_LOOPS)
UNARY_FUNCTIONS(UNARY_LOOP)
BINARY_FUNCTIONS(BINARY_LOOPS)
static void (*const activation_forward_float[])(float *y, const float *x, int64_t n,
                                                const double *c) = {
    ACTIVATIONS(FORWARD_ADDRESS)};
static void (*const activation_backward_float[])(float *dx, const float *dy, const float *s,
                                                 int64_t n, const double *c, int add) = {
    ACTIVATIONS(BACKWARD_ADDRESS)};
static void (*const unary_float[])(float *y, const float *x, int64_t n) = {
    UNARY_FUNCTIONS(ADDRESS)};
static void (*const binary_float[])(float *y, const float *a, const float *b, int64_t n,
                                    int64_t a_stride, int64_t b_stride) = {
    BINARY_FUNCTIONS(ADDRESS)};
#undef REAL
#undef INDEX
#undef LANES
#undef TYPED

#define REAL double
#define INDEX int64_t
#define LANES (FASTNN_VECTOR_BYTES / (int)sizeof(REAL))
#define TYPED(name) name##_loop_double
ACTIVATIONS(ACTIVATION_LOOPS)
UNARY_FUNCTIONS(UNARY_LOOP)
BINARY_FUNCTIONS(BINARY_LOOPS)
static void (*const activation_forward_double[])(double *y, const double *x, int64_t n,
                                                 const double *c) = {
    ACTIVATIONS(FORWARD_ADDRESS)};
static void (*const activation_backward_double[])(double *dx, const double *dy, const double *s,
                                                  int64_t n, const double *c, int add) = {
    ACTIVATIONS(BACKWARD_ADDRESS)};
static void (*const unary_double[])(double *y, const double *x, int64_t n) = {
    UNARY_FUNCTIONS(ADDRESS)};
static void (*const binary_double[])(double *y, const double *a, const double *b, int64_t n,
                                     int64_t a_stride, int64_t b_stride) = {
    BINARY_FUNCTIONS(ADDRESS)};
#undef REAL
#undef INDEX
#undef LANES
#undef TYPED

#undef C
#undef P

#endif
