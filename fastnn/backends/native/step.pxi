"""One step of a program: a kernel call with its addresses and sizes resolved, and its parts.

`fill` writes down what a plan says of a step, `describe` what the gather has to know of an array,
and `cut` the parts that helper threads can run. Included by executor.pyx.
"""

cdef enum:
    POINTERS = 24           # of a step at most
    SIZES = 40
    CONSTANTS = 32
    PART = 4000             # nanoseconds of work that are worth a part of their own

cdef struct share:          # one part of a step
    void *p[POINTERS]
    int64_t n[SIZES]
    int64_t first           # the first of its units

cdef struct step:
    kernel run
    void *p[POINTERS]
    int64_t n[SIZES]
    double c[CONSTANTS]
    int64_t each[SIZES]     # n[which[i]] = each[i] * rows
    int which[SIZES]
    int scaled
    int last                # where n holds the bit mask of the outputs that are added to
    int64_t gradients       # bit mask of those that are added to from the second chunk on
    bint once               # left out from the second chunk on
    # How it is cut into parts, if `shares` is not NULL: units are rows, or `length` others.
    share *shares
    int64_t parts, length, grain
    int64_t stride[POINTERS]    # bytes of a unit
    int counted                 # which size is the number of units, if they are not rows
    int64_t alone               # bit mask of the pointers that only the first part is given
    int workspace               # which pointer is the workspace, or -1
    double cost                 # nanoseconds of a unit


cdef bint BIG_ENDIAN = sys.byteorder == "big"


cdef char *at(tuple place, char **bases) except? NULL:
    """The address of a place."""
    cdef int64_t block = place[0], offset = place[1]
    return bases[block] + offset if block else NULL


cdef fill(step *s, tuple described, char **bases, int64_t threads):
    """Write down one step, with room for its parts."""
    cdef size_t address
    cdef int i
    run, places, sizes, constants, gradients, once, cuts = described
    if len(places) > POINTERS or len(sizes) > SIZES or len(constants) > CONSTANTS:
        raise ValueError(
            f"a step has {len(places)} operands, {len(sizes)} sizes and {len(constants)} "
            f"constants; at most {POINTERS}, {SIZES} and {CONSTANTS} are possible"
        )
    address = run
    s.run = <kernel>address
    s.scaled = 0
    s.last = len(sizes) - 1
    s.gradients = gradients
    s.once = once
    for i, value in enumerate(places):
        s.p[i] = at(value, bases)
    for i, value in enumerate(sizes):
        if isinstance(value, tuple):
            s.which[s.scaled] = i
            s.each[s.scaled] = value[0]
            s.scaled += 1
        else:
            s.n[i] = value
    for i, value in enumerate(constants):
        s.c[i] = value
    if cuts is not None and threads > 1:
        strides, s.length, s.counted, s.grain, s.alone, s.workspace, s.cost = cuts
        for i, value in enumerate(strides):
            s.stride[i] = value
        s.shares = <share *>calloc(threads, sizeof(share))
        if s.shares == NULL:
            raise MemoryError("no memory for the parts of a step")


cdef void cut(step *s, int64_t rows, int64_t threads, char *spare,
              int64_t spare_bytes) noexcept nogil:
    """Write down the parts of a step on so many rows, as many as are worth it.

    The workspaces of the parts but the first lie one after the other in `spare`.
    """
    cdef int64_t units = s.length if s.length else rows
    cdef int64_t part, i, first, last
    cdef share *made
    s.parts = min(threads, units // s.grain, <int64_t>(s.cost * units / PART))
    last = 0
    for part in range(s.parts if s.parts > 1 else 0):
        first = last
        last = units * (part + 1) // s.parts
        if part < s.parts - 1:
            last -= last % s.grain
        made = &s.shares[part]
        made.first = first
        for i in range(POINTERS):
            made.p[i] = s.p[i]
            if made.p[i] != NULL:
                made.p[i] = <char *>made.p[i] + first * s.stride[i]
            if part > 0 and s.alone >> i & 1:
                made.p[i] = NULL
        if part > 0 and s.workspace >= 0:
            made.p[s.workspace] = spare + (part - 1) * spare_bytes
        memcpy(made.n, s.n, sizeof(s.n))
        if s.counted >= 0:
            made.n[s.counted] = last - first
        for i in range(0 if s.length else s.scaled):
            made.n[s.which[i]] = s.each[i] * (last - first)


cdef double cost_of(const step *s, int64_t rows) noexcept:
    """Nanoseconds on one core, if the step can be cut into parts; else it counts for nothing."""
    return s.cost * (s.length if s.length else rows)


cdef double saving_of(const step *s, int64_t rows) noexcept:
    return cost_of(s, rows) * (1 - 1 / <double>s.parts) if s.parts > 1 else 0


cdef int describe(step *f, Py_buffer *view) except -1:
    """Write down an array for the gather."""
    cdef const char *code = view.format
    cdef int axis, kept = 0
    cdef int64_t number = -1, wide = view.itemsize, length, stride, size = view.itemsize
    cdef bint swapped = code[0] == c"<" if BIG_ENDIAN else code[0] == c">"
    cdef bint aligned = <size_t>view.buf % <size_t>size == 0
    if code[0] in b"<>=^@|":
        code += 1
    if code[0] in b"efd":
        number = 2 if size == 2 else 0 if size == 4 else 1
    elif code[0] in b"bhilqn":
        number = 3 if size == 1 else 4 if size == 2 else 5 if size == 4 else 6
    elif code[0] in b"BHILQN":
        number = 7 if size == 1 else 8 if size == 2 else 9 if size == 4 else 10
    elif code[0] == c"?":
        number = 11
    if number < 0 or code[1] or view.ndim < 1:
        raise ValueError(f"an array of format {view.format.decode()!r} cannot be gathered")
    f.p[1] = view.buf
    f.n[2] = view.strides[0]
    f.n[3] = 1
    f.n[5] = number
    f.n[6] = size
    for axis in range(4):
        f.n[8 + axis] = 1
        f.n[12 + axis] = 0
    # From the last axis on; neighbours that one stride walks over become one.
    for axis in range(view.ndim - 1, 0, -1):
        length = view.shape[axis]
        stride = view.strides[axis]
        f.n[3] *= length
        aligned = aligned and stride % size == 0
        if length == 1:
            continue
        if kept and stride == f.n[16 - kept] * f.n[12 - kept]:
            f.n[12 - kept] *= length
            continue
        if kept == 4:
            raise ValueError("an array has more than four axes that lie apart; copy it first")
        kept += 1
        f.n[12 - kept] = length
        f.n[16 - kept] = stride
    aligned = aligned and view.strides[0] % size == 0
    if swapped and size > 1:
        f.n[7] = 2
    else:
        f.n[7] = not (aligned and (kept == 0 or (kept == 1 and f.n[15] == size)))
    if kept == 0:
        f.n[15] = wide
    return 0


cdef bint is_as_gathered(const step *f) noexcept nogil:
    """Whether the array of a feed lies there as the gather would write it."""
    return f.n[5] == f.n[4] and f.n[7] == 0 and f.n[2] == f.n[3] * f.n[6]
