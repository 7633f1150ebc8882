/* Philox4x32-10 (Salmon et al., SC 2011) on 16 counters side by side, so that it vectorises.
 * The NumPy definition, and what the counters mean, is in fastnn/ops/random.py. */
#ifndef FASTNN_PHILOX_H
#define FASTNN_PHILOX_H

#include "vector.h"

enum { PHILOX_LANES = 16 };

/* The counters (c0, c1, c2, c3)[lane] become the draws. */
FASTNN_NOINLINE void philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0,
                            uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < PHILOX_LANES; i++) {
            const uint64_t first = (uint64_t)c0[i] * 0xD2511F53u;
            const uint64_t second = (uint64_t)c2[i] * 0xCD9E8D57u;
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
