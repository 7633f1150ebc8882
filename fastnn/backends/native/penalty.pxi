"""Penalties of regularizers: see fastnn/ops/penalties.py, which defines what rows mean here."""

cdef extern from * nogil:
    """
    #define SUM_OF(name, REAL, term)                                                \\
        FASTNN_NOINLINE double sum_##name##_##REAL(const REAL *x, int64_t n) {      \\
            double sum = 0;                                                         \\
            FASTNN_PRAGMA(omp simd reduction(+ : sum))                              \\
            for (int64_t i = 0; i < n; i++) sum += term;                            \\
            return sum;                                                             \\
        }
    SUM_OF(absolute, float, (double)fabsf(x[i]))
    SUM_OF(absolute, double, fabs(x[i]))
    SUM_OF(squares, float, (double)x[i] * (double)x[i])
    SUM_OF(squares, double, x[i] * x[i])
    """
    double sum_absolute_float(const float *x, int64_t n) noexcept
    double sum_absolute_double(const double *x, int64_t n) noexcept
    double sum_squares_float(const float *x, int64_t n) noexcept
    double sum_squares_double(const double *x, int64_t n) noexcept


cdef void l1_l2_penalty(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, w (count), x or NULL], n = [count, rows], c = [l1, l2]."""
    cdef double *sums = <double *>p[0]
    cdef double total = 0
    if c[0] != 0:
        if real is float:
            total += c[0] * sum_absolute_float(p[1], n[0])
        else:
            total += c[0] * sum_absolute_double(p[1], n[0])
    if c[1] != 0:
        if real is float:
            total += c[1] * sum_squares_float(p[1], n[0])
        else:
            total += c[1] * sum_squares_double(p[1], n[0])
    sums[0] += total if p[2] == NULL else total * <double>n[1]
    sums[1] += <double>n[1]


cdef inline real sign_of(real x) noexcept nogil:
    if x > <real>0:
        return 1
    if x < <real>0:
        return -1
    return x


cdef void l1_l2_gradient(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dw (count), w, x or NULL, control], n = [count, rows or 1], c = [l1, l2]."""
    cdef const control *state = <const control *>p[3]
    cdef double share = <double>n[1] / <double>max(state.batch_rows, <int64_t>1)
    cdef real l1 = <real>(c[0] * share), l2 = <real>(2 * c[1] * share)
    cdef real *dw = p[0]
    cdef const real *w = p[1]
    cdef int64_t i
    if n[2] & 1:
        for i in range(n[0]):
            dw[i] += l1 * sign_of(w[i]) + l2 * w[i]
    else:
        for i in range(n[0]):
            dw[i] = l1 * sign_of(w[i]) + l2 * w[i]


cdef void value_penalty(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, value, x], n = [rows, mean]."""
    cdef double *sums = <double *>p[0]
    sums[0] += <double>p[1][0] if n[1] else <double>p[1][0] * <double>n[0]
    sums[1] += <double>n[0]


cdef void value_penalty_gradient(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dvalue, x or NULL, control], n = [1, rows or 1]."""
    cdef const control *state = <const control *>p[2]
    cdef real share = <real>(<double>n[1] / <double>max(state.batch_rows, <int64_t>1))
    p[0][0] = p[0][0] + share if n[2] & 1 else share
