"""The gather, the door for data: rows of the caller's arrays into the feeds of a plan.

Called by the executor, once per feed and chunk. The array may be of any numeric type and layout;
the common ones (rows that are contiguous and native) are copied or converted line by line.
"""

cdef extern from "gather.h" nogil:
    const int GATHER_SOURCES
    void (**gather_convert)(void *y, const void *x, int64_t n) noexcept
    void gather_pack(char *y, const char *x, int64_t stride, int64_t n, int64_t size,
                     int swap) noexcept
    void gather_copy(char *y, const char *x, const char *next, int64_t bytes) noexcept

cdef enum:
    PACKED = 256            # numbers at once that do not lie ready to be converted
    LONG = 1024             # bytes of a row from which it pays to have the next one fetched
    NARROW = 32             # bytes of a row: fewer are packed before they are converted


cdef void gather(void **p, const int64_t *n, const double *c) noexcept nogil:
    """p = [y, x, order or NULL]: rows order[start ...], or start ..., of x as those of y.

    n = [rows, start, stride of a row of x in bytes, numbers of a row, target (0 float, 1 double,
    2 int32), source (gather.h), bytes of a number of x, 0 ready or 1 strided or 2 swapped too,
    d0 .. d3, s0 .. s3]: axes and strides in bytes of a row of x, where it is not ready.
    """
    cdef char *y = <char *>p[0]
    cdef const char *x = <const char *>p[1]
    cdef const int64_t *order = <const int64_t *>p[2]
    cdef int64_t rows = n[0], start = n[1], stride = n[2], width = n[3], size = n[6]
    cdef int64_t row, first, after
    cdef int64_t bytes = width * (8 if n[4] == 1 else 4)
    cdef bint same = n[5] == (5 if n[4] == 2 else n[4])
    cdef char packed[8 * PACKED]
    if n[7]:
        for row in range(rows):
            first = order[start + row] if order != NULL else start + row
            gather_row(y + row * bytes, x + first * stride, n)
    elif order == NULL and stride == width * size:
        if same:
            memcpy(y, x + start * stride, rows * bytes)
        else:
            gather_convert[n[4] * GATHER_SOURCES + n[5]](y, x + start * stride, rows * width)
    elif same and bytes == 4 and order != NULL:
        if stride == 4:         # labels, usually: a call of memcpy would cost more
            for row in range(rows):
                (<int *>y)[row] = (<const int *>x)[order[start + row]]
        else:
            for row in range(rows):
                (<int *>y)[row] = (<const int *>(x + order[start + row] * stride))[0]
    elif same and bytes >= LONG and order != NULL:
        for row in range(rows):
            first = order[start + row]
            after = order[start + min(row + 1, rows - 1)]
            gather_copy(y + row * bytes, x + first * stride, x + after * stride, bytes)
    elif same:
        for row in range(rows):
            first = order[start + row] if order != NULL else start + row
            memcpy(y + row * bytes, x + first * stride, bytes)
    elif width * size < NARROW and width <= PACKED:
        gather_narrow(y, x, order, n, packed)
    else:
        for row in range(rows):
            first = order[start + row] if order != NULL else start + row
            gather_convert[n[4] * GATHER_SOURCES + n[5]](y + row * bytes, x + first * stride,
                                                         width)


cdef void gather_narrow(char *y, const char *x, const int64_t *order, const int64_t *n,
                        char *packed) noexcept nogil:
    """Rows of few bytes: as many as fit are put side by side, then converted together."""
    cdef int64_t rows = n[0], start = n[1], stride = n[2], width = n[3], size = n[6]
    cdef int64_t done = 0, count, i, first, most = PACKED // max(width, 1)
    cdef int64_t bytes = width * (8 if n[4] == 1 else 4)
    while done < rows:
        count = min(most, rows - done)
        for i in range(count):
            first = start + done + i
            if order != NULL:
                first = order[first]
            memcpy(packed + i * width * size, x + first * stride, width * size)
        gather_convert[n[4] * GATHER_SOURCES + n[5]](y + done * bytes, packed, count * width)
        done += count


cdef void gather_row(char *y, const char *x, const int64_t *n) noexcept nogil:
    """One row whose numbers are not neighbours, not aligned or not native."""
    cdef int64_t size = n[6], target = 8 if n[4] == 1 else 4
    cdef const int64_t *d = n + 8
    cdef const int64_t *s = n + 12
    cdef int64_t i, j, k, done, count
    cdef const char *line
    cdef char packed[8 * PACKED]
    for i in range(d[0]):
        for j in range(d[1]):
            for k in range(d[2]):
                line = x + i * s[0] + j * s[1] + k * s[2]
                done = 0
                while done < d[3]:
                    count = min(<int64_t>PACKED, d[3] - done)
                    gather_pack(packed, line + done * s[3], s[3], count, size, n[7] == 2)
                    gather_convert[n[4] * GATHER_SOURCES + n[5]](y, packed, count)
                    y += count * target
                    done += count
