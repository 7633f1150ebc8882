"""Dense layers and matrix products: the kernels linear, linear_dx, linear_dw and matmul.

All four are `product` with other operands. It walks over blocks of rows and of depth, `panels` over
a few vectors of columns each, and tile.h multiplies what a `panel` describes:
linear -> product -> panels -> multiply_panel -> tile, where the sums are.
Fewer columns than a vector has lanes go through `narrow_product`; single rows and columns of a or b
that way would waste their vectors and have their own loops.

In each sum the products are added in the order of k, whatever the number of rows, so a row of a
batch has the same bits in any batch. The exception is one single row times a transposed b.
"""

cdef extern from "tile.h" nogil:
    ctypedef struct panel "struct panel":
        int64_t lanes, rows, depth, vectors
        const void *a
        int64_t a_row, a_step, a_tile
        const void *b
        int64_t b_row, b_last
        void *y
        int64_t y_row, y_last
        const void *bias
        const void *saved
        int64_t shared
        int add, relu
    const int FASTNN_LANES_float, FASTNN_FEWEST_LANES_float
    const int FASTNN_LANES_double, FASTNN_FEWEST_LANES_double
    void multiply_float(const panel *p) noexcept
    void multiply_double(const panel *p) noexcept
    void pack_float(const panel *p, float *packed, const float *b, int64_t b_row, bint transposed,
                    const float *end) noexcept
    void pack_double(const panel *p, double *packed, const double *b, int64_t b_row,
                     bint transposed, const double *end) noexcept
    void pack_tiles_float(panel *p, float *packed) noexcept
    void pack_tiles_double(panel *p, double *packed) noexcept
    const int FASTNN_TILE_ROWS
    const int FASTNN_TILE_VECTORS
    const int FASTNN_MOST_VECTORS
    const int FASTNN_BLOCK_DEPTH
    void unpad_float(float *y, const float *padded, int64_t rows, int64_t columns,
                     int64_t lanes) noexcept
    void unpad_double(double *y, const double *padded, int64_t rows, int64_t columns,
                      int64_t lanes) noexcept
    void add_to_float(float *y, const float *x, int64_t n) noexcept
    void add_to_double(double *y, const double *x, int64_t n) noexcept
    void column_sums_float(float *y, const float *x, int64_t rows, int64_t columns,
                           int add) noexcept
    void column_sums_double(double *y, const double *x, int64_t rows, int64_t columns,
                            int add) noexcept
    void outer_float(float *y, const float *a, const float *b, int64_t rows, int64_t columns,
                     int add) noexcept
    void outer_double(double *y, const double *a, const double *b, int64_t rows, int64_t columns,
                      int add) noexcept
    void dots_float(float *y, const float *a, const float *b, int64_t rows, int64_t depth,
                    float start, int add) noexcept
    void dots_double(double *y, const double *a, const double *b, int64_t rows, int64_t depth,
                     double start, int add) noexcept

cdef extern from "formulas.h" nogil:
    const int ACT_linear
    const int ACT_relu
    void (**activation_forward_float)(float *y, const float *x, int64_t n,
                                      const double *c) noexcept
    void (**activation_forward_double)(double *y, const double *x, int64_t n,
                                       const double *c) noexcept
    void (**activation_backward_float)(float *dx, const float *dy, const float *s, int64_t n,
                                       const double *c, int add) noexcept
    void (**activation_backward_double)(double *dx, const double *dy, const double *s, int64_t n,
                                        const double *c, int add) noexcept

cdef enum:
    # `product_workspace` in fastnn/ops/elementary.py has room for such blocks.
    DEPTH_BLOCK = FASTNN_BLOCK_DEPTH    # rows of b in one pass, a multiple of 16
    UNPACKED_DEPTH = 1024   # ... where b is never packed: there are few columns
    A_BLOCK = 384 * 400     # numbers of a in one pass: so many stay in the L2 cache
    ROW_BLOCK = 768         # ... in so many rows at most
    PACK_COLUMNS = 128      # from here on a panel is packed: b's rows lie far apart
    PACK_ROWS = 32          # ... if so many rows of a share the packing
    WIDE = 512              # columns that pay for packing a whose rows lie well
    TINY = 64               # multiplications that take less time than preparing for vectors
    NARROW_ROWS = 64        # narrow_product: rows and depth of what it keeps in the workspace
    NARROW_DEPTH = 128
    ROWS_AT_ONCE = 384      # rows of y in the cache when the activation passes over them


cdef bint product(real *y, int64_t rows, int64_t columns, int64_t depth,
                  const real *a, int64_t a_line, bint a_transposed, const real *b,
                  bint b_transposed,
                  const real *bias, const real *saved, bint relu, bint add,
                  real *workspace) noexcept nogil:
    """y (rows, columns) (+)= a (rows, depth) @ b (depth, columns) + bias, then relu or zeros.

    A transposed operand is stored as (depth, rows) or (columns, depth); from one stored row of a
    to the next are a_line numbers. The zeros are where saved, of y's shape, is <= 0. Returns
    whether relu or the zeros were applied: not every path does.
    """
    cdef int64_t whole, fewest, lanes
    cdef int64_t a_row = 1 if a_transposed else a_line
    cdef int64_t a_step = a_line if a_transposed else 1
    cdef int64_t row, k, block, rows_at_once
    cdef bint packed, a_packed, last
    cdef panel p

    if real is float:
        whole = FASTNN_LANES_float
        fewest = FASTNN_FEWEST_LANES_float
    else:
        whole = FASTNN_LANES_double
        fewest = FASTNN_FEWEST_LANES_double
    lanes = whole if columns > fewest else fewest

    if depth == 1:
        b_transposed = False        # one row or one column: stored alike
        if columns >= whole and bias == NULL:
            outer(y, a, b, rows, columns, add)
            return False
    if rows == 1 and b_transposed and depth >= whole:
        dots(y, a, b, columns, depth, <real>0, add)
        return False
    if columns == 1 and not a_transposed and depth >= whole:
        dots(y, b, a, rows, depth, bias[0] if bias != NULL else <real>0, add)
        return False
    if rows * columns * depth <= TINY:
        tiny_product(y, rows, columns, depth, a, a_row, a_step, b, 1 if b_transposed else columns,
                     depth if b_transposed else 1, bias, add)
        return False
    if columns == 1 and a_transposed and a_line == rows:    # the transpose of the whole equation
        product(y, 1, rows, depth, b, depth, False, a, False, <const real *>NULL,
                <const real *>NULL, False, add, workspace)
        return False
    if columns < lanes:
        narrow_product(y, rows, columns, depth, a, a_row, a_step, b, b_transposed, bias, relu, add,
                       lanes, workspace)
        return relu

    packed = b_transposed or (columns >= PACK_COLUMNS and rows >= PACK_ROWS)
    a_packed = columns >= PACK_COLUMNS and rows >= PACK_ROWS and (
        a_transposed or columns >= WIDE or a_line * <int64_t>sizeof(real) % 1024 == 0
    )
    # Blocks of depth of about the same length, whole vectors but for the last one. They must not
    # depend on the number of rows. A division takes as long as a small product: none without need.
    block = DEPTH_BLOCK if b_transposed or columns >= PACK_COLUMNS else UNPACKED_DEPTH
    if depth <= block:
        block = depth
    else:
        block = (depth + block - 1) // block
        block = ((depth + block - 1) // block + 15) // 16 * 16
    rows_at_once = rows
    if a_packed:
        rows_at_once = A_BLOCK // block // FASTNN_TILE_ROWS * FASTNN_TILE_ROWS
        rows_at_once = min(rows_at_once, <int64_t>ROW_BLOCK)
    p.lanes = lanes
    p.y_row = columns
    row = 0
    while row < rows:
        p.rows = min(rows - row, rows_at_once)
        k = 0
        while k < depth:
            p.depth = min(depth - k, block)
            p.a = a + row * a_row + k * a_step
            p.a_row = a_row
            p.a_step = a_step
            p.a_tile = FASTNN_TILE_ROWS * a_row
            if a_packed:
                pack_tiles(&p, workspace + FASTNN_TILE_VECTORS * whole * DEPTH_BLOCK)
            last = k + p.depth == depth
            p.add = add or k > 0
            p.relu = relu and last
            panels(&p, y + row * columns, columns,
                   b + (k if b_transposed else k * columns), depth if b_transposed else columns,
                   b_transposed, b + columns * depth, bias if k == 0 else NULL,
                   saved + row * columns if saved != NULL and last else NULL,
                   workspace if packed else NULL)
            k += p.depth
        row += p.rows
    return relu or saved != NULL


cdef void tiny_product(real *y, int64_t rows, int64_t columns, int64_t depth,
                       const real *a, int64_t a_row, int64_t a_step,
                       const real *b, int64_t b_row, int64_t b_column,
                       const real *bias, bint add) noexcept nogil:
    """product for so few numbers that plain loops do, with the bits of the tiles."""
    cdef int64_t i, j, k
    cdef real sum
    for i in range(rows):
        for j in range(columns):
            sum = bias[j] if bias != NULL else <real>0
            for k in range(depth):      # scalar: few numbers, in the order of their sum
                sum += a[i * a_row + k * a_step] * b[k * b_row + j * b_column]
            y[i * columns + j] = sum + y[i * columns + j] if add else sum


cdef void panels(panel *p, real *y, int64_t columns, const real *b, int64_t b_row,
                 bint b_transposed, const real *b_end, const real *bias, const real *saved,
                 real *packed) noexcept nogil:
    """The rows and the part of the depth that p describes, in panels of about the same width.

    With room for them, panels of b are packed.
    """
    cdef int64_t most = FASTNN_TILE_VECTORS, left = columns, vectors, count, j
    if p.rows == 1 and packed == NULL:
        most = FASTNN_MOST_VECTORS
    while left > 0:
        # The next panel begins `left` columns before the end. The last vector of all is moved
        # back to end where the row ends.
        p.vectors = 1
        if left > most * p.lanes:
            vectors = (left + p.lanes - 1) // p.lanes
            count = (vectors + most - 1) // most
            p.vectors = (vectors + count - 1) // count
        else:
            while p.vectors * p.lanes < left:
                p.vectors += 1
        p.shared = 0
        if left < p.lanes:
            p.shared = p.lanes - left
            left = p.lanes
        p.y_last = min(p.vectors * p.lanes, left) - p.lanes
        j = columns - left
        p.y = y + j
        if packed != NULL:
            pack(p, packed, b + (j * b_row if b_transposed else j), b_row, b_transposed, b_end)
            p.b = packed
            p.b_row = p.vectors * p.lanes
            p.b_last = p.b_row - p.lanes
        else:
            p.b = b + j
            p.b_row = b_row
            p.b_last = p.y_last
        p.bias = bias + j if bias != NULL else NULL
        p.saved = saved + j if saved != NULL else NULL
        multiply(y, p)
        left -= p.y_last + p.lanes


cdef void narrow_product(real *y, int64_t rows, int64_t columns, int64_t depth,
                         const real *a, int64_t a_row, int64_t a_step,
                         const real *b, bint b_transposed, const real *bias, bint relu, bint add,
                         int64_t lanes, real *workspace) noexcept nogil:
    """product for fewer columns than lanes: b, bias and y are padded to one vector of columns."""
    cdef real *b_padded = workspace                             # (NARROW_DEPTH, lanes)
    cdef real *y_padded = b_padded + NARROW_DEPTH * lanes       # (NARROW_ROWS, lanes)
    cdef real *y_added = y_padded + NARROW_ROWS * lanes         # (NARROW_ROWS, columns)
    cdef real *bias_padded = y_added + NARROW_ROWS * lanes      # (1, lanes)
    cdef int64_t row, k, j
    cdef panel p

    p.lanes = p.b_row = p.y_row = lanes
    p.vectors = 1
    p.a_row = a_row
    p.a_step = a_step
    p.a_tile = FASTNN_TILE_ROWS * a_row
    p.b = b_padded
    p.y = y_padded
    p.b_last = p.y_last = p.shared = 0
    p.saved = NULL
    if bias != NULL:
        for j in range(lanes):
            bias_padded[j] = bias[j] if j < columns else <real>0
    row = 0
    while row < rows:
        p.rows = min(rows - row, <int64_t>NARROW_ROWS)
        p.bias = bias_padded if bias != NULL else NULL
        p.add = False
        k = 0
        while k < depth:
            p.depth = min(depth - k, <int64_t>NARROW_DEPTH)
            p.a = a + row * a_row + k * a_step
            if row == 0 or depth > NARROW_DEPTH:
                pack(&p, b_padded, b + (k if b_transposed else k * columns),
                     depth if b_transposed else columns, b_transposed, b + columns * depth)
            p.relu = relu and k + p.depth == depth
            multiply(y, &p)
            p.add = True
            p.bias = NULL
            k += p.depth
        if add:
            unpad(y_added, y_padded, p.rows, columns, lanes)
            add_to(y + row * columns, y_added, p.rows * columns)
        else:
            unpad(y + row * columns, y_padded, p.rows, columns, lanes)
        row += p.rows


def product_needs():
    """Reals that the largest blocks of a product take when both operands are packed."""
    return FASTNN_TILE_VECTORS * FASTNN_LANES_float * DEPTH_BLOCK + A_BLOCK


# The same names for both types. `multiply` takes a pointer that only tells the type.

cdef inline void multiply(const real *tells_type, const panel *p) noexcept nogil:
    if real is float:
        multiply_float(p)
    else:
        multiply_double(p)


cdef inline void pack(const panel *p, real *packed, const real *b, int64_t b_row,
                      bint transposed, const real *end) noexcept nogil:
    if real is float:
        pack_float(p, packed, b, b_row, transposed, end)
    else:
        pack_double(p, packed, b, b_row, transposed, end)


cdef inline void pack_tiles(panel *p, real *packed) noexcept nogil:
    if real is float:
        pack_tiles_float(p, packed)
    else:
        pack_tiles_double(p, packed)


cdef inline void unpad(real *y, const real *padded, int64_t rows, int64_t columns,
                       int64_t lanes) noexcept nogil:
    if real is float:
        unpad_float(y, padded, rows, columns, lanes)
    else:
        unpad_double(y, padded, rows, columns, lanes)


cdef inline void add_to(real *y, const real *x, int64_t n) noexcept nogil:
    if real is float:
        add_to_float(y, x, n)
    else:
        add_to_double(y, x, n)


cdef inline void outer(real *y, const real *a, const real *b, int64_t rows, int64_t columns,
                       bint add) noexcept nogil:
    if real is float:
        outer_float(y, a, b, rows, columns, add)
    else:
        outer_double(y, a, b, rows, columns, add)


cdef inline void dots(real *y, const real *a, const real *b, int64_t rows, int64_t depth,
                      real start, bint add) noexcept nogil:
    if real is float:
        dots_float(y, a, b, rows, depth, start, add)
    else:
        dots_double(y, a, b, rows, depth, start, add)


cdef void linear(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (rows, n) = activation(x (rows, k) @ w (k, n) + b (n)), or y += x @ w + b.

    c = the parameters of the activation.
    """
    cdef real *y = p[0]
    cdef const real *x = p[1]
    cdef const real *w = p[2]
    cdef const real *b = p[3]
    cdef real *workspace = p[4]
    cdef int64_t rows = n[0], inputs = n[1], outputs = n[2], activation = n[3]
    cdef bint add = n[4] & 1, relu = activation == ACT_relu, done
    cdef int64_t count

    while rows > 0:
        count = min(rows, <int64_t>ROWS_AT_ONCE)
        done = product(y, count, outputs, inputs, x, inputs, False, w, False, b,
                       <const real *>NULL, relu, add, workspace)
        if activation != ACT_linear and not done:
            if real is float:
                activation_forward_float[activation](y, y, count * outputs, c)
            else:
                activation_forward_double[activation](y, y, count * outputs, c)
        y += count * outputs
        x += count * inputs
        rows -= count


cdef void linear_dx(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dx (rows, k) = (dy (rows, n) @ w (k, n)^T) * activation'(saved (rows, k)), or dx += ...

    c = the parameters of the activation.
    """
    cdef real *dx = p[0]
    cdef const real *dy = p[1]
    cdef const real *w = p[2]
    cdef const real *saved = p[3]
    cdef real *workspace = p[4]
    cdef int64_t rows = n[0], inputs = n[1], outputs = n[2], activation = n[3]
    cdef bint add = n[4] & 1, done
    cdef int64_t count

    while rows > 0:
        count = min(rows, <int64_t>ROWS_AT_ONCE)
        done = product(dx, count, inputs, outputs, dy, outputs, False, w, True,
                       <const real *>NULL, saved if activation == ACT_relu else NULL, False, add,
                       workspace)
        if activation != ACT_linear and not done:
            if real is float:
                activation_backward_float[activation](dx, dx, saved, count * inputs, c, 0)
            else:
                activation_backward_double[activation](dx, dx, saved, count * inputs, c, 0)
        dx += count * inputs
        dy += count * outputs
        if saved != NULL:
            saved += count * inputs
        rows -= count


cdef void linear_dw(real **p, const int64_t *n, const double *c) noexcept nogil:
    """dw (k, n) (+)= x (rows, k)^T @ dy (rows, n), and db (n) (+)= the column sums of dy.

    From row to row of x are n[3] numbers: it can be some columns of a wider matrix.
    """
    cdef real *dw = p[0]
    cdef real *db = p[1]
    cdef const real *x = p[2]
    cdef const real *dy = p[3]
    cdef real *workspace = p[4]
    cdef int64_t rows = n[0], inputs = n[1], outputs = n[2], x_line = n[3], add = n[4]

    product(dw, inputs, outputs, rows, x, x_line, True, dy, False, <const real *>NULL,
            <const real *>NULL, False, add & 1, workspace)
    if db != NULL:
        if real is float:
            column_sums_float(db, dy, rows, outputs, add & 2)
        else:
            column_sums_double(db, dy, rows, outputs, add & 2)


cdef void matmul(real **p, const int64_t *n, const double *c) noexcept nogil:
    """y (m, n) (+)= a (m, k) @ b (k, n); a transposed operand is stored as (k, m) or (n, k)."""
    product(p[0], n[0], n[2], n[1], <const real *>p[1], n[0] if n[3] else n[1], n[3] != 0,
            <const real *>p[2], n[4] != 0, <const real *>NULL, <const real *>NULL, False,
            n[5] & 1, p[3])
