/* Which ISA builds this processor runs, and how it treats denormal numbers. Included by executor.pyx,
 * which is built for any processor. A compiler's own check knows the processor and what the operating
 * system allows. */
#ifndef FASTNN_PROCESSOR_H
#define FASTNN_PROCESSOR_H

/* From here on results below the smallest normal number (1.2e-38, or 2.2e-308) are 0 in this thread:
 * on x86-64 arithmetic with them takes up to fifty times as long, and the moments of weights that no
 * longer change all end there. Returns what `restore_denormals` puts back. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
static unsigned flush_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | _MM_FLUSH_ZERO_ON);
    return before;
}
static void restore_denormals(unsigned before) { _mm_setcsr(before); }
#else
static unsigned flush_denormals(void) { return 0; }
static void restore_denormals(unsigned before) { (void)before; }
#endif

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

static int runs_v2(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3")
           && __builtin_cpu_supports("popcnt");
}

static int runs_v3(void) {
    return runs_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
           && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static int runs_v4(void) {
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
           && __builtin_cpu_supports("avx512vl");
}

#elif defined(_M_X64)

#include <windows.h>
static int runs_v2(void) { return 1; } /* built without a flag: for any x86-64 processor */
static int runs_v3(void) { return IsProcessorFeaturePresent(40); } /* PF_AVX2 ... */
static int runs_v4(void) { return IsProcessorFeaturePresent(41); } /* PF_AVX512F ... */

#else

static int runs_v2(void) { return 0; }
static int runs_v3(void) { return 0; }
static int runs_v4(void) { return 0; }

#endif

#endif
