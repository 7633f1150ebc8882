"""Small kernels that move or shift data: affine, concatenate, unslice, assign."""


cdef void affine(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (count), x], c = [factor, offset]: y = factor x + offset; y may be x."""
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef real factor = <real>c[0], offset = <real>c[1]
    cdef int64_t i
    if n[1] & 1:
        for i in range(n[0]):
            y[i] += factor * x[i] + offset
    else:
        for i in range(n[0]):
            y[i] = factor * x[i] + offset


cdef void concatenate(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (outer, sum of widths), x0, x1, ...], n = [outer, parts, widths ..., add]."""
    cdef int64_t parts = n[1], total = 0, start = 0, part, row, j, width
    cdef bint add = n[2 + parts] & 1
    cdef real *y
    cdef const real *x
    for part in range(parts):
        total += n[2 + part]
    for part in range(parts):
        width = n[2 + part]
        x = p[1 + part]
        y = p[0] + start
        for row in range(n[0]):
            if add:
                for j in range(width):
                    y[j] += x[j]
            else:
                memcpy(y, x, width * sizeof(real))
            x += width
            y += total
        start += width


cdef void unslice(real **p, const int64_t *n, const double *c) noexcept nogil:
    """As copy, n[14] = elements of y: y is cleared first, and x is added to its slice."""
    cdef int64_t sizes[15]
    if not n[15] & 1:
        memset(p[0], 0, n[14] * sizeof(real))
    memcpy(sizes, n, 14 * sizeof(int64_t))
    sizes[14] = 1
    copy(p, sizes, c)


cdef void assign(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [state, state, x (count)]: the beginning of the state becomes x."""
    memcpy(p[0], p[2], n[0] * sizeof(real))
