"""Random numbers: dropout, noise, the order of an epoch; the same bits as fastnn/ops/random.py."""

cdef extern from "philox.h" nogil:
    const int PHILOX_LANES
    void philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0,
                uint32_t k1) noexcept

cdef extern from "normal.h" nogil:
    void normal_pairs(double *first, double *second, const uint32_t *u,
                      const uint32_t *v) noexcept

cdef enum:
    LANES = 16                      # PHILOX_LANES: counters that are worked on side by side
    PERMUTATION_STREAM = 0xFFFF


cdef void dropout(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (rows, width), x, control], n = [rows, width, stream, threshold, own, key0, key1].

    c = [1 / (1 - rate)]. A counter gives the draws of four neighbouring elements of a row; elements
    whose draw is below the threshold are dropped. `own`: the key is in n, not in the control.
    """
    cdef const control *state = <const control *>p[2]
    cdef uint32_t k0 = <uint32_t>state.seed, k1 = <uint32_t>(state.seed >> 32)
    cdef uint32_t threshold = <uint32_t>n[3]
    cdef int64_t rows = n[0], width = n[1], blocks = (width + 3) // 4
    cdef int64_t total = rows * blocks, done = 0, row = 0, block = 0, first, start, i, j
    cdef uint32_t draw[4][LANES]
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef real keep = <real>c[0], value
    cdef bint add = n[7] & 1
    if n[4]:
        k0 = <uint32_t>n[5]
        k1 = <uint32_t>n[6]
    while done < total:
        first = row
        start = block
        for i in range(LANES):
            draw[0][i] = <uint32_t>block
            draw[1][i] = <uint32_t>(state.first_row + row)
            draw[2][i] = <uint32_t>state.step
            draw[3][i] = <uint32_t>n[2]
            block += 1
            if block == blocks:
                block = 0
                row += 1
        philox(draw[0], draw[1], draw[2], draw[3], k0, k1)
        for i in range(min(<int64_t>LANES, total - done)):
            for j in range(min(<int64_t>4, width - 4 * start)):
                value = x[first * width + 4 * start + j] * keep
                if draw[j][i] < threshold:
                    value = 0
                if add:
                    value += y[first * width + 4 * start + j]
                y[first * width + 4 * start + j] = value
            start += 1
            if start == blocks:
                start = 0
                first += 1
        done += LANES


cdef void noise(real **p, const int64_t *n, const double *c) noexcept nogil:
    """As dropout, with n[3] = whether the noise multiplies and c = [stddev]."""
    cdef const control *state = <const control *>p[2]
    cdef uint32_t k0 = <uint32_t>state.seed, k1 = <uint32_t>(state.seed >> 32)
    cdef int64_t rows = n[0], width = n[1], blocks = (width + 3) // 4
    cdef int64_t total = rows * blocks, done = 0, row = 0, block = 0, first, start, i, j, at
    cdef uint32_t draw[4][LANES]
    cdef double z[4][LANES]
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef real value
    cdef bint add = n[7] & 1
    if n[4]:
        k0 = <uint32_t>n[5]
        k1 = <uint32_t>n[6]
    while done < total:
        first = row
        start = block
        for i in range(LANES):
            draw[0][i] = <uint32_t>block
            draw[1][i] = <uint32_t>(state.first_row + row)
            draw[2][i] = <uint32_t>state.step
            draw[3][i] = <uint32_t>n[2]
            block += 1
            if block == blocks:
                block = 0
                row += 1
        philox(draw[0], draw[1], draw[2], draw[3], k0, k1)
        normal_pairs(z[0], z[1], draw[0], draw[1])
        normal_pairs(z[2], z[3], draw[2], draw[3])
        for i in range(min(<int64_t>LANES, total - done)):
            for j in range(min(<int64_t>4, width - 4 * start)):
                at = first * width + 4 * start + j
                value = <real>(c[0] * z[j][i])
                value = x[at] + x[at] * value if n[3] else x[at] + value
                y[at] = y[at] + value if add else value
            start += 1
            if start == blocks:
                start = 0
                first += 1
        done += LANES


cdef void permutation(void **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [order (rows) int64, seed], n = [rows, epoch]: Fisher-Yates from the end.

    Swap i takes floor(draw * (i + 1) / 2**64), the draw made of two words, the high one first.
    """
    cdef int64_t *order = <int64_t *>p[0]
    cdef uint64_t seed = (<uint64_t *>p[1])[0], high, low, bound
    cdef uint32_t draw[4][LANES]
    cdef int64_t rows = n[0], i, j, k, block = 0, other
    for i in range(rows):
        order[i] = i
    i = rows - 1
    while i > 0:
        for k in range(LANES):
            draw[0][k] = <uint32_t>(block + k)
            draw[1][k] = 0
            draw[2][k] = <uint32_t>n[1]
            draw[3][k] = PERMUTATION_STREAM
        philox(draw[0], draw[1], draw[2], draw[3], <uint32_t>seed,
               <uint32_t>(seed >> 32))
        block += LANES
        for k in range(2 * LANES):
            if i == 0:
                break
            high = draw[2 * (k & 1)][k // 2]
            low = draw[2 * (k & 1) + 1][k // 2]
            bound = <uint64_t>(i + 1)
            j = <int64_t>((high * bound + ((low * bound) >> 32)) >> 32)
            other = order[i]
            order[i] = order[j]
            order[j] = other
            i -= 1
