"""The op contract, its registry and the formulas.

`contract` says what an op is, `tensor` what it works on. The other files hold the ops: elementary
ones (what a user's own layer is made of), activations, dense layers, losses and metrics,
optimizers, random numbers. This package imports NumPy and nothing of fastnn beside itself.
"""

from fastnn.ops import metrics, penalties, updates  # noqa: F401  (importing registers their ops)
from fastnn.ops.activations import ACTIVATIONS, apply_activation
from fastnn.ops.contract import Graph, Node, Op, emit, register, registry
from fastnn.ops.dense import linear
from fastnn.ops.elementary import (
    add,
    affine,
    binary,
    divide,
    matmul,
    multiply,
    reduce,
    subtract,
    unary,
    where,
)
from fastnn.ops.loss_formulas import LOSSES, ROW_LOSSES
from fastnn.ops.moving import (
    assign,
    broadcast_to,
    concatenate,
    copy,
    gather,
    reshape,
    slice_,
    take_rows,
    transpose,
)
from fastnn.ops.normalization import batch_norm, layer_norm
from fastnn.ops.optimizers import Update
from fastnn.ops.random import dropout, noise
from fastnn.ops.tensor import Rows, Span, Tensor, Variable

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "ROW_LOSSES",
    "Graph",
    "Node",
    "Op",
    "Rows",
    "Span",
    "Tensor",
    "Update",
    "Variable",
    "add",
    "affine",
    "apply_activation",
    "assign",
    "batch_norm",
    "binary",
    "broadcast_to",
    "concatenate",
    "copy",
    "divide",
    "dropout",
    "emit",
    "gather",
    "layer_norm",
    "linear",
    "matmul",
    "multiply",
    "noise",
    "reduce",
    "register",
    "registry",
    "reshape",
    "slice_",
    "subtract",
    "take_rows",
    "transpose",
    "unary",
    "where",
]
