/* Philox4x32-10 (Salmon et al., SC 2011) on 16 counters side by side, so that it vectorises.
 * The NumPy definition, and what the counters mean, is in fastnn/ops/random.py. */
#ifndef FASTNN_PHILOX_H
#define FASTNN_PHILOX_H

#include "vector.h"

enum { PHILOX_LANES = 16 };

#define PHILOX_FIRST 0xD2511F53u
#define PHILOX_SECOND 0xCD9E8D57u

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

/* Written out, since compilers make products of 64 by 64 bits of the loop below: 2.7 times slower.
 * A vector of counters is read as pairs of 64 bits; the lower halves are the even counters. */
#include <immintrin.h>

typedef uint64_t philox_pairs __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
typedef philox_pairs philox_loose __attribute__((aligned(1), may_alias));
#define PHILOX_VECTORS (PHILOX_LANES * 4 / FASTNN_VECTOR_BYTES)
#define PHILOX_EACH(v) FASTNN_PRAGMA(GCC unroll 4) for (int v = 0; v < PHILOX_VECTORS; v++)

/* The products of the lower halves of the pairs. */
FASTNN_INLINE philox_pairs philox_multiply(philox_pairs a, philox_pairs b)
{
#if FASTNN_VECTOR_BYTES == 64
    return (philox_pairs)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif FASTNN_VECTOR_BYTES == 32
    return (philox_pairs)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (philox_pairs)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}

/* c times a factor: the upper and the lower 32 bits of the products. */
FASTNN_INLINE void philox_products(philox_pairs c, uint64_t factor, philox_pairs *high,
                                   philox_pairs *low)
{
    const philox_pairs factors = (philox_pairs){0} + factor;
    const philox_pairs even = philox_multiply(c, factors);
    const philox_pairs odd = philox_multiply(c >> 32, factors);
    *high = even >> 32 | (odd & 0xffffffff00000000u);
    *low = (even & 0xffffffffu) | odd << 32;
}

/* The counters (c0, c1, c2, c3)[lane] become the draws. */
FASTNN_NOINLINE void philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0,
                            uint32_t k1)
{
    philox_pairs c[4][PHILOX_VECTORS];
    philox_loose *const at[4] = {
        (philox_loose *)c0, (philox_loose *)c1, (philox_loose *)c2, (philox_loose *)c3};
    FASTNN_PRAGMA(GCC unroll 4) for (int i = 0; i < 4; i++)
        PHILOX_EACH(v) c[i][v] = at[i][v];
    for (int round = 0; round < 10; round++) {
        const philox_pairs key0 = (philox_pairs){0} + ((uint64_t)k0 << 32 | k0);
        const philox_pairs key1 = (philox_pairs){0} + ((uint64_t)k1 << 32 | k1);
        PHILOX_EACH(v) {
            philox_pairs first_high, first_low, second_high, second_low;
            philox_products(c[0][v], PHILOX_FIRST, &first_high, &first_low);
            philox_products(c[2][v], PHILOX_SECOND, &second_high, &second_low);
            c[0][v] = second_high ^ c[1][v] ^ key0;
            c[1][v] = second_low;
            c[2][v] = first_high ^ c[3][v] ^ key1;
            c[3][v] = first_low;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    FASTNN_PRAGMA(GCC unroll 4) for (int i = 0; i < 4; i++)
        PHILOX_EACH(v) at[i][v] = c[i][v];
}

#else

FASTNN_NOINLINE void philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0,
                            uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < PHILOX_LANES; i++) {
            const uint64_t first = (uint64_t)c0[i] * PHILOX_FIRST;
            const uint64_t second = (uint64_t)c2[i] * PHILOX_SECOND;
            c0[i] = (uint32_t)(second >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)first;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

#endif

#endif
