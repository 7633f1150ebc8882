"""Optimizers: one call updates one range of the flat parameter buffer, in place.

Letters as in fastnn/ops/optimizers.py, where the formulas stand. `p` holds the outputs (w and the
slots), the inputs (w, g and the slots: the same addresses again), then the control record; `c` the
row's rate factor and weight decay, then the optimizer's constants.
"""
from libc.math cimport exp, fabs, fabsf, pow, sqrt, sqrtf


cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline real magnitude(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real greater_of(real x, real y) noexcept nogil:
    """The larger one; a NaN wins."""
    return x if (x > y) | (x != x) else y


cdef inline double rate_of(const void *state, const double *c) noexcept nogil:
    return (<const control *>state).rate * c[0]


cdef inline double shrunk(double rate, const double *c) noexcept nogil:
    """What weight decay leaves of w."""
    return 1 - rate * c[1]


cdef void sgd(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, w, g, control], c = [rate_factor, decay]."""
    cdef real *w = p[0]
    cdef const real *g = p[2]
    cdef double step = rate_of(p[3], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c)
    cdef int64_t i
    for i in range(n[0]):
        w[i] = left * w[i] - rate * g[i]


cdef void momentum(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, w, g, v, control], c = [rate_factor, decay, momentum, nesterov]."""
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef const real *g = p[3]
    cdef double step = rate_of(p[5], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c), keep = <real>c[2]
    cdef int64_t i
    if c[3] != 0:
        for i in range(n[0]):
            v[i] = keep * v[i] - rate * g[i]
            w[i] = left * w[i] + keep * v[i] - rate * g[i]
    else:
        for i in range(n[0]):
            v[i] = keep * v[i] - rate * g[i]
            w[i] = left * w[i] + v[i]


cdef void adagrad(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, w, g, v, control], c = [rate_factor, decay, epsilon]."""
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef const real *g = p[3]
    cdef double step = rate_of(p[5], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c), epsilon = <real>c[2]
    cdef int64_t i
    for i in range(n[0]):
        v[i] += g[i] * g[i]
        w[i] = left * w[i] - rate * g[i] / root(v[i] + epsilon)


cdef void adadelta(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, s, w, g, v, s, control], c = [rate_factor, decay, rho, epsilon]."""
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef real *s = p[2]
    cdef const real *g = p[4]
    cdef double step = rate_of(p[7], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c)
    cdef real rho = <real>c[2], fresh = <real>(1 - c[2]), epsilon = <real>c[3], d
    cdef int64_t i
    for i in range(n[0]):
        v[i] = rho * v[i] + fresh * g[i] * g[i]
        d = root(s[i] + epsilon) * g[i] / root(v[i] + epsilon)
        s[i] = rho * s[i] + fresh * d * d
        w[i] = left * w[i] - rate * d


cdef void rmsprop(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, v, a, m, w, g, v, a, m, control], c = [.., rho, epsilon, momentum].

    a (the mean gradient) and m (the velocity) can be NULL.
    """
    cdef real *w = p[0]
    cdef real *v = p[1]
    cdef real *a = p[2]
    cdef real *m = p[3]
    cdef const real *g = p[5]
    cdef double step = rate_of(p[9], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c)
    cdef real rho = <real>c[2], fresh = <real>(1 - c[2]), epsilon = <real>c[3], keep = <real>c[4]
    cdef int64_t i
    if a == NULL and m == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            w[i] = left * w[i] - rate * g[i] / root(v[i] + epsilon)
    elif m == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            a[i] = rho * a[i] + fresh * g[i]
            w[i] = left * w[i] - rate * g[i] / root(v[i] - a[i] * a[i] + epsilon)
    elif a == NULL:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            m[i] = keep * m[i] + rate * g[i] / root(v[i] + epsilon)
            w[i] = left * w[i] - m[i]
    else:
        for i in range(n[0]):
            v[i] = rho * v[i] + fresh * g[i] * g[i]
            a[i] = rho * a[i] + fresh * g[i]
            m[i] = keep * m[i] + rate * g[i] / root(v[i] - a[i] * a[i] + epsilon)
            w[i] = left * w[i] - m[i]


cdef inline double updates_done(const void *state) noexcept nogil:
    return <double>((<const control *>state).iteration + 1)


cdef void adam(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, m, v, u, w, g, m, v, u, control], c = [.., beta_1, beta_2, epsilon].

    u (the largest v so far) can be NULL.
    """
    cdef real *w = p[0]
    cdef real *m = p[1]
    cdef real *v = p[2]
    cdef real *u = p[3]
    cdef const real *g = p[5]
    cdef double t = updates_done(p[9]), step = rate_of(p[9], c)
    cdef real left = <real>shrunk(step, c)
    cdef real alpha = <real>(step * sqrt(1 - pow(c[3], t)) / (1 - pow(c[2], t)))
    cdef real fresh_m = <real>(1 - c[2]), fresh_v = <real>(1 - c[3]), epsilon = <real>c[4]
    cdef int64_t i
    if u == NULL:
        for i in range(n[0]):
            m[i] += (g[i] - m[i]) * fresh_m
            v[i] += (g[i] * g[i] - v[i]) * fresh_v
            w[i] = left * w[i] - alpha * m[i] / (root(v[i]) + epsilon)
    else:
        for i in range(n[0]):
            m[i] += (g[i] - m[i]) * fresh_m
            v[i] += (g[i] * g[i] - v[i]) * fresh_v
            u[i] = greater_of(u[i], v[i])
            w[i] = left * w[i] - alpha * m[i] / (root(u[i]) + epsilon)


cdef void adamax(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, m, u, w, g, m, u, control], c = [.., beta_1, beta_2, epsilon]."""
    cdef real *w = p[0]
    cdef real *m = p[1]
    cdef real *u = p[2]
    cdef const real *g = p[4]
    cdef double t = updates_done(p[7]), step = rate_of(p[7], c)
    cdef real left = <real>shrunk(step, c), alpha = <real>(step / (1 - pow(c[2], t)))
    cdef real fresh = <real>(1 - c[2]), keep = <real>c[3], epsilon = <real>c[4]
    cdef int64_t i
    for i in range(n[0]):
        m[i] += (g[i] - m[i]) * fresh
        u[i] = greater_of(keep * u[i], magnitude(g[i]))
        w[i] = left * w[i] - alpha * m[i] / (u[i] + epsilon)


cdef double nadam_product(double beta_1, double t) noexcept nogil:
    """mu(1) mu(2) .. mu(t), with mu(i) = beta_1 (1 - 0.96^i / 2), in some fifty steps for any t.

    log(1 - 0.96^i / 2) is a series in powers of 0.96^i; its sum over i is one of geometric sums.
    """
    cdef double half = 1, power = 1, late = 1, all_late = pow(<double>0.96, t), total = 0
    cdef int k
    for k in range(1, 61):      # scalar: once per update, each step needs the last one
        half *= <double>0.5
        power *= <double>0.96
        late *= all_late
        total -= half / k * power * (1 - late) / (1 - power)
    return pow(beta_1, t) * exp(total)


cdef void nadam(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, m, v, w, g, m, v, control], c = [.., beta_1, beta_2, epsilon]."""
    cdef real *w = p[0]
    cdef real *m = p[1]
    cdef real *v = p[2]
    cdef const real *g = p[4]
    cdef double t = updates_done(p[7]), step = rate_of(p[7], c)
    cdef double product = nadam_product(c[2], t)
    cdef double mu = c[2] * (1 - <double>0.5 * pow(<double>0.96, t))
    cdef double next_mu = c[2] * (1 - <double>0.5 * pow(<double>0.96, t + 1))
    cdef real of_m = <real>(step * next_mu / (1 - product * next_mu))
    cdef real of_g = <real>(step * (1 - mu) / (1 - product))
    cdef real of_v = <real>(1 / (1 - pow(c[3], t))), left = <real>shrunk(step, c)
    cdef real fresh_m = <real>(1 - c[2]), fresh_v = <real>(1 - c[3]), epsilon = <real>c[4]
    cdef int64_t i
    for i in range(n[0]):
        m[i] += (g[i] - m[i]) * fresh_m
        v[i] += (g[i] * g[i] - v[i]) * fresh_v
        w[i] = left * w[i] - (of_m * m[i] + of_g * g[i]) / (root(of_v * v[i]) + epsilon)


cdef void lion(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, m, w, g, m, control], c = [.., beta_1, beta_2]."""
    cdef real *w = p[0]
    cdef real *m = p[1]
    cdef const real *g = p[3]
    cdef double step = rate_of(p[5], c)
    cdef real rate = <real>step, left = <real>shrunk(step, c)
    cdef real keep = <real>c[2], fresh = <real>(1 - c[2])
    cdef real keep_m = <real>c[3], fresh_m = <real>(1 - c[3]), zero = <real>0, x
    cdef int64_t i
    for i in range(n[0]):
        x = keep * m[i] + fresh * g[i]
        x = <real>1 if x > zero else (<real>-1 if x < zero else x)
        w[i] = left * w[i] - rate * x
        m[i] = keep_m * m[i] + fresh_m * g[i]
