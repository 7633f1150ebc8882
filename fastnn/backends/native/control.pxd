"""The control record of a group, as fastnn.engine.plan lays it out, and what a kernel is."""
from libc.stdint cimport int64_t, uint64_t

cdef struct control:
    int64_t iteration           # updates done
    int64_t step                # batches run in training
    double rate
    int64_t batch_rows          # rows of the whole batch
    int64_t first_row           # place of this batch's first row in it
    uint64_t seed
    int64_t reserved[2]

ctypedef void (*kernel)(void **p, const int64_t *n, const double *c) noexcept nogil
