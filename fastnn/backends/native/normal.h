/* Normal numbers from uniform draws, 16 pairs side by side; the definition is in ops/random.py.
 *
 * Box and Muller (1958) in double for both float types: near u = 1 the logarithm of a float would
 * have lost the digits that the radius needs. Called by random.pxi.
 */
#ifndef FASTNN_NORMAL_H
#define FASTNN_NORMAL_H

#include "philox.h"
#include "vmath.h"

/* first, second = sqrt(-2 log u) (cos 2 pi v, sin 2 pi v), u and v as fractions of 2^32. */
FASTNN_NOINLINE void normal_pairs(double *first, double *second, const uint32_t *u,
                                  const uint32_t *v) {
    FASTNN_PRAGMA(omp simd)
    for (int i = 0; i < PHILOX_LANES; i++) {
        const double radius = sqrt(-2.0 * log_double(((double)u[i] + 0.5) * 0x1p-32));
        /* The angle is a number of quarter turns and at most an eighth of a turn beside it. */
        const uint32_t quarter = (v[i] + 0x20000000u) >> 30;
        const double t = (double)(int32_t)(v[i] - (quarter << 30)) * (6.283185307179586477 * 0x1p-32);
        const double s = t * t;
        double sine = -7.6471637318198164759e-13;       /* Taylor's series, to t^15 and t^16 */
        sine = sine * s + 1.6059043836821614599e-10;
        sine = sine * s - 2.5052108385441718775e-8;
        sine = sine * s + 2.7557319223985890653e-6;
        sine = sine * s - 1.9841269841269841270e-4;
        sine = sine * s + 8.3333333333333333333e-3;
        sine = sine * s - 1.6666666666666666667e-1;
        sine = t + t * s * sine;
        double cosine = 4.7794773323873852974e-14;
        cosine = cosine * s - 1.1470745597729724714e-11;
        cosine = cosine * s + 2.0876756987868098979e-9;
        cosine = cosine * s - 2.7557319223985890653e-7;
        cosine = cosine * s + 2.4801587301587301587e-5;
        cosine = cosine * s - 1.3888888888888888889e-3;
        cosine = cosine * s + 4.1666666666666666667e-2;
        cosine = 1.0 - 0.5 * s + s * s * cosine;
        const double x = quarter & 1 ? sine : cosine, y = quarter & 1 ? cosine : sine;
        first[i] = radius * ((quarter + 1) & 2 ? -x : x);
        second[i] = radius * (quarter & 2 ? -y : y);
    }
}

#endif
