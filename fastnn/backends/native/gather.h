/* Data of any numeric type as the float, double or int32 of a plan: the loops of gather.pxi.

A source type has a number (its place in `GATHER_TYPES`), and `gather_convert` holds a loop for each
pair of source and target. The bits are those of NumPy's astype. What is no contiguous, aligned line
of native numbers is packed into one first. */

#ifndef FASTNN_GATHER_H
#define FASTNN_GATHER_H

#include "vector.h"

#include <stdint.h>
#include <string.h>

typedef struct { uint16_t bits; } half_t;
typedef struct { uint8_t byte; } bool_t;

/* A half as a float: its bits moved into place, then scaled by 2^112, which is exact for small and
   subnormal numbers too; infinity and NaN have the largest exponent of both types. */
static inline float from_half(half_t x)
{
    uint32_t rest = (uint32_t)(x.bits & 0x7fff) << 13, sign = (uint32_t)(x.bits & 0x8000) << 16;
    float value;
    memcpy(&value, &rest, 4);
    value *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits = rest >= 0x0f800000u ? 0x7f800000u | rest : bits;
    bits |= sign;
    memcpy(&value, &bits, 4);
    return value;
}

#define GATHER_PLAIN(v) (v)
#define GATHER_HALF(v) from_half(v)
#define GATHER_BOOL(v) ((v).byte != 0)

/* name, C type, how its value is read; the order is that of the numbers in executor.pyx */
#define GATHER_TYPES(X, target) \
    X(f4, float, GATHER_PLAIN, target) \
    X(f8, double, GATHER_PLAIN, target) \
    X(f2, half_t, GATHER_HALF, target) \
    X(i1, int8_t, GATHER_PLAIN, target) \
    X(i2, int16_t, GATHER_PLAIN, target) \
    X(i4, int32_t, GATHER_PLAIN, target) \
    X(i8, int64_t, GATHER_PLAIN, target) \
    X(u1, uint8_t, GATHER_PLAIN, target) \
    X(u2, uint16_t, GATHER_PLAIN, target) \
    X(u4, uint32_t, GATHER_PLAIN, target) \
    X(u8, uint64_t, GATHER_PLAIN, target) \
    X(b1, bool_t, GATHER_BOOL, target)

#define GATHER_LOOP(name, type, read, target) \
    static void gather_##name##_##target(void *out, const void *in, int64_t n) \
    { \
        target *y = (target *)out; \
        const type *x = (const type *)in; \
        for (int64_t i = 0; i < n; i++) \
            y[i] = (target)read(x[i]); \
    }

GATHER_TYPES(GATHER_LOOP, float)
GATHER_TYPES(GATHER_LOOP, double)
GATHER_TYPES(GATHER_LOOP, int32_t)

enum { GATHER_SOURCES = 12 };

#define GATHER_ENTRY(name, type, read, target) gather_##name##_##target,

/* target (float, double, int32), source */
static void (*const gather_convert[3 * GATHER_SOURCES])(void *, const void *, int64_t) = {
    GATHER_TYPES(GATHER_ENTRY, float)
    GATHER_TYPES(GATHER_ENTRY, double)
    GATHER_TYPES(GATHER_ENTRY, int32_t)
};

#define GATHER_PACK(type, change) \
    for (int64_t i = 0; i < n; i++) { \
        type value; \
        memcpy(&value, x + i * stride, sizeof(value)); \
        value = (type)(change); \
        memcpy(y + i * (int64_t)sizeof(value), &value, sizeof(value)); \
    } \
    break;

static inline uint32_t swapped4(uint32_t v)
{
    return v >> 24 | (v >> 8 & 0xff00u) | (v << 8 & 0xff0000u) | v << 24;
}

/* One row; the row that is copied next begins to arrive, from anywhere in memory. */
static inline void gather_copy(char *y, const char *x, const char *next, int64_t bytes)
{
    int64_t i = 0;
    for (; i + 64 <= bytes; i += 64) {
        FASTNN_PREFETCH(next + i);
        memcpy(y + i, x + i, 64);
    }
    memcpy(y + i, x + i, (size_t)(bytes - i));
}

/* n numbers of `size` bytes that lie `stride` bytes apart, as neighbours in native order. */
static void gather_pack(char *y, const char *x, int64_t stride, int64_t n, int64_t size, int swap)
{
    switch (size + (swap ? 8 : 0)) {
    case 1: case 9: GATHER_PACK(uint8_t, value)
    case 2: GATHER_PACK(uint16_t, value)
    case 4: GATHER_PACK(uint32_t, value)
    case 8: GATHER_PACK(uint64_t, value)
    case 10: GATHER_PACK(uint16_t, value >> 8 | value << 8)
    case 12: GATHER_PACK(uint32_t, swapped4(value))
    case 16: GATHER_PACK(uint64_t, (uint64_t)swapped4((uint32_t)value) << 32
                                       | swapped4((uint32_t)(value >> 32)))
    }
}

#endif
