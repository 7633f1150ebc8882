/* Which ISA builds this processor runs. Included by executor.pyx, which is built for any processor.
 * A compiler's own check knows the processor and what the operating system allows. */
#ifndef FASTNN_PROCESSOR_H
#define FASTNN_PROCESSOR_H

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
