"""Random numbers: dropout, noise, the order of an epoch; the same bits as fastnn/ops/random.py."""

cdef extern from "philox.h" nogil:
    const int PHILOX_LANES
    void philox(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0,
                uint32_t k1) noexcept

cdef extern from "normal.h" nogil:
    void normal_pairs(double *first, double *second, const uint32_t *u,
                      const uint32_t *v) noexcept

cdef extern from * nogil:
    """
    #define RANDOM_LINES(REAL)                                                                    \\
        /* y (count) (+)= keep x, or 0 where the draw is below the threshold */                   \\
        FASTNN_NOINLINE void drop_line_##REAL(REAL *y, const REAL *x, const uint32_t *draw,       \\
                                              int64_t count, REAL keep, uint32_t threshold,       \\
                                              int add) {                                          \\
            FASTNN_PRAGMA(omp simd)                                                               \\
            for (int64_t i = 0; i < count; i++) {                                                 \\
                const REAL kept = x[i] * keep, value = draw[i] < threshold ? (REAL)0 : kept;      \\
                y[i] = add ? y[i] + value : value;                                                \\
            }                                                                                     \\
        }                                                                                         \\
        /* y (count) (+)= x + scale z, or x + x scale z */                                        \\
        FASTNN_NOINLINE void noise_line_##REAL(REAL *y, const REAL *x, const double *z,           \\
                                               int64_t count, double scale, int multiply,         \\
                                               int add) {                                         \\
            FASTNN_PRAGMA(omp simd)                                                               \\
            for (int64_t i = 0; i < count; i++) {                                                 \\
                const REAL noise = (REAL)(scale * z[i]);                                          \\
                const REAL value = x[i] + (multiply ? x[i] * noise : noise);                      \\
                y[i] = add ? y[i] + value : value;                                                \\
            }                                                                                     \\
        }
    RANDOM_LINES(float)
    RANDOM_LINES(double)
    """
    void drop_line_float(float *y, const float *x, const uint32_t *draw, int64_t count, float keep,
                         uint32_t threshold, bint add) noexcept
    void drop_line_double(double *y, const double *x, const uint32_t *draw, int64_t count,
                          double keep, uint32_t threshold, bint add) noexcept
    void noise_line_float(float *y, const float *x, const double *z, int64_t count, double scale,
                          bint multiply, bint add) noexcept
    void noise_line_double(double *y, const double *x, const double *z, int64_t count,
                           double scale, bint multiply, bint add) noexcept

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
    cdef int64_t at, part, used
    cdef uint32_t draw[4][LANES]
    cdef uint32_t draws[4 * LANES]      # in the order of the elements
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef real keep = <real>c[0]
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
        for i in range(LANES):
            for j in range(4):
                draws[4 * i + j] = draw[j][i]
        used = 0
        while used < 4 * LANES and first < rows:
            at = first * width + 4 * start
            part = min(4 * LANES - used, width - 4 * start)
            if real is float:
                drop_line_float(y + at, x + at, draws + used, part, keep, threshold, add)
            else:
                drop_line_double(y + at, x + at, draws + used, part, keep, threshold, add)
            start += (part + 3) // 4
            used += (part + 3) // 4 * 4
            if start == blocks:
                start = 0
                first += 1
        done += LANES


cdef void noise(real **p, const int64_t *n, const double *c) noexcept nogil:
    """As dropout, with n[3] = whether the noise multiplies and c = [stddev]."""
    cdef const control *state = <const control *>p[2]
    cdef uint32_t k0 = <uint32_t>state.seed, k1 = <uint32_t>(state.seed >> 32)
    cdef int64_t rows = n[0], width = n[1], blocks = (width + 3) // 4
    cdef int64_t total = rows * blocks, done = 0, row = 0, block = 0, first, start, i, j
    cdef int64_t at, part, used
    cdef uint32_t draw[4][LANES]
    cdef double z[4][LANES]
    cdef double numbers[4 * LANES]      # in the order of the elements
    cdef real *y = p[0]
    cdef const real *x = p[1]
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
        for i in range(LANES):
            for j in range(4):
                numbers[4 * i + j] = z[j][i]
        used = 0
        while used < 4 * LANES and first < rows:
            at = first * width + 4 * start
            part = min(4 * LANES - used, width - 4 * start)
            if real is float:
                noise_line_float(y + at, x + at, numbers + used, part, c[0], n[3] != 0, add)
            else:
                noise_line_double(y + at, x + at, numbers + used, part, c[0], n[3] != 0, add)
            start += (part + 3) // 4
            used += (part + 3) // 4 * 4
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
