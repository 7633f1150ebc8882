/* Vectors of floats and everything that only GNU compilers (gcc, clang) understand.
 *
 * The width is chosen per target, so the same source serves every ISA build. A compiler without
 * vector extensions gets vectors of one element: slow, but the same code and the same results.
 * Included by the other headers and the Cython kernels; beside tile.h (one tile in assembly),
 * processor.h and philox.h nothing else may use GNU syntax.
 */
#ifndef FASTNN_VECTOR_H
#define FASTNN_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define FASTNN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FASTNN_VECTOR_BYTES 32
#else
#define FASTNN_VECTOR_BYTES 16
#endif

#if defined(__GNUC__) || defined(__clang__)

#define FASTNN_INLINE static inline __attribute__((always_inline))
#define FASTNN_NOINLINE static __attribute__((noinline, unused))
#define FASTNN_RESTRICT __restrict__
#define FASTNN_PRAGMA(text) _Pragma(#text)
#define FASTNN_PREFETCH(address) __builtin_prefetch(address)

/* gcc turns each shuffle by a constant pattern into one or two instructions; clang spells shuffles
 * differently and goes through memory here. */
#if defined(__clang__)
#define FASTNN_SHUFFLE(kind, out, a, b, pattern) \
    for (int i = 0; i < FASTNN_LANES_##kind; i++) { \
        const int from = (int)(pattern)[i], from_b = from - FASTNN_LANES_##kind; \
        (out)[i] = from_b < 0 ? (a)[from] : (b)[from_b]; \
    }
#else
#define FASTNN_SHUFFLE(kind, out, a, b, pattern) (out) = __builtin_shuffle(a, b, pattern);
#endif

#define FASTNN_FIRST_2 {0, 1}
#define FASTNN_FIRST_4 {0, 1, 2, 3}
#define FASTNN_FIRST_8 {0, 1, 2, 3, 4, 5, 6, 7}
#define FASTNN_FIRST_16 {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

/* A kind of vector: its types, and the operations that have no operator. Loads and stores go
 * through the loose type, of alignment 1: every row may start anywhere. */
#define FASTNN_VECTOR_KIND(kind, real, integer, lanes) \
    enum { FASTNN_LANES_##kind = lanes }; \
    typedef real vec_##kind __attribute__((vector_size(lanes * sizeof(real)))); \
    typedef integer ivec_##kind __attribute__((vector_size(lanes * sizeof(real)))); \
    typedef vec_##kind loose_##kind __attribute__((aligned(1), may_alias)); \
    /* v, and 0 where v < 0: NaN stays. */ \
    FASTNN_INLINE vec_##kind relu_##kind(vec_##kind v) \
    { \
        return (vec_##kind)((ivec_##kind)v & ~(v < (real)0)); \
    } \
    /* v, and 0 where s <= 0. */ \
    FASTNN_INLINE vec_##kind where_positive_##kind(vec_##kind v, vec_##kind s) \
    { \
        return (vec_##kind)((ivec_##kind)v & ~(s <= (real)0)); \
    } \
    /* v with its first n lanes set to 0. */ \
    FASTNN_INLINE vec_##kind without_first_##kind(vec_##kind v, int64_t n) \
    { \
        const ivec_##kind lane = FASTNN_FIRST_##lanes; \
        return (vec_##kind)((ivec_##kind)v & (lane >= (integer)n)); \
    } \
    /* The sum of all lanes, as a tree: halves, quarters ... */ \
    FASTNN_INLINE real sum_lanes_##kind(vec_##kind v) \
    { \
        const ivec_##kind lane = FASTNN_FIRST_##lanes; \
        vec_##kind other; \
        FASTNN_PRAGMA(GCC unroll 4) \
        for (int distance = lanes / 2; distance > 0; distance /= 2) { \
            FASTNN_SHUFFLE(kind, other, v, v, lane ^ distance) \
            v += other; \
        } \
        return v[0]; \
    } \
    /* Two rows of blocks of `distance` lanes, a0 a1 a2 a3 .. and b0 b1 b2 b3 .., become \
     * a0 b0 a2 b2 .. and a1 b1 a3 b3 ..: one step of a transposition. */ \
    FASTNN_INLINE void exchange_##kind(vec_##kind *a, vec_##kind *b, integer distance) \
    { \
        const ivec_##kind lane = FASTNN_FIRST_##lanes; \
        const ivec_##kind odd = (lane & distance) != 0; \
        vec_##kind even_blocks, odd_blocks; \
        FASTNN_SHUFFLE(kind, even_blocks, *a, *b, lane + (odd & (lanes - distance))) \
        FASTNN_SHUFFLE(kind, odd_blocks, *a, *b, lane + (odd & lanes) + (~odd & distance)) \
        *a = even_blocks; \
        *b = odd_blocks; \
    }

/* sum += number * v, where compilers move sums from register to register and read too little from
 * memory by themselves. FASTNN_ADD_SPREAD is given the number as a vector, and reads v where
 * `place` says: "x", a register, or "m", memory. FASTNN_ADD_NUMBER reads the number itself from
 * memory and, on AVX-512, spreads it within the instruction. */
#if FASTNN_VECTOR_BYTES == 64
#define FASTNN_ADD_SPREAD_float(sum, number, v, place) \
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(number), "v"(v))
#define FASTNN_ADD_SPREAD_double(sum, number, v, place) \
    __asm__("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(number), "v"(v))
#define FASTNN_ADD_NUMBER_float(sum, number, v) \
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(v), "m"(number))
#define FASTNN_ADD_NUMBER_double(sum, number, v) \
    __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(v), "m"(number))
#elif FASTNN_VECTOR_BYTES == 32
#define FASTNN_ADD_SPREAD_float(sum, number, v, place) \
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(number), place(v))
#define FASTNN_ADD_SPREAD_double(sum, number, v, place) \
    __asm__("vfmadd231pd %2, %1, %0" : "+x"(sum) : "x"(number), place(v))
#endif

/* A half vector still has 8 floats on AVX-512; the others have no use for halves. */
#if FASTNN_VECTOR_BYTES == 64
#define FASTNN_HALF_VECTORS
FASTNN_VECTOR_KIND(float, float, int32_t, 16)
FASTNN_VECTOR_KIND(double, double, int64_t, 8)
FASTNN_VECTOR_KIND(half_float, float, int32_t, 8)
FASTNN_VECTOR_KIND(half_double, double, int64_t, 4)
#elif FASTNN_VECTOR_BYTES == 32
FASTNN_VECTOR_KIND(float, float, int32_t, 8)
FASTNN_VECTOR_KIND(double, double, int64_t, 4)
#else
FASTNN_VECTOR_KIND(float, float, int32_t, 4)
FASTNN_VECTOR_KIND(double, double, int64_t, 2)
#endif

#else

#define FASTNN_INLINE static
#define FASTNN_NOINLINE static
#define FASTNN_RESTRICT
#define FASTNN_PRAGMA(text)
#define FASTNN_PREFETCH(address)
#define FASTNN_VECTOR_KIND(real, integer) \
    enum { FASTNN_LANES_##real = 1 }; \
    typedef real vec_##real; \
    typedef integer ivec_##real; \
    typedef real loose_##real; \
    static real relu_##real(real v) { return v < 0 ? 0 : v; } \
    static real where_positive_##real(real v, real s) { return s <= 0 ? 0 : v; } \
    static real without_first_##real(real v, int64_t n) { return n > 0 ? 0 : v; } \
    static real sum_lanes_##real(real v) { return v; } \
    static void exchange_##real(real *a, real *b, int distance) \
    { \
        (void)a, (void)b, (void)distance; /* one lane: a square is its own transpose */ \
    }
FASTNN_VECTOR_KIND(float, int32_t)
FASTNN_VECTOR_KIND(double, int64_t)

#endif

/* sum += number * v, for every kind that needs nothing special. */
#define FASTNN_ADD_PRODUCT(sum, number, v) ((sum) += (number) * (v))
#define FASTNN_ADD_NUMBER_half_float FASTNN_ADD_PRODUCT
#define FASTNN_ADD_NUMBER_half_double FASTNN_ADD_PRODUCT
#if !defined(FASTNN_ADD_NUMBER_float)
#define FASTNN_ADD_NUMBER_float FASTNN_ADD_PRODUCT
#define FASTNN_ADD_NUMBER_double FASTNN_ADD_PRODUCT
#endif
#define FASTNN_ADD_SPREAD_half_float(sum, number, v, place) FASTNN_ADD_PRODUCT(sum, number, v)
#define FASTNN_ADD_SPREAD_half_double(sum, number, v, place) FASTNN_ADD_PRODUCT(sum, number, v)
#if !defined(FASTNN_ADD_SPREAD_float)
#define FASTNN_ADD_SPREAD_float(sum, number, v, place) FASTNN_ADD_PRODUCT(sum, number, v)
#define FASTNN_ADD_SPREAD_double(sum, number, v, place) FASTNN_ADD_PRODUCT(sum, number, v)
#endif

#endif
