"""Batch and layer normalization: see fastnn/ops/normalization.py.

Sums are double. A channel's numbers are either one apart per row (`inner` = 1: loops run over the
channels, side by side) or contiguous runs of `inner` numbers.
"""
from libc.math cimport sqrt

cdef extern from * nogil:
    """
    #define NORMAL_LOOPS(REAL)                                                                    \\
        /* sum += x, and sum of squares of x - mean, per channel of one row */                    \\
        FASTNN_NOINLINE void channel_add_##REAL(double *sum, const REAL *x, int64_t n) {          \\
            FASTNN_PRAGMA(omp simd)                                                               \\
            for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];                               \\
        }                                                                                         \\
        FASTNN_NOINLINE void channel_add_squares_##REAL(double *sum, const double *mean,          \\
                                                   const REAL *x, int64_t n) {                    \\
            FASTNN_PRAGMA(omp simd)                                                               \\
            for (int64_t i = 0; i < n; i++) {                                                     \\
                const double d = (double)x[i] - mean[i];                                          \\
                sum[i] += d * d;                                                                  \\
            }                                                                                     \\
        }                                                                                         \\
        /* the same over one run, all of it one channel's */                                      \\
        FASTNN_NOINLINE double run_sum_##REAL(const REAL *x, int64_t n) {                         \\
            double sum = 0;                                                                       \\
            FASTNN_PRAGMA(omp simd reduction(+ : sum))                                            \\
            for (int64_t i = 0; i < n; i++) sum += (double)x[i];                                  \\
            return sum;                                                                           \\
        }                                                                                         \\
        FASTNN_NOINLINE double run_squares_##REAL(double mean, const REAL *x, int64_t n) {        \\
            double sum = 0;                                                                       \\
            FASTNN_PRAGMA(omp simd reduction(+ : sum))                                            \\
            for (int64_t i = 0; i < n; i++) {                                                     \\
                const double d = (double)x[i] - mean;                                             \\
                sum += d * d;                                                                     \\
            }                                                                                     \\
            return sum;                                                                           \\
        }                                                                                         \\
        FASTNN_NOINLINE double run_product_##REAL(double mean, const REAL *dy, const REAL *x,     \\
                                                  int64_t n) {                                    \\
            double sum = 0;                                                                       \\
            FASTNN_PRAGMA(omp simd reduction(+ : sum))                                            \\
            for (int64_t i = 0; i < n; i++) sum += (double)dy[i] * ((double)x[i] - mean);         \\
            return sum;                                                                           \\
        }                                                                                         \\
        /* one row of layer_norm_backward: what it adds to dgamma and dbeta, and the sums of      \\
         * gamma dy and gamma dy (x - mean) rstd */                                               \\
        FASTNN_NOINLINE void layer_sums_##REAL(double *dgamma, double *dbeta, double *a,          \\
                                               double *b, const REAL *dy, const REAL *x,          \\
                                               const REAL *gamma, double mean, double rstd,       \\
                                               int64_t n) {                                       \\
            double sum = 0, product = 0;                                                          \\
            FASTNN_PRAGMA(omp simd reduction(+ : sum, product))                                   \\
            for (int64_t i = 0; i < n; i++) {                                                     \\
                const double d = (double)dy[i], g = d * ((double)x[i] - mean) * rstd;             \\
                const double factor = gamma ? (double)gamma[i] : 1.0;                             \\
                dgamma[i] += g;                                                                   \\
                dbeta[i] += d;                                                                    \\
                sum += d * factor;                                                                \\
                product += g * factor;                                                            \\
            }                                                                                     \\
            *a = sum;                                                                             \\
            *b = product;                                                                         \\
        }
    NORMAL_LOOPS(float)
    NORMAL_LOOPS(double)
    """
    void channel_add_float(double *sum, const float *x, int64_t n) noexcept
    void channel_add_double(double *sum, const double *x, int64_t n) noexcept
    void channel_add_squares_float(double *sum, const double *mean, const float *x,
                                   int64_t n) noexcept
    void channel_add_squares_double(double *sum, const double *mean, const double *x,
                                    int64_t n) noexcept
    double run_sum_float(const float *x, int64_t n) noexcept
    double run_sum_double(const double *x, int64_t n) noexcept
    double run_squares_float(double mean, const float *x, int64_t n) noexcept
    double run_squares_double(double mean, const double *x, int64_t n) noexcept
    double run_product_float(double mean, const float *dy, const float *x, int64_t n) noexcept
    double run_product_double(double mean, const double *dy, const double *x, int64_t n) noexcept
    void layer_sums_float(double *dgamma, double *dbeta, double *a, double *b, const float *dy,
                          const float *x, const float *gamma, double mean, double rstd,
                          int64_t n) noexcept
    void layer_sums_double(double *dgamma, double *dbeta, double *a, double *b, const double *dy,
                           const double *x, const double *gamma, double mean, double rstd,
                           int64_t n) noexcept


cdef inline double run_sum(const real *x, int64_t n) noexcept nogil:
    if real is float:
        return run_sum_float(x, n)
    else:
        return run_sum_double(x, n)


cdef inline double run_squares(double mean, const real *x, int64_t n) noexcept nogil:
    if real is float:
        return run_squares_float(mean, x, n)
    else:
        return run_squares_double(mean, x, n)


cdef inline double run_product(double mean, const real *dy, const real *x,
                               int64_t n) noexcept nogil:
    if real is float:
        return run_product_float(mean, dy, x, n)
    else:
        return run_product_double(mean, dy, x, n)


cdef void channel_sums(double *sum, const real *x, int64_t outer, int64_t channels,
                       int64_t inner) noexcept nogil:
    """sum (channels) = the sums of x (outer, channels, inner)."""
    cdef int64_t i, k
    memset(sum, 0, channels * sizeof(double))
    for i in range(outer):
        if inner == 1:
            if real is float:
                channel_add_float(sum, x, channels)
            else:
                channel_add_double(sum, x, channels)
        else:
            for k in range(channels):
                sum[k] += run_sum(x + k * inner, inner)
        x += channels * inner


cdef void channel_squares(double *sum, const double *mean, const real *x, int64_t outer,
                          int64_t channels, int64_t inner) noexcept nogil:
    """sum (channels) = the sums of (x - mean)^2."""
    cdef int64_t i, k
    memset(sum, 0, channels * sizeof(double))
    for i in range(outer):
        if inner == 1:
            if real is float:
                channel_add_squares_float(sum, mean, x, channels)
            else:
                channel_add_squares_double(sum, mean, x, channels)
        else:
            for k in range(channels):
                sum[k] += run_squares(mean[k], x + k * inner, inner)
        x += channels * inner


cdef void norm_line(real *y, const real *x, const real *mean, const real *factor, const real *beta,
                    int64_t count, bint add) noexcept nogil:
    """y (count) = (x - mean) factor + beta, number by number; beta can be NULL."""
    cdef int64_t i
    if add:
        for i in range(count):
            y[i] += (x[i] - mean[i]) * factor[i] + (<real>0 if beta == NULL else beta[i])
    elif beta == NULL:
        for i in range(count):
            y[i] = (x[i] - mean[i]) * factor[i]
    else:
        for i in range(count):
            y[i] = (x[i] - mean[i]) * factor[i] + beta[i]


cdef void norm_run(real *y, const real *x, real mean, real factor, real beta, int64_t count,
                   bint add) noexcept nogil:
    """The same where mean, factor and beta are those of one channel."""
    cdef int64_t i
    if add:
        for i in range(count):
            y[i] += (x[i] - mean) * factor + beta
    else:
        for i in range(count):
            y[i] = (x[i] - mean) * factor + beta


cdef void norm_scaled(real *y, const real *x, const real *mean, const real *factor,
                      const real *beta, int64_t outer, int64_t channels, int64_t inner,
                      bint add) noexcept nogil:
    """y (outer, channels, inner) = (x - mean) factor + beta, each per channel."""
    cdef int64_t i, k
    for i in range(outer):
        if inner == 1:
            norm_line(y, x, mean, factor, beta, channels, add)
        else:
            for k in range(channels):
                norm_run(y + k * inner, x + k * inner, mean[k], factor[k],
                         <real>0 if beta == NULL else beta[k], inner, add)
        y += channels * inner
        x += channels * inner


cdef void batch_norm(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (outer, channels, inner), mean, rstd, moving_mean, moving_variance, x, gamma or NULL,
            beta or NULL, moving_mean, moving_variance, workspace], c = [epsilon, momentum].
    """
    cdef int64_t outer = n[0], channels = n[1], inner = n[2], k, number = outer * inner
    cdef double *mean = <double *>p[10]
    cdef double *variance = mean + channels
    cdef real *factor = p[10]
    cdef double rstd
    channel_sums(mean, <const real *>p[5], outer, channels, inner)
    for k in range(channels):
        mean[k] /= <double>number
    channel_squares(variance, mean, <const real *>p[5], outer, channels, inner)
    for k in range(channels):   # scalar: once per channel
        variance[k] /= <double>number
        rstd = 1 / sqrt(variance[k] + c[0])
        p[1][k] = <real>mean[k]
        p[2][k] = <real>rstd
        p[3][k] = <real>(c[1] * <double>p[3][k] + (1 - c[1]) * mean[k])
        p[4][k] = <real>(c[1] * <double>p[4][k] + (1 - c[1]) * variance[k])
        # The factors take the place of means that were read already.
        factor[k] = <real>(rstd if p[6] == NULL else rstd * <double>p[6][k])
    norm_scaled(p[0], <const real *>p[5], <const real *>p[1], <const real *>factor,
                <const real *>p[7], outer, channels, inner, n[3] & 1)


cdef void batch_norm_inference(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (outer, channels, inner), x, gamma or NULL, beta or NULL, mean, variance, workspace],
    c = [epsilon]; y may be x.
    """
    cdef int64_t channels = n[1], k
    cdef real *factor = p[6]
    cdef double rstd
    for k in range(channels):
        rstd = 1 / sqrt(<double>p[5][k] + c[0])
        factor[k] = <real>(rstd if p[2] == NULL else rstd * <double>p[2][k])
    norm_scaled(p[0], <const real *>p[1], <const real *>p[4], <const real *>factor,
                <const real *>p[3], n[0], channels, n[2], n[3] & 1)


cdef void slope_line(real *dx, const real *dy, const real *x, const real *mean, const real *rstd,
                     const real *gamma, const double *a, const double *b, int64_t count,
                     bint add) noexcept nogil:
    """dx (count) = gamma rstd (dy - a - (x - mean) b), number by number."""
    cdef int64_t i
    cdef double value
    for i in range(count):
        value = <double>rstd[i] * (<double>dy[i] - a[i] - (<double>x[i] - <double>mean[i]) * b[i])
        if gamma != NULL:
            value *= <double>gamma[i]
        dx[i] = dx[i] + <real>value if add else <real>value


cdef void slope_run(real *dx, const real *dy, const real *x, double mean, double a, double b,
                    double factor, int64_t count, bint add) noexcept nogil:
    """The same for one channel, factor = gamma rstd."""
    cdef int64_t i
    cdef double value
    for i in range(count):
        value = factor * (<double>dy[i] - a - (<double>x[i] - mean) * b)
        dx[i] = dx[i] + <real>value if add else <real>value


cdef inline void put_sum(real *y, double value, bint add) noexcept nogil:
    y[0] = y[0] + <real>value if add else <real>value


cdef void batch_norm_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dx (outer, channels, inner), dgamma, dbeta, dy, x, mean, rstd, gamma or NULL,
            workspace]; dx may be dy.
    """
    cdef int64_t outer = n[0], channels = n[1], inner = n[2], i, k, number = outer * inner
    cdef double *a = <double *>p[8]             # the sums of dy, then their means
    cdef double *b = a + channels               # those of dy (x - mean)
    cdef const real *dy = p[3]
    cdef const real *x = p[4]
    cdef const real *mean = p[5]
    cdef real *dx = p[0]
    cdef double rstd, factor
    channel_sums(a, dy, outer, channels, inner)
    memset(b, 0, channels * sizeof(double))
    for i in range(outer):
        if inner == 1:
            for k in range(channels):
                b[k] += <double>dy[k] * (<double>x[k] - <double>mean[k])
        else:
            for k in range(channels):
                b[k] += run_product(<double>mean[k], dy + k * inner, x + k * inner, inner)
        dy += channels * inner
        x += channels * inner
    for k in range(channels):
        rstd = <double>p[6][k]
        put_sum(p[1] + k, b[k] * rstd, (n[3] >> 1) & 1)
        put_sum(p[2] + k, a[k], (n[3] >> 2) & 1)
        a[k] /= <double>number
        b[k] *= rstd * rstd / <double>number
    dy = p[3]
    x = p[4]
    for i in range(outer):
        if inner == 1:
            slope_line(dx, dy, x, mean, <const real *>p[6], <const real *>p[7], a, b, channels,
                       n[3] & 1)
        for k in range(channels if inner > 1 else 0):
            factor = <double>p[6][k] if p[7] == NULL else <double>p[6][k] * <double>p[7][k]
            slope_run(dx + k * inner, dy + k * inner, x + k * inner, <double>mean[k], a[k], b[k],
                      factor, inner, n[3] & 1)
        dx += channels * inner
        dy += channels * inner
        x += channels * inner


cdef void layer_norm(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (rows, width), mean, rstd, x, gamma or NULL, beta or NULL], c = [epsilon]."""
    cdef int64_t width = n[1], row, j
    cdef real *y = p[0]
    cdef const real *x = p[3]
    cdef const real *gamma = p[4]
    cdef const real *beta = p[5]
    cdef double mean, rstd
    cdef real m, r
    cdef bint add = n[2] & 1
    for row in range(n[0]):
        mean = run_sum(x, width) / <double>width
        rstd = 1 / sqrt(run_squares(mean, x, width) / <double>width + c[0])
        m = <real>mean
        r = <real>rstd
        p[1][row] = m
        p[2][row] = r
        if gamma == NULL:
            for j in range(width):
                y[j] = ((<real>0 if not add else y[j]) + (x[j] - m) * r
                        + (<real>0 if beta == NULL else beta[j]))
        else:
            for j in range(width):
                y[j] = ((<real>0 if not add else y[j]) + (x[j] - m) * r * gamma[j]
                        + (<real>0 if beta == NULL else beta[j]))
        x += width
        y += width


cdef void layer_norm_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dx (rows, width), dgamma, dbeta, dy, x, mean, rstd, gamma or NULL, workspace]."""
    cdef int64_t width = n[1], row, j
    cdef double *dgamma = <double *>p[8]
    cdef double *dbeta = dgamma + width
    cdef real *dx = p[0]
    cdef const real *dy = p[3]
    cdef const real *x = p[4]
    cdef const real *gamma = p[7]
    cdef double mean, rstd, a, b, g
    cdef real value
    memset(dgamma, 0, 2 * width * sizeof(double))
    for row in range(n[0]):
        mean = <double>p[5][row]
        rstd = <double>p[6][row]
        if real is float:
            layer_sums_float(dgamma, dbeta, &a, &b, dy, x, gamma, mean, rstd, width)
        else:
            layer_sums_double(dgamma, dbeta, &a, &b, dy, x, gamma, mean, rstd, width)
        a /= <double>width
        b *= rstd / <double>width
        for j in range(width):
            g = <double>dy[j] if gamma == NULL else <double>dy[j] * <double>gamma[j]
            value = <real>(rstd * (g - a - (<double>x[j] - mean) * b))
            dx[j] = dx[j] + value if n[2] & 1 else value
        dx += width
        dy += width
        x += width
    for j in range(width):
        put_sum(p[1] + j, dgamma[j], (n[2] >> 1) & 1)
        put_sum(p[2] + j, dbeta[j], (n[2] >> 2) & 1)
