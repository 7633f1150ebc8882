"""Losses: the kernels that fill their accumulators, and their gradients.

An accumulator is double: [0] the sum over rows of weight * loss, [1] the sum of the weights. There
is one weight per `per` rows (a batch row can have several positions); without weights each is 1.
The formulas of elementwise losses are in losses.h; the ops are described in fastnn/ops/losses.py.
"""

cdef extern from "losses.h" nogil:
    double (**loss_sum_float)(const float *p, const float *t, int64_t n, const double *c) noexcept
    double (**loss_sum_double)(const double *p, const double *t, int64_t n,
                               const double *c) noexcept
    void (**loss_slope_float)(float *dp, const float *p, const float *t, int64_t n, float factor,
                              int add, const double *c) noexcept
    void (**loss_slope_double)(double *dp, const double *p, const double *t, int64_t n,
                               double factor, int add, const double *c) noexcept
    double row_crossentropy_float(const float *x, const float *t, float total, int64_t n) noexcept
    double row_crossentropy_double(const double *x, const double *t, double total,
                                   int64_t n) noexcept
    float row_unclipped_float(const float *x, const float *t, float total, int64_t n) noexcept
    double row_unclipped_double(const double *x, const double *t, double total, int64_t n) noexcept
    const int LOSS_squared_error
    float log_float(float x) noexcept
    double log_double(double x) noexcept

cdef extern from * nogil:
    """
    static const double NO_PARAMETERS[3];
    """
    const double *NO_PARAMETERS


cdef inline real natural_log(real x) noexcept nogil:
    if real is float:
        return log_float(x)
    else:
        return log_double(x)


cdef inline real weight_of(const real *weight, int64_t row, int64_t per) noexcept nogil:
    return weight[row // per] if weight != NULL else <real>1


cdef void elementwise_loss(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, prediction (rows, width), target, weight (rows)], n = [rows, width, function]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef int64_t rows = n[0], width = n[1], row
    cdef double part
    if weight == NULL:
        width *= rows
        sums[1] += <double>rows
        rows = 1
    for row in range(rows):
        if real is float:
            part = loss_sum_float[n[2]](x, t, width, c)
        else:
            part = loss_sum_double[n[2]](x, t, width, c)
        if weight != NULL:
            part *= <double>weight[row]
            sums[1] += <double>weight[row]
        sums[0] += part
        x += width
        t += width


cdef void elementwise_loss_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dp (rows, width), prediction, target, weight, scale], n = [.., function, add]."""
    cdef real *dp = p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef double scale = (<double *>p[4])[0]
    cdef real factor = <real>scale
    cdef int64_t rows = n[0], width = n[1], row
    cdef int add = n[3] & 1
    if weight == NULL:
        width *= rows
        rows = 1
    for row in range(rows):
        if weight != NULL:
            factor = weight[row] * <real>scale
        if real is float:
            loss_slope_float[n[2]](dp, x, t, width, factor, add, c)
        else:
            loss_slope_double[n[2]](dp, x, t, width, factor, add, c)
        dp += width
        x += width
        t += width


cdef void softmax_crossentropy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, y (rows, width), z, target, weight], n = [rows, width, sparse, per].

    y = softmax(z), may be z; a row's loss is log(sum(exp(z))) sum(t) - sum(t z), z shifted by its
    maximum. Rows go through in blocks, so that exp and log fill their vectors with narrow rows.
    """
    cdef double *sums = <double *>p[0]
    cdef real *y = p[1]
    cdef const real *z = p[2]
    cdef const int32_t *labels = <const int32_t *>p[3]
    cdef const real *t = p[3]
    cdef const real *weight = p[4]
    cdef int64_t rows = n[0], width = n[1], per = n[3], first = 0, count, i, j
    cdef bint sparse = n[2] != 0
    cdef double total[SOFTMAX_ROWS]
    cdef real logs[SOFTMAX_ROWS]        # log(total)
    cdef real maximum[SOFTMAX_ROWS]
    cdef real mass[SOFTMAX_ROWS]        # sum(t)
    cdef real aligned[SOFTMAX_ROWS]     # sum(t z)
    cdef real value
    cdef double loss, weight_sum = 0, loss_sum = 0

    while first < rows:
        count = min(rows - first, softmax_rows_at_once(width))
        if sparse:
            for i in range(count):
                aligned[i] = z[i * width + labels[first + i]]
            softmax_rows(y, <real *>maximum, <double *>total, z, count, width)
            for i in range(count):
                mass[i] = 1
                aligned[i] -= maximum[i]
        else:
            for i in range(count):
                value = row_maximum(z + i * width, width)
                for j in range(width):
                    y[i * width + j] = z[i * width + j] - value
                mass[i] = <real>row_sum(t + (first + i) * width, width)
                aligned[i] = row_dot_nonzero(t + (first + i) * width,
                                             <const real *>y + i * width, width)
            softmax_rows(y, <real *>maximum, <double *>total, <const real *>y, count, width)
        for i in range(count):
            logs[i] = <real>total[i]
        map_line(UNARY, UNARY_log, <real *>logs, <const real *>logs, count, False)
        for i in range(count):      # scalar: a step per row
            loss = <double>(logs[i] * mass[i] - aligned[i])
            if weight != NULL:
                value = weight[(first + i) // per]
                loss *= <double>value
                weight_sum += <double>value
            loss_sum += loss
        first += count
        y += count * width
        z += count * width
    sums[0] += loss_sum
    sums[1] += weight_sum if weight != NULL else <double>rows


cdef void softmax_crossentropy_backward(real **p, const int64_t *n,
                                        const double *c) noexcept nogil:
    """p = [dz (rows, width), y, target, weight, scale], n = [rows, width, sparse, per, add].

    dz = (y sum(t) - t) weight scale; dz may be y.
    """
    cdef real *dz = p[0]
    cdef const real *y = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef double scale = (<double *>p[4])[0]
    cdef real base = <real>scale, factor, mass
    cdef int64_t rows = n[0], width = n[1], per = n[3], row, j
    cdef bint sparse = n[2] != 0, add = n[4] & 1
    if sparse and weight == NULL and not add:
        for j in range(rows * width):
            dz[j] = y[j] * base
        for row in range(rows):     # scalar: one number per row
            dz[row * width + labels[row]] -= base
        return
    for row in range(rows):
        factor = base * weight_of(weight, row, per)
        mass = 1 if sparse else <real>row_sum(t, width)
        if add:
            for j in range(width):
                dz[j] += y[j] * (mass * factor)
        else:
            for j in range(width):
                dz[j] = y[j] * (mass * factor)
        if sparse:
            dz[labels[row]] -= factor
        else:
            for j in range(width):
                dz[j] -= t[j] * factor
            t += width
        dz += width
        y += width


cdef inline real clipped(real q) noexcept nogil:
    cdef real low = <real>1e-7
    cdef real high = <real>1 - low
    return low if q < low else high if q > high else q


cdef void crossentropy(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, probabilities (rows, width), target, weight], n = [rows, width, sparse, per]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef int64_t rows = n[0], width = n[1], per = n[3], row
    cdef real total, factor
    cdef double loss
    for row in range(rows):
        total = <real>row_sum(x, width)
        if n[2]:
            loss = -<double>natural_log(clipped(x[labels[row]] / total))
        else:
            if real is float:
                loss = row_crossentropy_float(x, t, total, width)
            else:
                loss = row_crossentropy_double(x, t, total, width)
            t += width
        factor = weight_of(weight, row, per)
        sums[0] += loss * <double>factor
        sums[1] += <double>factor
        x += width


cdef void crossentropy_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dp (rows, width), probabilities, target, weight, scale], n = [.., sparse, per, add].

    With q = p / sum(p) and dq = -t / q where q is not clipped: dp = (dq - sum(dq q)) / sum(p).
    """
    cdef real *dp = p[0]
    cdef const real *x = p[1]
    cdef const int32_t *labels = <const int32_t *>p[2]
    cdef const real *t = p[2]
    cdef const real *weight = p[3]
    cdef double scale = (<double *>p[4])[0]
    cdef int64_t rows = n[0], width = n[1], per = n[3], row, j
    cdef bint sparse = n[2] != 0, add = n[4] & 1
    cdef real total, factor, dot, q, dq, target, slope
    for row in range(rows):
        total = <real>row_sum(x, width)
        factor = <real>scale * weight_of(weight, row, per)
        if sparse:
            q = x[labels[row]] / total
            dot = <real>-1 if clipped(q) == q else <real>0
        elif real is float:
            dot = -row_unclipped_float(x, t, total, width)
        else:
            dot = -row_unclipped_double(x, t, total, width)
        for j in range(width):
            q = x[j] / total
            target = (<real>(labels[row] == j)) if sparse else t[j]
            dq = -target / q if clipped(q) == q else <real>0
            slope = (dq - dot) / total * factor
            dp[j] = dp[j] + slope if add else slope
        if not sparse:
            t += width
        dp += width
        x += width


cdef enum:                  # losses of rows; their names, in this order, are in kernels.pyx
    COSINE, CATEGORICAL_HINGE, ROOT_SQUARED_ERROR


cdef inline real inverse_norm(const real *x, int64_t width) noexcept nogil:
    """1 / |x|, at most 1e7."""
    cdef real most = <real>1 / <real>1e-7
    cdef real inverse = <real>1 / root(row_dot(x, x, width))
    return most if inverse > most else inverse


cdef inline int64_t best_wrong(const real *x, const real *t, int64_t width) noexcept nogil:
    """The place of the first largest (1 - t) x."""
    cdef int64_t best = 0, j
    for j in range(1, width):   # scalar: it looks for a place
        if (<real>1 - t[j]) * x[j] > (<real>1 - t[best]) * x[best]:
            best = j
    return best


cdef inline real margin_of(const real *x, const real *t, int64_t width) noexcept nogil:
    """max((1 - t) x) - t x + 1, at least 0."""
    cdef int64_t best = best_wrong(x, t, width)
    cdef real margin = (<real>1 - t[best]) * x[best] - row_dot(x, t, width) + <real>1
    return <real>0 if margin < <real>0 else margin


cdef inline real root_of_squares(const real *x, const real *t, int64_t width) noexcept nogil:
    """sqrt(mean((x - t)^2))."""
    cdef double total
    if real is float:
        total = loss_sum_float[LOSS_squared_error](x, t, width, NO_PARAMETERS)
    else:
        total = loss_sum_double[LOSS_squared_error](x, t, width, NO_PARAMETERS)
    return <real>sqrt(total / <double>width)


cdef void row_loss(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, prediction (rows, width), target, weight], n = [rows, width, -, per, function]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef int64_t rows = n[0], width = n[1], row
    cdef double factor, total = 0, weights = 0
    cdef real loss
    for row in range(rows):
        if n[4] == COSINE:
            loss = -(row_dot(x, t, width) * inverse_norm(x, width) * inverse_norm(t, width))
        elif n[4] == CATEGORICAL_HINGE:
            loss = margin_of(x, t, width)
        else:
            loss = root_of_squares(x, t, width)
        factor = <double>weight_of(<const real *>p[3], row, n[3])
        total += factor * <double>loss
        weights += factor
        x += width
        t += width
    sums[0] += total
    sums[1] += weights


cdef void row_loss_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dp, prediction, target, weight, scale], n = [rows, width, -, per, function, add].

    A slope is a x - b t with two numbers per row; the hinge has one element more.
    """
    cdef real *dp = p[0]
    cdef const real *x = p[1]
    cdef const real *t = p[2]
    cdef double scale = (<double *>p[4])[0]
    cdef int64_t rows = n[0], width = n[1], row, j, best
    cdef bint add = n[5] & 1
    cdef real factor, a, b, one, extra, slope
    for row in range(rows):
        factor = <real>scale * weight_of(<const real *>p[3], row, n[3])
        best = 0
        extra = 0
        if n[4] == COSINE:
            one = inverse_norm(x, width)
            b = one * inverse_norm(t, width) * factor
            a = row_dot(x, t, width) * one * one * b
            if not one < <real>1 / <real>1e-7 and one == one:
                a = 0
        elif n[4] == CATEGORICAL_HINGE:
            a = 0
            b = margin_of(x, t, width)
            b = factor if b > <real>0 else b
            best = best_wrong(x, t, width)
            extra = b * (<real>1 - t[best])
        else:
            a = root_of_squares(x, t, width) * <real>width
            a = factor / a if a != <real>0 else <real>0
            b = 0
        if n[4] == ROOT_SQUARED_ERROR:
            for j in range(width):
                slope = a * (x[j] - t[j])
                dp[j] = dp[j] + slope if add else slope
        else:
            for j in range(width):
                slope = a * x[j] - b * t[j]
                dp[j] = dp[j] + slope if add else slope
            dp[best] += extra
        dp += width
        x += width
        t += width


cdef void weighted_sum(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [sums, values (rows, width), weight], n = [rows, width]."""
    cdef double *sums = <double *>p[0]
    cdef const real *x = p[1]
    cdef const real *weight = p[2]
    cdef int64_t rows = n[0], width = n[1], row
    cdef double factor
    for row in range(rows):
        factor = <double>weight_of(weight, row, 1)
        sums[0] += factor * row_sum(x, width)
        sums[1] += factor
        x += width


cdef void weighted_sum_backward(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [dvalues (rows, width), values, weight, scale], n = [rows, width, add]."""
    cdef real *dx = p[0]
    cdef const real *weight = p[2]
    cdef double scale = (<double *>p[3])[0]
    cdef int64_t rows = n[0], width = n[1], row, j
    cdef real factor
    for row in range(rows):
        factor = <real>scale * weight_of(weight, row, 1)
        if n[2] & 1:
            for j in range(width):
                dx[j] += factor
        else:
            for j in range(width):
                dx[j] = factor
        dx += width


cdef void batch_weights(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y (count), x, weight or NULL], n = [count, rows, whether a mean].

    y = weight * rows, or that divided by the sum of the weights.
    """
    cdef real *y = p[0]
    cdef const real *weight = p[2]
    cdef double total = 1
    cdef int64_t i
    cdef real factor
    if n[2]:
        total = <double>n[0] if weight == NULL else row_sum(weight, n[0])
    factor = <real>(<double>n[1] / total) if total != 0 else <real>0
    for i in range(n[0]):
        y[i] = factor * weight_of(weight, i, 1)


cdef void keep_labels(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [mask (count), labels (count), t], n = [count, the label to ignore]."""
    cdef real *mask = p[0]
    cdef int32_t *labels = <int32_t *>p[1]
    cdef const int32_t *t = <const int32_t *>p[2]
    cdef int64_t i
    for i in range(n[0]):
        mask[i] = <real>(t[i] != n[1])
        labels[i] = t[i] if t[i] != n[1] else 0


cdef void loss_scale(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [scale, mask (count) or NULL, control], c = [factor]: factor / rows or unmasked rows."""
    cdef const control *state = <const control *>p[2]
    cdef double rows = <double>state.batch_rows if p[1] == NULL else row_sum(
        <const real *>p[1], n[0])
    (<double *>p[0])[0] = c[0] / max(rows, <double>1)


cdef void count(real **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [rows, x, mask (count) or NULL]: rows += count, or the sum of the mask."""
    (<double *>p[0])[0] += <double>n[0] if p[2] == NULL else row_sum(<const real *>p[2], n[0])
