# cython: language_level=3
"""The kernels of the native executor, one table of function pointers.

Cythonized once and compiled once per ISA (see setup.py). The executor asks `table()` for the
address of each kernel by name, so no list here has to agree by position with another one.

Every kernel has the same signature: `p` holds the addresses of its outputs, then its inputs, then
(where its op asks for them) the control record of its group and the workspace; an absent input is
NULL. `n` holds its sizes (rows already filled in), `c` its constants. A kernel checks nothing,
allocates nothing and raises nothing: the plan was checked before.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

ctypedef fused real:
    float
    double

include "linear.pxi"
