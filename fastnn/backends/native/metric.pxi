"""Metrics that are no losses: accuracies, counts, and labels in another form.

An accumulator is double, its shape and meaning stand with the op in fastnn/ops/metrics.py; weights
are as in loss.pxi.
"""
from libc.math cimport ceil


cdef inline int64_t largest(const real *x, int64_t width) noexcept nogil:
    """The place of the first largest value."""
    cdef int64_t best = 0, j
    for j in range(1, width):   # scalar: it looks for a place
        if x[j] > x[best]:
            best = j
    return best


cdef void categorical_accuracy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, prediction (rows, width), target, weight], n = [rows, width, sparse, per]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef int64_t rows = n[0], width = n[1], per = n[3], row, label
    cdef double factor, right = 0, total = 0
    for row in range(rows):
        label = labels[row] if n[2] else largest(t + row * width, width)
        factor = <double>weight_of(weight, row, per)
        right += factor * (largest(x + row * width, width) == label)
        total += factor
    sums[0] += right
    sums[1] += total


cdef void binary_accuracy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, prediction (rows, width), target, weight], n = [rows, width], c = [threshold]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef real threshold = <real>c[0]
    cdef int64_t rows = n[0], width = n[1], row, j, right
    cdef double factor
    for row in range(rows):
        right = 0
        for j in range(width):
            right += (<real>(x[j] > threshold)) == t[j]
        factor = <double>weight_of(weight, row, 1)
        sums[0] += factor * <double>right
        sums[1] += factor
        x += width
        t += width


cdef void confusion_matrix(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [cells (width, width), prediction, target, weight], n = [rows, width, sparse, per]."""
    cdef double *cells = <double *>p[0]
    cdef const real *x = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], row, label
    for row in range(rows):
        label = labels[row] if n[2] else largest(t + row * width, width)
        if 0 <= label < width:
            cells[label * width + largest(x + row * width, width)] += <double>weight_of(
                <const real *>p[3], row, n[3])


cdef void one_hot(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (count, classes), t], n = [count, classes, add]."""
    cdef real *y = p[0]
    cdef const int32_t *t = <const int32_t *>p[1]
    cdef int64_t i
    for i in range(n[0] * n[1] if not n[2] & 1 else 0):
        y[i] = 0
    for i in range(n[0]):       # scalar: one number per row
        if 0 <= t[i] < n[1]:
            y[i * n[1] + t[i]] += <real>1


cdef void real_labels(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (count), t], n = [count, add]."""
    cdef real *y = p[0]
    cdef const int32_t *t = <const int32_t *>p[1]
    cdef int64_t i
    for i in range(n[0]):
        y[i] = <real>t[i] + (y[i] if n[1] & 1 else <real>0)


cdef void whole_labels(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (count), t], n = [count, -]."""
    cdef int32_t *y = <int32_t *>p[0]
    cdef const real *t = p[1]
    cdef int64_t i
    for i in range(n[0]):
        y[i] = <int32_t>t[i]


cdef void top_k_accuracy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, prediction (rows, width), target, weight], n = [.., sparse, per], c = [k]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], row, j, label, above
    cdef double factor
    cdef real aim
    for row in range(rows):
        label = labels[row] if n[2] else largest(t + row * width, width)
        factor = <double>weight_of(<const real *>p[3], row, n[3])
        sums[1] += factor
        if 0 <= label < width:
            aim = x[label]
            above = 0
            for j in range(width):
                above += x[j] > aim
            if above < <int64_t>c[0] and aim == aim:
                sums[0] += factor
        x += width


cdef void top_k_only(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (rows, width), x], n = [rows, width, k, add]."""
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef int64_t width = n[1], row, i, j, above
    cdef real value
    for row in range(n[0]):
        for j in range(width):
            above = 0
            for i in range(width):  # scalar: a metric of rare use
                above += x[i] > x[j] or (x[i] == x[j] and i < j)
            value = x[j] if above < n[2] else <real>-1e10
            y[j] = y[j] + value if n[3] & 1 else value
        x += width
        y += width


cdef void threshold_counts(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [cells (2, number + 1), prediction (rows, width), target, weight], c = [thresholds].

    n = [rows, width, number of thresholds, whether they are spread evenly].
    """
    cdef double *cells = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], number = n[2], row, j, i, above
    cdef double factor, place
    for row in range(rows):
        factor = <double>weight_of(<const real *>p[3], row, 1)
        for j in range(width):
            above = 0
            if n[3]:
                place = ceil(<double>(x[j] * <real>(number - 1)))
                above = 1
                if place >= <double>(number - 1):
                    above = number - 1
                elif place > 1:
                    above = <int64_t>place
            else:
                for i in range(number):
                    above += x[j] > <real>c[i]
            cells[above] += factor * <double>t[j]
            cells[number + 1 + above] += factor * (<double>1 - <double>t[j])
        x += width
        t += width


cdef void class_counts(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [cells (3, width), prediction (rows, width), target, weight], n = [rows, width, -, per].

    c = [whether the largest is chosen, else the threshold].
    """
    cdef double *cells = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], row, j
    cdef real threshold = <real>c[1], tiny = <real>1e-9
    cdef double factor, chosen
    cdef bint right
    for row in range(rows):
        factor = <double>weight_of(<const real *>p[3], row, n[3])
        if c[0] != 0:
            threshold = row_maximum(x, width)
        for j in range(width):      # scalar: a metric of rare use
            if c[0] != 0:
                right = x[j] >= threshold and (x[j] > tiny or x[j] < -tiny)
            else:
                right = x[j] > threshold
            chosen = factor if right else <double>0
            cells[j] += chosen * <double>t[j]
            cells[width + j] += chosen
            cells[2 * width + j] += factor * <double>t[j]
        x += width
        t += width


cdef void r2_sums(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [cells (5, width), prediction (rows, width), target, weight], n = as class_counts."""
    cdef double *cells = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], row, j
    cdef double factor, aim, error
    for row in range(rows):
        factor = <double>weight_of(<const real *>p[3], row, n[3])
        for j in range(width):      # scalar: a metric of rare use
            aim = <double>t[j]
            error = aim - <double>x[j]
            cells[j] += factor * aim
            cells[width + j] += factor * aim * aim
            cells[2 * width + j] += factor * error * error
            cells[3 * width + j] += factor
            cells[4 * width + j] += 1
        x += width
        t += width
