"""Optimizers: one call updates one range of the flat parameter buffer, in place.

Letters as in fastnn/ops/optimizers.py, where the formulas stand. `p` holds the outputs (w and the
slots), the inputs (w, g and the slots: the same addresses again), then the control record.
"""
from libc.math cimport pow, sqrt, sqrtf


cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef void sgd(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, w, g, control], c = [rate_factor]."""
    cdef real *w = p[0]
    cdef const real *g = p[2]
    cdef real rate = <real>((<control *>p[3]).rate * c[0])
    cdef int64_t i
    for i in range(n[0]):
        w[i] -= rate * g[i]


cdef void momentum(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, w, g, v, control], c = [rate_factor, momentum, nesterov]."""
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef const real *g = p[3]
    cdef real rate = <real>((<control *>p[5]).rate * c[0])
    cdef real keep = <real>c[1]
    cdef int64_t i
    if c[2] != 0:
        for i in range(n[0]):
            v[i] = keep * v[i] - rate * g[i]
            w[i] += keep * v[i] - rate * g[i]
    else:
        for i in range(n[0]):
            v[i] = keep * v[i] - rate * g[i]
            w[i] += v[i]


cdef void rmsprop(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, a, m, w, g, v, a, m, control], c = [rate_factor, rho, epsilon, momentum].

    a (the mean gradient) and m (the velocity) can be NULL.
    """
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef real *a = p[2]
    cdef real *m = p[3]
    cdef const real *g = p[5]
    cdef real rate = <real>((<control *>p[9]).rate * c[0])
    cdef real rho = <real>c[1], fresh = <real>(1 - c[1]), epsilon = <real>c[2], keep = <real>c[3]
    cdef int64_t i
    if a == NULL and m == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            w[i] -= rate * g[i] / root(v[i] + epsilon)
    elif m == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            a[i] = rho * a[i] + fresh * g[i]
            w[i] -= rate * g[i] / root(v[i] - a[i] * a[i] + epsilon)
    elif a == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            m[i] = keep * m[i] + rate * g[i] / root(v[i] + epsilon)
            w[i] -= m[i]
    else:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            a[i] = rho * a[i] + fresh * g[i]
            m[i] = keep * m[i] + rate * g[i] / root(v[i] - a[i] * a[i] + epsilon)
            w[i] -= m[i]


cdef void adam(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, m, v, w, g, m, v, control], c = [rate_factor, beta_1, beta_2, epsilon]."""
    cdef real *w = p[0]
    cdef real *m = p[1]
    cdef real *v = p[2]
    cdef const real *g = p[4]
    cdef const control *state = <const control *>p[7]
    cdef double t = <double>(state.iteration + 1)
    cdef real alpha = <real>(
        state.rate * c[0] * sqrt(<double>1 - pow(c[2], t)) / (<double>1 - pow(c[1], t)))
    cdef real fresh_m = <real>(1 - c[1]), fresh_v = <real>(1 - c[2]), epsilon = <real>c[3]
    cdef int64_t i
    for i in range(n[0]):
        m[i] += (g[i] - m[i]) * fresh_m
        v[i] += (g[i] * g[i] - v[i]) * fresh_v
        w[i] -= alpha * m[i] / (root(v[i]) + epsilon)


cdef void accumulate(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [total, total, g], c = [factor]: total += factor g."""
    cdef real *total = p[0]
    cdef const real *g = p[2]
    cdef real factor = <real>c[0]
    cdef int64_t i
    for i in range(n[0]):
        total[i] += factor * g[i]


cdef void clear(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w]: w = 0."""
    memset(p[0], 0, n[0] * sizeof(real))
