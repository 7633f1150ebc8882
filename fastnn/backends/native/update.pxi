"""What an update does beside the optimizer: gradients summed and clipped, weights averaged and
held to their constraints. The formulas stand in fastnn/ops/updates.py; all is in place.
"""


cdef inline bint completes(const void *state, double between) noexcept nogil:
    """Whether the running batch is the last one of `between` batches; never if that is 0."""
    cdef int64_t k = <int64_t>between
    return k > 0 and ((<const control *>state).step + 1) % k == 0


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


cdef void clip(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, w, control], c = [low, high, between]; NaN stays."""
    cdef real *w = p[0]
    cdef real low = <real>c[0], high = <real>c[1], x
    cdef int64_t i
    if completes(p[2], c[2]):
        return
    for i in range(n[0]):
        x = low if w[i] < low else w[i]
        w[i] = high if x > high else x


cdef inline double squares(const real *x, int64_t count) noexcept nogil:
    if real is float:
        return sum_squares_float(x, count)
    else:
        return sum_squares_double(x, count)


cdef void square_sum(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [total, w, before or NULL]: total = before + the sum of w^2."""
    cdef double before = 0 if p[2] == NULL else (<const double *>p[2])[0]
    (<double *>p[0])[0] = before + squares(<const real *>p[1], n[0])


cdef void clip_norm(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [g, g, total], c = [limit]: g *= limit / max(norm, limit); NaN for an infinite norm."""
    cdef real *g = p[0]
    cdef double norm = sqrt((<const double *>p[2])[0])
    cdef real factor = <real>(c[0] / greater_of(norm, c[0]) + (norm - norm))
    cdef int64_t i
    for i in range(n[0]):
        g[i] *= factor


cdef void average(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w, a, w, a, control], c = [momentum, overwrite, between]."""
    cdef real *w = p[0]
    cdef real *a = p[1]
    cdef const control *state = <const control *>p[4]
    cdef int64_t t = state.iteration + 1, every = <int64_t>c[1], i
    cdef real keep = <real>(c[0] if t > 1 else 0)
    cdef real fresh = <real>1 - keep
    if completes(state, c[2]):
        return
    for i in range(n[0]):
        a[i] = keep * a[i] + fresh * w[i]
    if every > 0 and t % every == 0:
        memcpy(w, a, n[0] * sizeof(real))


cdef inline real wanted_norm(real norm, const double *c) noexcept nogil:
    """What takes a weight of this norm where its constraint wants it, c = [low, high, rate]."""
    cdef real low = <real>c[0], high = <real>c[1], rate = <real>c[2], rest = <real>(1 - c[2])
    cdef real limited = low if norm < low else (high if norm > high else norm)
    return (rate * limited + rest * norm) / (norm + <real>1e-7)


cdef void limit_norm(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [w (outer, along, side), w, control, workspace (side)], n = [outer, along, side].

    c = [low, high, rate, between].
    """
    cdef real *w = p[0]
    cdef real *factor = p[3]
    cdef int64_t along = n[1], side = n[2], i, j, k
    if completes(p[2], c[3]):
        return
    for k in range(n[0]):
        if side == 1:
            factor[0] = wanted_norm(<real>sqrt(squares(w, along)), c)
            for i in range(along):
                w[i] *= factor[0]
        else:
            memset(factor, 0, side * sizeof(real))
            for i in range(along):
                for j in range(side):
                    factor[j] += w[i * side + j] * w[i * side + j]
            for j in range(side):
                factor[j] = wanted_norm(root(factor[j]), c)
            for i in range(along):
                for j in range(side):
                    w[i * side + j] *= factor[j]
        w += along * side
