"""Counter-based random numbers: the same draws on every executor, thread count and machine.

A draw depends on the seed, the stream (which op draws), the step, the row of the global batch and
the element within the row, and on nothing else. The generator is Philox4x32-10 (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011). The native kernels compute the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, emit, register
from fastnn.ops.tensor import Size, Tensor, at_rows, count

PERMUTATION_STREAM = 0xFFFF  # ops number their streams from 1; no graph has this many

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10: `counter` is (..., 4) uint32 values; returns (..., 4) uint32 draws."""
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c2 = (product1 >> _HIGH) ^ c1 ^ k0, (product0 >> _HIGH) ^ c3 ^ k1
        c1, c3 = product1 & _LOW, product0 & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def draws(
    seed: int, stream: int, step: int, rows: int, width: int, first_row: int = 0
) -> np.ndarray:
    """uint32 draws of shape (rows, width) for the rows `first_row`, `first_row + 1`, ..."""
    blocks = -(-width // 4)
    counter = np.empty((rows, blocks, 4), np.uint64)
    counter[..., 0] = np.arange(blocks)
    counter[..., 1] = (np.arange(rows) + first_row)[:, None]
    counter[..., 2] = step & 0xFFFFFFFF
    counter[..., 3] = stream
    key = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    return philox(counter, key).reshape(rows, blocks * 4)[:, :width]


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of the rows in an epoch: Fisher-Yates from the end, one 64-bit draw a swap.

    Swap i takes `floor(draw * (i + 1) / 2**64)`, which is uniform up to n / 2**64.
    """
    order = list(range(n))
    if n < 2:
        return np.asarray(order, np.int64)
    words = draws(seed, PERMUTATION_STREAM, epoch, 1, 2 * (n - 1))[0].astype(np.uint64)
    bound = np.arange(n, 1, -1, dtype=np.uint64)  # i + 1 for i = n-1 .. 1
    high, low = words[0::2], words[1::2]
    picks = (high * bound + ((low * bound) >> _HIGH)) >> _HIGH
    for i, j in zip(range(n - 1, 0, -1), picks.tolist(), strict=True):
        order[i], order[j] = order[j], order[i]
    return np.asarray(order, np.int64)


def threshold(rate: float) -> int:
    """Draws below it are dropped: `rate` as a fraction of 2**32."""
    return min(round(rate * 2**32), 2**32 - 1)


@register
class Dropout(Op):
    """y = x / (1 - rate) where the draw is kept, else 0 (Srivastava et al., JMLR 15, 2014).

    It is linear in x, so its gradient is the same op with the same draws: no mask is stored.
    """

    name = "dropout"
    may_alias = {0: (0,)}
    control = True

    def define(self, x: Any, control: Any, *, rate: float, stream: int, seed: int | None) -> Any:
        rows = len(x)
        key = int(control["seed"]) if seed is None else seed
        first, step = int(control["first_row"]), int(control["step"])
        drawn = draws(key, stream, step, rows, x.size // max(rows, 1), first)
        keep = (drawn >= threshold(rate)).reshape(x.shape)
        return np.where(keep, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        return [emit("dropout", grads[0], name="dx", **node.attrs)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x = node.outputs[0]
        seed = node.attrs["seed"]
        width = at_rows(count(x.shape), 1)
        key = 0 if seed is None else seed
        return (
            count(x.shape[:1]), width, node.attrs["stream"], threshold(node.attrs["rate"]),
            int(seed is not None), key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF,
        )  # fmt: skip

    def constants(self, node: Node) -> tuple[float, ...]:
        return (1 / (1 - node.attrs["rate"]),)


def dropout(x: Tensor, rate: float, stream: int, seed: int | None = None) -> Any:
    """Drop each element with probability `rate`; scale what is kept."""
    return emit("dropout", x, rate=float(rate), stream=stream, seed=seed)


def normals(
    seed: int, stream: int, step: int, rows: int, width: int, first_row: int = 0
) -> np.ndarray:
    """Standard normal float64 numbers of shape (rows, width), two from two draws.

    Box and Muller, "A note on the generation of random normal deviates", Annals of Mathematical
    Statistics 29 (1958): sqrt(-2 log u) times the cosine and the sine of 2 pi v.
    """
    even = -(-width // 4) * 4
    pairs = draws(seed, stream, step, rows, even, first_row).reshape(rows, even // 2, 2)
    u, v = (pairs.astype(np.float64) + [0.5, 0.0]).transpose(2, 0, 1) / 2**32
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
    made = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return made.reshape(rows, even)[:, :width]


@register
class Noise(Op):
    """y = x + stddev z ("add"), or x (1 + stddev z) ("multiply"), z normal draws.

    The second is linear in x: its gradient is the same op with the same draws.
    """

    name = "noise"
    may_alias = {0: (0,)}
    control = True

    def define(
        self, x: Any, control: Any, *, function: str, stddev: float, stream: int, seed: int | None
    ) -> Any:
        rows = len(x)
        key = int(control["seed"]) if seed is None else seed
        first, step = int(control["first_row"]), int(control["step"])
        z = normals(key, stream, step, rows, x.size // max(rows, 1), first).reshape(x.shape)
        z = (stddev * z).astype(x.dtype)
        return x + z if function == "add" else x * (1 + z)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        if node.attrs["function"] == "add":
            return [grads[0]]
        return [emit("noise", grads[0], name="dx", **node.attrs)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, seed = node.outputs[0], node.attrs["seed"]
        key = 0 if seed is None else seed
        return (
            count(x.shape[:1]), at_rows(count(x.shape), 1), node.attrs["stream"],
            int(node.attrs["function"] == "multiply"),
            int(seed is not None), key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF,
        )  # fmt: skip

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["stddev"],)


def noise(x: Tensor, function: str, stddev: float, stream: int, seed: int | None = None) -> Any:
    """Add normal noise to x ("add"), or multiply x by noise around 1 ("multiply")."""
    return emit("noise", x, function=function, stddev=float(stddev), stream=stream, seed=seed)
