/* Elementary functions of one number, written so that a loop over them becomes vector code.
 *
 * No branch, no table, no call: only arithmetic, comparisons that choose, and the bits of a
 * float. A library's expf or tanhf would stop the vectoriser. formulas.h builds its loops on them.
 *
 * Largest error in units in the last place (ULP), float (all 2^32 values) and double:
 *     exp 1, expm1 2, log 1, log1p 2, sigmoid 3, tanh 4, erf 4
 * on targets with a fused multiply-add (without: exp 1.2, erf 4.1). NaN stays NaN, overflow is
 * infinity, and exp flushes results below the smallest normal number to zero. The errors depend on
 * the order of the operations: never compile with -fassociative-math.
 *
 * The schemes are classic: Cody and Waite's reduction by ln 2 in two parts, the series of
 * log((1 + s) / (1 - s)), rational functions for tanh and erf. All coefficients but those of ln 2
 * are our own minimax fits (Remez exchange in 40 digits, relative error on the interval named).
 */
#ifndef FASTNN_VMATH_H
#define FASTNN_VMATH_H

#include "vector.h"
#include <math.h>

FASTNN_INLINE uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

FASTNN_INLINE float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

FASTNN_INLINE uint64_t bits_of_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

FASTNN_INLINE double double_of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding 1.5 * 2^23 (2^52) to a small number rounds it to an integer, which then stands in the low
 * bits of the sum. AVX2 has no conversion between double and int64, so this serves both types. */
#define ROUND_FLOAT 12582912.0f
#define ROUND_DOUBLE 6755399441055744.0

/* ln 2 in two parts; the first has so few bits that its product with an exponent is exact. */
#define LN2_HIGH_FLOAT 0.693359375f
#define LN2_LOW_FLOAT -2.12194440e-4f
#define LN2_HIGH_DOUBLE 6.93147180369123816490e-01
#define LN2_LOW_DOUBLE 1.90821492927058770002e-10

/* exp(x) = 2^n exp(r), x = n ln 2 + r, |r| <= ln 2 / 2, exp(r) = 1 + r + r^2 P(r). This is P. */

FASTNN_INLINE float exp_tail_float(float r) {
    float p = 1.38143089e-3f;
    p = p * r + 8.36893090e-3f;
    p = p * r + 4.16684151e-2f;
    p = p * r + 1.66665196e-1f;
    return p * r + 4.99999940e-1f;
}

FASTNN_INLINE double exp_tail_double(double r) {
    double p = 2.4999747937852959366e-8;
    p = p * r + 2.7630668434260103978e-7;
    p = p * r + 2.7557589513233111853e-6;
    p = p * r + 2.4801492012772838560e-5;
    p = p * r + 1.9841269500696159737e-4;
    p = p * r + 1.3888888944577211927e-3;
    p = p * r + 8.3333333334982368164e-3;
    p = p * r + 4.1666666666527012341e-2;
    p = p * r + 1.6666666666666405078e-1;
    return p * r + 5.0000000000000109320e-1;
}

/* 1 + r + r^2 P. The first form takes one instruction less, and rounds twice as often where
 * multiplying and adding are two instructions: its error would be above 1 ULP. */
#if defined(__FP_FAST_FMAF)
#define EXP_SUM_FLOAT(p, r) (((p) * (r) + 1.0f) * (r) + 1.0f)
#else
#define EXP_SUM_FLOAT(p, r) (((p) * ((r) * (r)) + (r)) + 1.0f)
#endif

/* The exponent n is added to the bits of exp(r). x + infinity gives infinity above the range and
 * keeps a NaN. */

FASTNN_INLINE float exp_float(float x) {
    float shifted = x * 1.44269504f + ROUND_FLOAT;
    float n = shifted - ROUND_FLOAT;
    float r = x - n * LN2_HIGH_FLOAT - n * LN2_LOW_FLOAT;
    float y = EXP_SUM_FLOAT(exp_tail_float(r), r);
    y = float_of_bits(bits_of_float(y) + (bits_of_float(shifted) << 23));
    y = x < -87.33654f ? 0.0f : y;
    return x <= 88.722835f ? y : x + INFINITY;
}

FASTNN_INLINE double exp_double(double x) {
    double shifted = x * 1.4426950408889634 + ROUND_DOUBLE;
    double n = shifted - ROUND_DOUBLE;
    double r = x - n * LN2_HIGH_DOUBLE - n * LN2_LOW_DOUBLE;
    double y = (exp_tail_double(r) * r + 1.0) * r + 1.0;
    y = double_of_bits(bits_of_double(y) + (bits_of_double(shifted) << 52));
    y = x < -708.39641853226408 ? 0.0 : y;
    return x <= 709.78271289338397 ? y : x + (double)INFINITY;
}

/* exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), accurate also near 0. It is halved until the end, so
 * that 2^n does not overflow before the result does. Below -40 it is -1. */

FASTNN_INLINE float expm1_float(float x) {
    float near = x > 89.0f ? 89.0f : x < -40.0f ? -40.0f : x;
    float shifted = near * 1.44269504f + ROUND_FLOAT;
    float n = shifted - ROUND_FLOAT;
    float r = near - n * LN2_HIGH_FLOAT - n * LN2_LOW_FLOAT;
    float y = exp_tail_float(r) * (r * r) + r;
    float half = float_of_bits((bits_of_float(shifted) << 23) + 0x3f000000);
    return 2.0f * (half * y + (half - 0.5f));
}

FASTNN_INLINE double expm1_double(double x) {
    double near = x > 710.0 ? 710.0 : x < -40.0 ? -40.0 : x;
    double shifted = near * 1.4426950408889634 + ROUND_DOUBLE;
    double n = shifted - ROUND_DOUBLE;
    double r = near - n * LN2_HIGH_DOUBLE - n * LN2_LOW_DOUBLE;
    double y = exp_tail_double(r) * (r * r) + r;
    double half = double_of_bits((bits_of_double(shifted) << 52) + 0x3fe0000000000000);
    return 2.0 * (half * y + (half - 0.5));
}

/* log(x) = e ln 2 + log(1 + f), x = 2^e (1 + f). Denormals are scaled up first.
 *
 * float: f in [-1/3, 1/3], log(1 + f) = f + f^2 P(f). The sum e ln 2 + f is kept in two parts (its
 * rounding error is exact here), which is what brings the total error below 1 ULP. */

FASTNN_INLINE float log_float(float x) {
    const uint32_t two_thirds = 0x3f2aaaab;
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;
    float e_scale = x < 1.17549435e-38f ? -23.0f : 0.0f;
    uint32_t bits = bits_of_float(scaled) - two_thirds;
    float e = (float)((int32_t)bits >> 23) + e_scale;
    float f = float_of_bits((bits & 0x007fffff) + two_thirds) - 1.0f;
    float p = -1.26297355e-1f;
    p = p * f + 1.40074879e-1f;
    p = p * f - 1.22455731e-1f;
    p = p * f + 1.40004992e-1f;
    p = p * f - 1.66759506e-1f;
    p = p * f + 2.00108007e-1f;
    p = p * f - 2.49999031e-1f;
    p = p * f + 3.33332062e-1f;
    p = p * f - 5.0e-1f;
    float sum = e * LN2_HIGH_FLOAT + f;
    float rest = (e * LN2_HIGH_FLOAT - sum) + f;
    float y = sum + (p * (f * f) + (rest + e * LN2_LOW_FLOAT));
    y = x <= 3.40282347e+38f ? y : x;                       /* infinity, NaN */
    return x <= 0.0f ? (x < 0.0f ? NAN : -INFINITY) : y;
}

/* double: 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f), log(1 + f) = 2 s + s^3 L(s^2), summed as
 * f - (f^2 / 2 - s (f^2 / 2 + s^2 L)), since f is exact and s is not. */
FASTNN_INLINE double log_double(double x) {
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcd;
    const uint64_t one = 0x3ff0000000000000;
    const uint64_t two_to_52 = 0x4330000000000000;
    double scaled = x < 2.2250738585072014e-308 ? x * 4503599627370496.0 : x;
    double e_bias = x < 2.2250738585072014e-308 ? 1023.0 + 52.0 : 1023.0;
    uint64_t bits = bits_of_double(scaled) + (one - sqrt_half);
    double e = double_of_bits((bits >> 52) | two_to_52) - 4503599627370496.0 - e_bias;
    double f = double_of_bits((bits & 0x000fffffffffffff) + sqrt_half) - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double p = 1.4797507732890442537e-1;
    p = p * z + 1.5313903243316527396e-1;
    p = p * z + 1.8183569739996721695e-1;
    p = p * z + 2.2222198475980972822e-1;
    p = p * z + 2.8571428743262752350e-1;
    p = p * z + 3.9999999999411091898e-1;
    p = p * z + 6.6666666666667348956e-1;
    double half_square = 0.5 * f * f;
    double tail = s * (half_square + p * z) + e * LN2_LOW_DOUBLE;
    double y = e * LN2_HIGH_DOUBLE - ((half_square - tail) - f);
    y = x <= 1.7976931348623157e+308 ? y : x;               /* infinity, NaN */
    return x <= 0.0 ? (x < 0.0 ? (double)NAN : -(double)INFINITY) : y;
}

/* log1p(x) = log(u) + (what the rounding of u = 1 + x lost) / u. The correction is nothing beside
 * the logarithm of a large x, and would be NaN at x = -1 and infinity. */

FASTNN_INLINE float log1p_float(float x) {
    float u = 1.0f + x;
    float lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
    float correction = lost / u;
    return log_float(u) + (u > 0.0f && u < 1e12f ? correction : 0.0f);
}

FASTNN_INLINE double log1p_double(double x) {
    double u = 1.0 + x;
    double lost = x < 1.0 ? x - (u - 1.0) : 1.0 - (u - x);
    double correction = lost / u;
    return log_double(u) + (u > 0.0 && u < 1e24 ? correction : 0.0);
}

/* log(1 + exp(x)) for x <= 0. Beside saving work, nothing depends on conditions here: those of exp
 * and log1p together are too many for gcc to vectorise. */

FASTNN_INLINE float log1p_exp_float(float x) {
    float y = exp_float(x), u = 1.0f + y;
    return log_float(u) + (y - (u - 1.0f)) / u;
}

FASTNN_INLINE double log1p_exp_double(double x) {
    double y = exp_double(x), u = 1.0 + y;
    return log_double(u) + (y - (u - 1.0)) / u;
}

/* |a|^b = exp(b log |a|), float in double: a rounding of the product counts b log |a| times. A
 * negative a has powers where b is whole, with its sign where b is odd. 1^b and a^0 are always 1. */

FASTNN_INLINE double power_double(double a, double b) {
    double size = fabs(a);
    double exponent = b * log_double(size);
    double y = exp_double(size == 1.0 ? 0.0 : exponent);
    int whole = floor(b) == b;
    int odd = whole && floor(0.5 * b) != 0.5 * b;
    y = odd ? copysign(y, a) : y;
    y = a < 0.0 && !whole && size < (double)INFINITY ? (double)NAN : y;
    return b == 0.0 || a == 1.0 ? 1.0 : y;
}

FASTNN_INLINE float power_float(float a, float b) {
    return (float)power_double((double)a, (double)b);
}

/* exp(-x) may overflow to infinity and sigmoid is then 0, as it should be. */

FASTNN_INLINE float sigmoid_float(float x) { return 1.0f / (1.0f + exp_float(-x)); }

FASTNN_INLINE double sigmoid_double(double x) { return 1.0 / (1.0 + exp_double(-x)); }

/* float: tanh(x / 2) = a / (2 + 2 b), a = x + x^3 P(x^2), b = x^2 Q(x^2), and from that tanh(x) =
 * a (1 + b) / ((1 + b)^2 + a^2 / 4). Errors of a and b cancel where tanh is flat. From |x| = 8.3
 * on, 1 is within 2 ULP. */
FASTNN_INLINE float tanh_float(float x) {
    float u = x * x;
    float p = 1.15154816e-4f * u + 2.98149958e-2f;
    float q = (1.24827340e-6f * u + 1.21087627e-3f) * u + 1.13148302e-1f;
    float a = u * x * p + x;
    float b = u * q;
    float y = (a * b + a) / (((b + 2.0f) * b + 0.25f * a * a) + 1.0f);
    y = x > 8.3f ? 1.0f : y;
    return x < -8.3f ? -1.0f : y;
}

/* double: tanh(|x|) = -t / (t + 2), t = exp(-2 |x|) - 1. From |x| = 20 on this is exactly 1. */
FASTNN_INLINE double tanh_double(double x) {
    double size = fabs(x);
    double t = expm1_double(-2.0 * (size > 20.0 ? 20.0 : size));
    return copysign(t / (t + 2.0), x);
}

/* float: as tanh_float, with erf(x) / (1 + sqrt(1 - erf(x)^2)) = a / (2 + 2 b), a = x + x P(x^2).
 * From |x| = 3.75 on, 1 is within 2 ULP. */
FASTNN_INLINE float erf_float(float x) {
    float u = x * x;
    float p = -7.35040365e-6f;
    p = p * u + 6.78861336e-4f;
    p = p * u + 2.02339788e-2f;
    p = p * u + 1.65210029e-1f;
    p = p * u + 1.28379139e-1f;
    float q = (2.36975929e-3f * u + 3.60231184e-2f) * u + 1.61437039e-1f;
    float a = x * p + x;
    float b = u * q;
    float y = (a * b + a) / (((b + 2.0f) * b + 0.25f * a * a) + 1.0f);
    y = x > 3.75f ? 1.0f : y;
    return x < -3.75f ? -1.0f : y;
}

/* double: erf(x) = x P(x^2) for |x| <= 1, else 1 - exp(-x^2) A(|x|) / B(|x|), where the fraction
 * stands for exp(x^2) erfc(x) on [1, 5.95] (absolute error of erf). Both are computed, one is
 * chosen. */
FASTNN_INLINE double erf_double(double x) {
    double u = x * x;
    double p = -7.7794630360566617453e-10;
    p = p * u + 1.3710977323559319494e-8;
    p = p * u - 1.6206313005563935969e-7;
    p = p * u + 1.6447131466274601932e-6;
    p = p * u - 1.4924712292822954103e-5;
    p = p * u + 1.2055293576377020728e-4;
    p = p * u - 8.5483259292949472550e-4;
    p = p * u + 5.2239776061180056258e-3;
    p = p * u - 2.6866170643111398897e-2;
    p = p * u + 1.1283791670944184169e-1;
    p = p * u - 3.7612638903183519519e-1;
    p = p * u + 1.1283791670955125657e+0;
    double t = fabs(x);
    t = t > 6.0 ? 6.0 : t;
    double a = 8.9307244251606783878e-3;
    a = a * t + 8.4351714453352319485e-2;
    a = a * t + 3.7360836645024999142e-1;
    a = a * t + 9.4953634553617731116e-1;
    a = a * t + 1.3905902560228255633e+0;
    a = a * t + 9.9999988698678553478e-1;
    double b = 1.5829419358414917194e-2;
    b = b * t + 1.4950561594080370575e-1;
    b = b * t + 6.7017775277669519289e-1;
    b = b * t + 1.7571883434360470528e+0;
    b = b * t + 2.7918936027441271392e+0;
    b = b * t + 2.5189682325481232790e+0;
    b = b * t + 1.0;
    double tail = copysign(1.0 - exp_double(-t * t) * a / b, x);
    return t < 1.0 ? x * p : tail;
}

#endif
