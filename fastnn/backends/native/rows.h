/* Sums and maxima of one row of numbers, and the transposition of a square block.
 *
 * Cython can write neither the pragma that lets a reduction vectorise without -ffast-math, nor
 * vectors. Called by elementwise.pxi and, through it, by loss.pxi.
 */
#ifndef FASTNN_ROWS_H
#define FASTNN_ROWS_H

#include "vector.h"
#include <math.h>

/* Rows shorter than this are faster in a plain loop. */
#define SHORT_ROW 16

#define REDUCE_ROW(reduction, statement)                                                          \
    if (count < SHORT_ROW) {                                                                      \
        for (int64_t i = 0; i < count; i++) statement;                                            \
    } else {                                                                                      \
        FASTNN_PRAGMA(omp simd reduction)                                                         \
        for (int64_t i = 0; i < count; i++) statement;                                            \
    }

#define ROW_FUNCTIONS(REAL)                                                                       \
    static REAL block_sum_##REAL(const REAL *x, int64_t count) {                                  \
        REAL sum = 0;                                                                             \
        REDUCE_ROW(reduction(+ : sum), sum += x[i])                                               \
        return sum;                                                                               \
    }                                                                                             \
    /* Blocks are added in double: the error does not grow with the length. */                    \
    static double row_sum_##REAL(const REAL *x, int64_t count) {                                  \
        double sum = 0;                                                                           \
        for (; count > 1024; count -= 1024, x += 1024) sum += (double)block_sum_##REAL(x, 1024);  \
        return sum + (double)block_sum_##REAL(x, count);                                          \
    }                                                                                             \
    static REAL row_dot_##REAL(const REAL *a, const REAL *b, int64_t count) {                     \
        REAL sum = 0;                                                                             \
        REDUCE_ROW(reduction(+ : sum), sum += a[i] * b[i])                                        \
        return sum;                                                                               \
    }                                                                                             \
    /* 0 times infinity is 0 where the 0 is a's. */                                               \
    static REAL row_dot_nonzero_##REAL(const REAL *a, const REAL *b, int64_t count) {             \
        REAL sum = 0;                                                                             \
        REDUCE_ROW(reduction(+ : sum), sum += a[i] != 0 ? a[i] * b[i] : (REAL)0)                  \
        return sum;                                                                               \
    }                                                                                             \
    /* Ignores NaN. */                                                                            \
    static REAL row_maximum_##REAL(const REAL *x, int64_t count) {                                \
        REAL maximum = -(REAL)INFINITY;                                                           \
        REDUCE_ROW(reduction(max : maximum), maximum = x[i] > maximum ? x[i] : maximum)           \
        return maximum;                                                                           \
    }                                                                                             \
    static int row_has_nan_##REAL(const REAL *x, int64_t count) {                                 \
        REAL found = 0;                                                                           \
        REDUCE_ROW(reduction(+ : found), found += x[i] != x[i] ? (REAL)1 : (REAL)0)               \
        return found > 0;                                                                         \
    }                                                                                             \
    /* y = x^T, both one vector wide and as many rows high, by exchanging ever larger blocks. */  \
    static void transpose_square_##REAL(REAL *y, int64_t y_row, const REAL *x, int64_t x_row) {   \
        vec_##REAL row[FASTNN_LANES_##REAL];                                                      \
        FASTNN_PRAGMA(GCC unroll 16)                                                              \
        for (int i = 0; i < FASTNN_LANES_##REAL; i++)                                             \
            row[i] = *(const loose_##REAL *)(x + i * x_row);                                      \
        FASTNN_PRAGMA(GCC unroll 4)                                                               \
        for (int distance = 1; distance < FASTNN_LANES_##REAL; distance *= 2)                     \
            FASTNN_PRAGMA(GCC unroll 16)                                                          \
            for (int i = 0; i < FASTNN_LANES_##REAL; i++)                                         \
                if (!(i & distance)) exchange_##REAL(&row[i], &row[i + distance], distance);      \
        FASTNN_PRAGMA(GCC unroll 16)                                                              \
        for (int i = 0; i < FASTNN_LANES_##REAL; i++)                                             \
            *(loose_##REAL *)(y + i * y_row) = row[i];                                            \
    }

ROW_FUNCTIONS(float)
ROW_FUNCTIONS(double)

#endif
