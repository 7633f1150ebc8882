/* What one core of this machine can do at most: compiled and called by machine.py. */

#include <stddef.h>

/* Returns the multiplications and additions done. 16 independent sums, more than the latency needs. */
#define PEAK(NAME, BYTES)                                                                          \
    typedef float NAME##_vector __attribute__((vector_size(BYTES)));                               \
    double NAME(long times, float *result) {                                                       \
        NAME##_vector sum[16], factor = {0}, term = {0};                                           \
        factor += 0.999f;                                                                          \
        term += 0.001f;                                                                            \
        for (int i = 0; i < 16; i++) sum[i] = term * (float)i;                                     \
        for (long t = 0; t < times; t++)                                                           \
            _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++)                                  \
                sum[i] = sum[i] * factor + term;                                                   \
        for (int i = 1; i < 16; i++) sum[0] += sum[i];                                             \
        *result = sum[0][0];                                                                       \
        return 2.0 * 16 * (BYTES / sizeof(float)) * (double)times;                                 \
    }

PEAK(peak_16, 16)
PEAK(peak_32, 32)
PEAK(peak_64, 64)

/* The traffic of an optimizer with two moments: reads 16 bytes per element, writes 12. */
void update(long times, float *restrict p, float *restrict m, float *restrict v,
            const float *restrict g, size_t n) {
    for (long t = 0; t < times; t++) {
        for (size_t i = 0; i < n; i++) {
            m[i] = 0.5f * m[i] + g[i];
            v[i] = 0.5f * v[i] - g[i];
            p[i] = p[i] + 0.5f * (m[i] + v[i]);
        }
        __asm__ volatile("" ::"r"(p), "r"(m), "r"(v) : "memory");
    }
}

/* Rows to a small buffer, as a batch is gathered. */
void gather(long times, float *restrict target, const float *restrict source, size_t rows,
            size_t width) {
    for (long t = 0; t < times; t++) {
        for (size_t r = 0; r < rows; r++) {
            float *to = target + r % 16 * width;
            const float *from = source + r * width;
            for (size_t i = 0; i < width; i++) to[i] = from[i];
            __asm__ volatile("" ::"r"(to) : "memory");
        }
    }
}
