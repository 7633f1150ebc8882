"""Elementary kernels: what is done to each number, and the ways numbers are moved about.

    activation, softmax and log_softmax with their backward, unary, binary,
    binary_number, where, reduce, copy, gather_rows, scatter_add_rows

The formulas and their vector loops live in formulas.h, sums and maxima of rows in rows.h; the
kernels here walk over axes. Arrays have up to four axes; strides and offsets count elements, a
stride of 0 repeats (broadcasts) an axis.
"""
from libc.string cimport memcpy, memset

cdef extern from "formulas.h" nogil:
    const int BINARY_add
    const int BINARY_maximum
    void (**forward_float "activation_forward_float")(float *y, const float *x, int64_t n,
                                                      const double *c) noexcept
    void (**forward_double "activation_forward_double")(double *y, const double *x, int64_t n,
                                                        const double *c) noexcept
    void (**backward_float "activation_backward_float")(float *dx, const float *dy, const float *s,
                                                        int64_t n, const double *c,
                                                        int add) noexcept
    void (**backward_double "activation_backward_double")(double *dx, const double *dy,
                                                          const double *s, int64_t n,
                                                          const double *c, int add) noexcept
    void (**unary_float)(float *y, const float *x, int64_t n) noexcept
    void (**unary_double)(double *y, const double *x, int64_t n) noexcept
    void (**binary_float)(float *y, const float *a, const float *b, int64_t n,
                          int64_t a_stride, int64_t b_stride) noexcept
    void (**binary_double)(double *y, const double *a, const double *b, int64_t n,
                           int64_t a_stride, int64_t b_stride) noexcept
    const int UNARY_exp
    const int UNARY_log

cdef extern from "rows.h" nogil:
    const int SHORT_ROW
    double row_sum_float(const float *x, int64_t count) noexcept
    double row_sum_double(const double *x, int64_t count) noexcept
    float row_dot_float(const float *a, const float *b, int64_t count) noexcept
    double row_dot_double(const double *a, const double *b, int64_t count) noexcept
    float row_dot_nonzero_float(const float *a, const float *b, int64_t count) noexcept
    double row_dot_nonzero_double(const double *a, const double *b, int64_t count) noexcept
    float row_maximum_float(const float *x, int64_t count) noexcept
    double row_maximum_double(const double *x, int64_t count) noexcept
    bint row_has_nan_float(const float *x, int64_t count) noexcept
    bint row_has_nan_double(const double *x, int64_t count) noexcept
    void transpose_square_float(float *y, int64_t y_row, const float *x, int64_t x_row) noexcept
    void transpose_square_double(double *y, int64_t y_row, const double *x, int64_t x_row) noexcept
    const int LANES_float "FASTNN_LANES_float"      # numbers in one vector
    const int LANES_double "FASTNN_LANES_double"
    const double INFINITY
    const double NAN

cdef enum:
    CHUNK = 256             # elements of a temporary on the stack
    SOFTMAX_BLOCK = 2048    # elements of the rows that a softmax takes at once: they stay in L1
    SOFTMAX_ROWS = 256      # ... and the most of these rows
    SUM_BLOCK = 256         # rows that are summed in float before the sums are added in double
    ACTIVATION, UNARY       # the two tables of functions of one number


cdef struct walk:           # four axes, and along them the strides of up to three arrays
    int64_t d[4]
    int64_t a[4]
    int64_t b[4]
    int64_t c[4]


cdef walk merged(const int64_t *d, const int64_t *a, const int64_t *b,
                 const int64_t *c) noexcept nogil:
    """Joins neighbouring axes wherever all arrays allow it; the last axis becomes the longest."""
    cdef walk w
    cdef int last = 3, i
    for i in range(4):
        w.d[i] = 1
        w.a[i] = w.b[i] = w.c[i] = 0
    for i in range(3, -1, -1):
        if d[i] == 1:
            continue
        if w.d[last] != 1:
            if (a[i] == w.a[last] * w.d[last] and b[i] == w.b[last] * w.d[last]
                    and c[i] == w.c[last] * w.d[last]):
                w.d[last] *= d[i]
                continue
            last -= 1
        w.d[last] = d[i]
        w.a[last] = a[i]
        w.b[last] = b[i]
        w.c[last] = c[i]
    return w


cdef inline void add_line(real *y, const real *x, int64_t count) noexcept nogil:
    if real is float:
        binary_float[BINARY_add](y, y, x, count, 1, 1)
    else:
        binary_double[BINARY_add](y, y, x, count, 1, 1)


cdef void map_with(int table, int64_t function, real *y, const real *x, int64_t count,
                   const double *c, bint add) noexcept nogil:
    """y (count) = function(x (count)), or y += function(x); c = parameters of an activation."""
    cdef real chunk[CHUNK]
    cdef int64_t part
    if add:
        while count > 0:
            part = min(count, CHUNK)
            map_with(table, function, <real *>chunk, x, part, c, False)
            add_line(y, chunk, part)
            y += part
            x += part
            count -= part
    elif table == ACTIVATION:
        if real is float:
            forward_float[function](y, x, count, c)
        else:
            forward_double[function](y, x, count, c)
    else:
        if real is float:
            unary_float[function](y, x, count)
        else:
            unary_double[function](y, x, count)


cdef void map_line(int table, int64_t function, real *y, const real *x, int64_t count,
                   bint add) noexcept nogil:
    """map_with for a function without parameters."""
    map_with(table, function, y, x, count, NULL, add)


cdef void activation(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (count) = function(x (count)), c = its parameters; y may be x."""
    map_with(ACTIVATION, n[1], p[0], p[1], n[0], c, n[2] & 1)


cdef void activation_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dx (count) = dy (count) * function'(s (count)), s = what the function keeps; dx may be dy."""
    if real is float:
        backward_float[n[1]](p[0], p[1], p[2], n[0], c, n[2] & 1)
    else:
        backward_double[n[1]](p[0], p[1], p[2], n[0], c, n[2] & 1)


cdef void unary(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (count) = function(x (count)); y may be x."""
    map_line(UNARY, n[1], p[0], p[1], n[0], n[2] & 1)


cdef inline real row_maximum(const real *x, int64_t count) noexcept nogil:
    if real is float:
        return row_maximum_float(x, count)
    else:
        return row_maximum_double(x, count)


cdef inline bint row_has_nan(const real *x, int64_t count) noexcept nogil:
    if real is float:
        return row_has_nan_float(x, count)
    else:
        return row_has_nan_double(x, count)


cdef inline double row_sum(const real *x, int64_t count) noexcept nogil:
    if real is float:
        return row_sum_float(x, count)
    else:
        return row_sum_double(x, count)


cdef inline real row_dot(const real *a, const real *b, int64_t count) noexcept nogil:
    if real is float:
        return row_dot_float(a, b, count)
    else:
        return row_dot_double(a, b, count)


cdef inline real row_dot_nonzero(const real *a, const real *b, int64_t count) noexcept nogil:
    if real is float:
        return row_dot_nonzero_float(a, b, count)
    else:
        return row_dot_nonzero_double(a, b, count)


cdef int64_t softmax_rows_at_once(int64_t width) noexcept nogil:
    if width >= SOFTMAX_BLOCK:
        return 1
    # A division of 64 bits takes twice as long as one of 32.
    return min(SOFTMAX_ROWS, SOFTMAX_BLOCK // <int>width)


cdef void softmax_rows(real *y, real *maximum, double *total, const real *x, int64_t rows,
                       int64_t width) noexcept nogil:
    """The softmax of each row of x, its maximum and the sum of exp(x - maximum); y may be x.

    exp runs over all of the `softmax_rows_at_once` at once. Short rows are turned into columns, so
    that the rest fills vectors too.
    """
    cdef real columns[SOFTMAX_BLOCK]
    cdef real factor[SOFTMAX_ROWS]
    cdef real value
    cdef int64_t i, j
    if width < SHORT_ROW:
        columns[0] = 0      # or gcc warns that there might be no rows
        for i in range(rows):
            maximum[i] = <real>-INFINITY
            factor[i] = 0
        for j in range(width):
            for i in range(rows):
                columns[j * rows + i] = x[i * width + j]
        for j in range(width):
            for i in range(rows):
                value = columns[j * rows + i]   # NaN is not greater
                maximum[i] = value if value > maximum[i] else maximum[i]
        for j in range(width):
            for i in range(rows):
                columns[j * rows + i] -= maximum[i]
        map_line(UNARY, UNARY_exp, columns, columns, rows * width, False)
        for j in range(width):
            for i in range(rows):
                factor[i] += columns[j * rows + i]
        for i in range(rows):
            total[i] = <double>factor[i]
            factor[i] = <real>1 / factor[i]
        for j in range(width):
            for i in range(rows):
                columns[j * rows + i] *= factor[i]
        for i in range(rows):
            for j in range(width):
                y[i * width + j] = columns[j * rows + i]
        return
    for i in range(rows):
        maximum[i] = row_maximum(x + i * width, width)
        for j in range(width):
            y[i * width + j] = x[i * width + j] - maximum[i]
    map_line(UNARY, UNARY_exp, y, y, rows * width, False)
    for i in range(rows):
        total[i] = row_sum(<const real *>y + i * width, width)
        value = <real>(1 / total[i])
        for j in range(width):
            y[i * width + j] *= value


cdef void softmax_row_added(real *y, const real *x, int64_t width) noexcept nogil:
    """y (width) += softmax(x (width)). Nothing holds the whole row of exp: it is computed twice."""
    cdef real chunk[CHUNK]
    cdef real maximum = row_maximum(x, width)
    cdef real factor = 1
    cdef double total = 0
    cdef int64_t start, part, j
    cdef int sweep
    for sweep in range(2):
        start = 0
        while start < width:
            part = min(width - start, CHUNK)
            for j in range(part):
                chunk[j] = x[start + j] - maximum
            map_line(UNARY, UNARY_exp, chunk, chunk, part, False)
            if sweep == 0:
                total += row_sum(<const real *>chunk, part)
            else:
                for j in range(part):
                    y[start + j] += chunk[j] * factor
            start += part
        factor = <real>(1 / total)


cdef void softmax(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (rows, width) = softmax of each row of x. A row of -inf alone gives NaN."""
    cdef real maximum[SOFTMAX_ROWS]
    cdef double total[SOFTMAX_ROWS]
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef int64_t rows = n[0], width = n[1], part
    while rows > 0:
        if n[2] & 1:
            part = 1
            softmax_row_added(y, x, width)
        else:
            part = min(rows, softmax_rows_at_once(width))
            softmax_rows(y, <real *>maximum, <double *>total, x, part, width)
        y += part * width
        x += part * width
        rows -= part


cdef real log_total(const real *x, int64_t width, real maximum) noexcept nogil:
    """log(sum of exp(x - maximum)) of a row x (width)."""
    cdef real chunk[CHUNK]
    cdef real total[1]
    cdef double sums = 0
    cdef int64_t start = 0, part, j
    while start < width:
        part = min(width - start, CHUNK)
        for j in range(part):
            chunk[j] = x[start + j] - maximum
        map_line(UNARY, UNARY_exp, <real *>chunk, <const real *>chunk, part, False)
        sums += row_sum(<const real *>chunk, part)
        start += part
    total[0] = <real>sums
    map_line(UNARY, UNARY_log, <real *>total, <const real *>total, 1, False)
    return total[0]


cdef void log_softmax(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (rows, width) = log(softmax) of each row of x; y may be x. A row of -inf gives NaN."""
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef int64_t width = n[1], i, j
    cdef bint add = n[2] & 1
    cdef real maximum, rest
    for i in range(n[0]):
        maximum = row_maximum(x, width)
        rest = log_total(x, width, maximum)
        if add:
            for j in range(width):
                y[j] += (x[j] - maximum) - rest
        else:
            for j in range(width):
                y[j] = (x[j] - maximum) - rest
        y += width
        x += width


cdef void log_softmax_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dx (rows, width) = dy - exp(y) * (sum of dy over the row); dx may be dy."""
    cdef real chunk[CHUNK]
    cdef real *dx = p[0]
    cdef const real *dy = p[1]
    cdef const real *y = p[2]
    cdef int64_t width = n[1], i, j, start, part
    cdef bint add = n[2] & 1
    cdef real total
    for i in range(n[0]):
        total = <real>row_sum(dy, width)
        start = 0
        while start < width:
            part = min(width - start, CHUNK)
            map_line(UNARY, UNARY_exp, <real *>chunk, y + start, part, False)
            if add:
                for j in range(part):
                    dx[start + j] += dy[start + j] - chunk[j] * total
            else:
                for j in range(part):
                    dx[start + j] = dy[start + j] - chunk[j] * total
            start += part
        dx += width
        dy += width
        y += width


cdef void softmax_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dx (rows, width) = y * (dy - sum of y * dy over the row); dx may be dy."""
    cdef real *dx = p[0]
    cdef const real *dy = p[1]
    cdef const real *y = p[2]
    cdef int64_t rows = n[0], width = n[1], i, j
    cdef bint add = n[2] & 1
    cdef real dot
    for i in range(rows):
        dot = row_dot(dy, y, width)
        if add:
            for j in range(width):
                dx[j] += y[j] * (dy[j] - dot)
        else:
            for j in range(width):
                dx[j] = y[j] * (dy[j] - dot)
        dx += width
        dy += width
        y += width


cdef void binary_line(int64_t function, real *y, const real *a, const real *b, int64_t count,
                      int64_t a_stride, int64_t b_stride, bint add) noexcept nogil:
    cdef real chunk[CHUNK]
    cdef int64_t part
    if add:
        while count > 0:
            part = min(count, CHUNK)
            binary_line(function, chunk, a, b, part, a_stride, b_stride, False)
            add_line(y, chunk, part)
            y += part
            a += part * a_stride
            b += part * b_stride
            count -= part
    elif real is float:
        binary_float[function](y, a, b, count, a_stride, b_stride)
    else:
        binary_double[function](y, a, b, count, a_stride, b_stride)


cdef void binary(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (d0, d1, d2, d3), contiguous, = function(a, b) with the strides a0 .. a3 and b0 .. b3."""
    cdef walk w = merged(n + 1, n + 5, n + 9, n + 9)
    cdef real *y = p[0]
    cdef int64_t i, j, k
    for i in range(w.d[0]):
        for j in range(w.d[1]):
            for k in range(w.d[2]):
                binary_line(n[0], y, p[1] + i * w.a[0] + j * w.a[1] + k * w.a[2],
                            p[2] + i * w.b[0] + j * w.b[1] + k * w.b[2],
                            w.d[3], w.a[3], w.b[3], n[13] & 1)
                y += w.d[3]


cdef void binary_number(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (count) = function(x, c[0]), or function(c[0], x) where n[2] says so; y may be x."""
    cdef real number[1]
    number[0] = <real>c[0]
    if n[2]:
        binary_line(n[0], p[0], <const real *>number, <const real *>p[1], n[1], 0, 1, n[3] & 1)
    else:
        binary_line(n[0], p[0], <const real *>p[1], <const real *>number, n[1], 1, 0, n[3] & 1)


cdef inline const real *line(real *chunk, const real *x, int64_t count,
                             int64_t stride) noexcept nogil:
    """x itself where its numbers are neighbours, else a copy of them in chunk."""
    cdef int64_t i
    cdef real value
    if stride == 1:
        return x
    if stride == 0:
        value = x[0]
        for i in range(count):
            chunk[i] = value
    else:
        for i in range(count):
            chunk[i] = x[i * stride]
    return chunk


cdef extern from * nogil:
    """
    #define CHOOSE_LINE(REAL)                                                                     \\
        FASTNN_NOINLINE void choose_##REAL(REAL *y, const REAL *condition, const REAL *a,         \\
                                           const REAL *b, int64_t n, int add) {                   \\
            FASTNN_PRAGMA(omp simd)                                                               \\
            for (int64_t i = 0; i < n; i++) {                                                     \\
                const REAL left = a[i], right = b[i];                                             \\
                const REAL value = condition[i] != (REAL)0 ? left : right;                        \\
                y[i] = add ? y[i] + value : value;                                                \\
            }                                                                                     \\
        }
    CHOOSE_LINE(float)
    CHOOSE_LINE(double)
    """
    void choose_float(float *y, const float *condition, const float *a, const float *b, int64_t n,
                      bint add) noexcept
    void choose_double(double *y, const double *condition, const double *a, const double *b,
                       int64_t n, bint add) noexcept


cdef void where_line(real *y, const real *condition, const real *a, const real *b, int64_t count,
                     bint add) noexcept nogil:
    if real is float:
        choose_float(y, condition, a, b, count, add)
    else:
        choose_double(y, condition, a, b, count, add)


cdef void where(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (d0, d1, d2, d3), contiguous, = a where the condition is not 0, else b, all strided."""
    cdef walk w = merged(n, n + 4, n + 8, n + 12)
    cdef real chunk[3][CHUNK]
    cdef real *y = p[0]
    cdef const real *condition
    cdef const real *a
    cdef const real *b
    cdef int64_t i, j, k, start, part
    for i in range(w.d[0]):
        for j in range(w.d[1]):
            for k in range(w.d[2]):
                condition = p[1] + i * w.a[0] + j * w.a[1] + k * w.a[2]
                a = p[2] + i * w.b[0] + j * w.b[1] + k * w.b[2]
                b = p[3] + i * w.c[0] + j * w.c[1] + k * w.c[2]
                start = 0
                while start < w.d[3]:
                    part = min(w.d[3] - start, CHUNK)
                    where_line(y, line(<real *>chunk[0], condition + start * w.a[3], part, w.a[3]),
                               line(<real *>chunk[1], a + start * w.b[3], part, w.b[3]),
                               line(<real *>chunk[2], b + start * w.c[3], part, w.c[3]),
                               part, n[16] & 1)
                    y += part
                    start += part


cdef enum:                  # functions of reduce
    REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX


cdef inline void put(real *y, int64_t function, double value, int64_t number,
                     bint add) noexcept nogil:
    if function == REDUCE_MEAN:
        value /= <double>number
    y[0] = <real>(<double>y[0] + value if add else value)


cdef inline double larger(double a, double b) noexcept nogil:
    """NaN wins."""
    return a if a > b or a != a else b


cdef double reduced(const real *x, const walk *over, bint maximum) noexcept nogil:
    """The sum or maximum of all numbers of the axes `over`."""
    cdef double total = -INFINITY if maximum else 0
    cdef const real *row
    cdef int64_t i, j, k, m
    for i in range(over.d[0]):
        for j in range(over.d[1]):
            for k in range(over.d[2]):
                row = x + i * over.a[0] + j * over.a[1] + k * over.a[2]
                if over.a[3] == 1 and not maximum:
                    total += row_sum(row, over.d[3])
                elif over.a[3] == 1 and over.d[3] >= SHORT_ROW:
                    total = larger(total, NAN if row_has_nan(row, over.d[3])
                                   else row_maximum(row, over.d[3]))
                elif maximum:
                    for m in range(over.d[3]):  # scalar: few numbers, or far apart
                        total = larger(total, row[m * over.a[3]])
                else:
                    for m in range(over.d[3]):  # scalar: numbers that lie apart
                        total += <double>row[m * over.a[3]]
    return total


cdef void sum_lines(double *total, const real *x, int64_t lines, int64_t stride,
                    int64_t width) noexcept nogil:
    """total (width) += the column sums of x (lines, width)."""
    cdef real part[CHUNK]
    cdef int64_t count, i, j
    while lines > 0:
        count = min(lines, SUM_BLOCK)
        for j in range(width):
            part[j] = 0
        for i in range(count):
            for j in range(width):
                part[j] += x[i * stride + j]
        for j in range(width):
            total[j] += <double>part[j]
        x += count * stride
        lines -= count


cdef void maximum_lines(double *total, const real *x, int64_t lines, int64_t stride,
                        int64_t width) noexcept nogil:
    """total (width) = the larger of total and the column maxima of x (lines, width)."""
    cdef real part[CHUNK]
    cdef int64_t i, j
    for j in range(width):
        part[j] = <real>total[j]
    for i in range(lines):
        binary_line(BINARY_maximum, part, part, x + i * stride, width, 1, 1, False)
    for j in range(width):
        total[j] = part[j]


cdef void reduce(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (k0, k1, k2, k3), contiguous, = sum, mean or maximum of x over the axes r0 .. r3."""
    cdef walk kept = merged(n + 1, n + 5, n + 5, n + 5)
    cdef walk over = merged(n + 9, n + 13, n + 13, n + 13)
    cdef int64_t number = n[9] * n[10] * n[11] * n[12]
    cdef bint maximum = n[0] == REDUCE_MAX, add = n[17] & 1
    cdef double total[CHUNK]
    cdef real *y = p[0]
    cdef const real *x
    cdef const real *lines
    cdef int64_t i, j, k, m, start, width, r, s, t
    for i in range(kept.d[0]):
        for j in range(kept.d[1]):
            for k in range(kept.d[2]):
                x = p[1] + i * kept.a[0] + j * kept.a[1] + k * kept.a[2]
                if kept.a[3] != 1:
                    for m in range(kept.d[3]):
                        put(y, n[0], reduced(x + m * kept.a[3], &over, maximum), number, add)
                        y += 1
                    continue
                start = 0
                while start < kept.d[3]:
                    width = min(kept.d[3] - start, CHUNK)
                    for m in range(width):
                        total[m] = -INFINITY if maximum else 0
                    for r in range(over.d[0]):
                        for s in range(over.d[1]):
                            for t in range(over.d[2]):
                                lines = x + start + r * over.a[0] + s * over.a[1] + t * over.a[2]
                                if maximum:
                                    maximum_lines(<double *>total, lines, over.d[3], over.a[3],
                                                  width)
                                else:
                                    sum_lines(<double *>total, lines, over.d[3], over.a[3], width)
                    for m in range(width):      # scalar: once per result
                        put(y, n[0], total[m], number, add)
                        y += 1
                    start += width


cdef void copy_line(real *y, const real *x, int64_t count, int64_t y_stride, int64_t x_stride,
                    bint add) noexcept nogil:
    cdef int64_t i
    if add and y_stride == 1 and x_stride == 1:
        add_line(y, x, count)
    elif add:
        for i in range(count):
            y[i * y_stride] += x[i * x_stride]
    elif y_stride == 1 and x_stride == 1:
        memcpy(y, x, count * sizeof(real))
    else:
        for i in range(count):
            y[i * y_stride] = x[i * x_stride]


cdef inline void transpose_square(real *y, int64_t y_row, const real *x,
                                  int64_t x_row) noexcept nogil:
    if real is float:
        transpose_square_float(y, y_row, x, x_row)
    else:
        transpose_square_double(y, y_row, x, x_row)


cdef void transpose(real *y, const real *x, int64_t rows, int64_t columns, int64_t y_row,
                    int64_t x_row, bint add) noexcept nogil:
    """y (rows, columns) = x (columns, rows)^T in squares, with what is left over in lines."""
    cdef int64_t edge = LANES_float if real is float else LANES_double
    cdef int64_t i = 0, j, k
    while i < rows:
        j = 0
        while j < columns:
            if not add and i + edge <= rows and j + edge <= columns:
                transpose_square(y + i * y_row + j, y_row, x + i + j * x_row, x_row)
            else:
                for k in range(i, min(i + edge, rows)):
                    copy_line(y + k * y_row + j, x + k + j * x_row, min(edge, columns - j), 1,
                              x_row, add)
            j += edge
        i += edge


cdef void copy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y[y_offset ...] (d0, d1, d2, d3) = x[x_offset ...], both with strides."""
    cdef walk w = merged(n, n + 4, n + 8, n + 8)
    cdef real *y
    cdef const real *x
    cdef int64_t i, j, k
    for i in range(w.d[0]):
        for j in range(w.d[1]):
            y = p[0] + n[12] + i * w.a[0] + j * w.a[1]
            x = p[1] + n[13] + i * w.b[0] + j * w.b[1]
            if w.a[3] == 1 and w.b[2] == 1 and w.d[2] > 1:
                transpose(y, x, w.d[2], w.d[3], w.a[2], w.b[3], n[14] & 1)
            else:
                for k in range(w.d[2]):
                    copy_line(y + k * w.a[2], x + k * w.b[2], w.d[3], w.a[3], w.b[3], n[14] & 1)


cdef void gather_rows(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (count, width) = the rows of table whose numbers are ids (count)."""
    cdef const int32_t *ids = <const int32_t *>p[2]
    cdef int64_t width = n[1], i
    for i in range(n[0]):
        copy_line(p[0] + i * width, p[1] + ids[i] * width, width, 1, 1, n[2] & 1)


cdef void scatter_add_rows(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dtable (table_rows, width) = 0, then row by row dtable[ids[i]] += dy[i] (count, width)."""
    cdef const int32_t *ids = <const int32_t *>p[2]
    cdef int64_t width = n[1], i
    if not n[3] & 1:
        memset(p[0], 0, n[2] * width * sizeof(real))
    for i in range(n[0]):
        add_line(p[0] + ids[i] * width, p[1] + i * width, width)
