"""`python -m benchmarks.kernels`: the engine's elementwise and row kernels, one thread.

    python -m benchmarks.kernels [--only adam] [--repeats 9] [--json FILE]

Each kernel is first checked, then timed in each ISA build, by turns; the least CPU times count.
Operands of 128 rows of 256 numbers (rows of 10 where it says so) lie in the L2 cache, and the floor
is what moving them there takes: functions such as tanh must lie above it, sums and updates at it.
"""

import argparse
import json

import numpy as np

from benchmarks.harness import use_cores
from benchmarks.machine import level_of, limits
from benchmarks.steps import Bench, turns
from fastnn import config, optimizers
from fastnn.backends import native
from fastnn.ops import ACTIVATIONS, LOSSES, ROW_LOSSES, Graph, Tensor
from fastnn.ops.elementary import BINARY, REDUCTIONS, UNARY

ROWS, WIDTH = 128, 256

# Arithmetic per element of some kernels, for the roofline.
FLOPS = {
    "add": 1, "multiply": 1, "affine": 2, "relu": 1, "relu backward": 1, "dropout": 1,
    "sum of rows": 1, "square_sum": 2, "squared_error": 3, "sgd": 2, "momentum": 4, "adam": 12,
}  # fmt: skip


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Operands:
    """Inputs for kernels, the same ones each time."""

    def __init__(self, width=WIDTH):
        rng = np.random.default_rng(0)
        shape = ROWS, width
        self.x, self.dy = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
        self.positive = rng.uniform(0.1, 0.9, shape).astype(np.float32)
        self.other = rng.uniform(0.1, 0.9, shape).astype(np.float32)
        self.probabilities = softmax(self.x)
        self.labels = rng.integers(0, width, ROWS).astype(np.int32)
        self.vector = rng.uniform(0.5, 1.5, width).astype(np.float32)
        self.scale = np.full(1, 1 / ROWS)


def kernels():
    """(name, op, inputs, those without rows, attributes) of each kernel."""
    o = Operands()
    for name, activation in ACTIVATIONS.items():
        if name == "linear":
            continue
        attrs = {"activation": name, "parameters": ()}
        yield name, "activation", [o.x], (), attrs
        saved = activation.y(o.x) if activation.saves == "output" else o.x
        yield f"{name} backward", "activation_backward", [o.dy, saved], (), attrs
    for name in UNARY:
        yield name, "unary", [o.positive], (), {"function": name}
    for name in BINARY:
        yield name, "binary", [o.positive, o.other], (), {"function": name}
    yield "affine", "affine", [o.x], (), {"factor": 2.0, "offset": 1.0}
    for name in REDUCTIONS:
        for axis, of in ((0, "columns"), (1, "rows")):
            attrs = {"function": name, "axes": (axis,), "keepdims": False}
            yield f"{name} of {of}", "reduce", [o.x], (), attrs
    yield from losses(o)
    for width in (WIDTH, 10):
        yield from over_classes(Operands(width), f", {width} wide")
    yield "dropout", "dropout", [o.x], (), {"rate": 0.5, "stream": 1, "seed": None}
    for function in ("add", "multiply"):
        attrs = {"function": function, "stddev": 0.5, "stream": 1, "seed": None}
        yield f"noise {function}", "noise", [o.x], (), attrs
    yield from normalizations(o)
    yield from updates(o)


def losses(o):
    for name, loss in LOSSES.items():
        attrs = {"function": name, "parameters": loss.parameters}
        given = [o.positive, o.other, None]
        yield name, "elementwise_loss", given, (), attrs
        inputs = [*given, o.scale]
        yield f"{name} backward", "elementwise_loss_backward", inputs, (3,), attrs
    for name in ROW_LOSSES:
        given, attrs = [o.positive, o.other, None], {"function": name}
        yield name, "row_loss", given, (), attrs
        yield f"{name} backward", "row_loss_backward", [*given, o.scale], (3,), attrs


def over_classes(o, wide):
    p, labels = o.probabilities, o.labels
    for op, given, fixed in (
        ("softmax", [o.x], ()),
        ("softmax_backward", [o.dy, p], ()),
        ("log_softmax", [o.x], ()),
        ("log_softmax_backward", [o.dy, np.log(p)], ()),
        ("softmax_crossentropy", [o.x, labels, None], ()),
        ("softmax_crossentropy_backward", [p, labels, None, o.scale], (3,)),
        ("crossentropy", [p, labels, None], ()),
        ("crossentropy_backward", [p, labels, None, o.scale], (3,)),
        ("categorical_accuracy", [p, labels, None], ()),
    ):
        yield op + wide, op, given, fixed, {}


def normalizations(o):
    x, vector = o.x, o.vector
    mean, rstd = x.mean(0), 1 / np.sqrt(x.var(0) + 1e-3)
    attrs = {"axis": 1, "epsilon": 1e-3}
    given = [x, vector, vector, mean, vector]
    yield "batch_norm", "batch_norm", given, (1, 2, 3, 4), attrs | {"momentum": 0.9}
    given = [o.dy, x, mean, rstd, vector]
    yield "batch_norm backward", "batch_norm_backward", given, (2, 3, 4), {"axis": 1}
    given = [x, vector, vector, mean, vector]
    yield "batch_norm inference", "batch_norm_inference", given, (1, 2, 3, 4), attrs
    mean, rstd = x.mean(1), 1 / np.sqrt(x.var(1) + 1e-3)
    yield "layer_norm", "layer_norm", [x, vector, vector], (1, 2), {"axes": 1, "epsilon": 1e-3}
    given = [o.dy, x, mean, rstd, vector]
    yield "layer_norm backward", "layer_norm_backward", given, (4,), {"axes": 1}


def updates(o):
    """Each optimizer as its class says, and what else happens in an update."""
    w, g, slot = o.x.ravel(), o.dy.ravel(), o.positive.ravel()
    for name, optimizer in {
        "sgd": optimizers.SGD(),
        "momentum": optimizers.SGD(momentum=0.9),
        "nesterov": optimizers.SGD(momentum=0.9, nesterov=True),
        "adagrad": optimizers.Adagrad(),
        "adadelta": optimizers.Adadelta(),
        "rmsprop": optimizers.RMSprop(),
        "rmsprop centered": optimizers.RMSprop(momentum=0.9, centered=True),
        "adam": optimizers.Adam(),
        "amsgrad": optimizers.Adam(amsgrad=True),
        "adamax": optimizers.Adamax(),
        "nadam": optimizers.Nadam(),
        "lion": optimizers.Lion(),
    }.items():
        with Graph() as graph:
            named = [Tensor(w.shape, "real", text, "feed") for text in "wg"]
            optimizer.step(
                *named,
                lambda text, initial=0.0: Tensor(w.shape, "real", text, "feed"),
                rate_factor=1.0,
                decay=0.0,
            )
        node = graph.nodes[0]
        inputs = [w, g, *(None if tensor is None else slot for tensor in node.inputs[2:])]
        yield name, node.op.name, inputs, range(len(inputs)), node.attrs
    yield "accumulate", "accumulate", [w, g], (0, 1), {"factor": 0.5}
    yield "clip", "clip", [w], (0,), {"low": -1.0, "high": 1.0, "between": 0}
    yield "square_sum", "square_sum", [w, None], (0,), {}
    # Just above the limit: a norm that shrinks each time would end in denormal numbers.
    yield "clip_norm", "clip_norm", [g, np.ones(1)], (0, 1), {"limit": 0.999999}


def rows(repeats, known, only=None):
    """One kernel after the other: elements, traffic, the floor and seconds by ISA build."""
    for name, op, inputs, fixed, attrs in kernels():
        if only and only not in name:
            continue
        benches = {isa: Bench(op, inputs, isa, fixed, **attrs) for isa in native.isas()}
        bench = next(iter(benches.values()))
        level = level_of(bench.held, known["levels"])
        yield {
            "kernel": name,
            "elements": bench.elements,
            "bytes": bench.bytes,
            "flops": FLOPS.get(name, 0) * bench.elements,
            "floor": bench.bytes / known["levels"][level]["update"] * 1e-9,
            "seconds": turns({isa: b.sample for isa, b in benches.items()}, repeats),
        }


def header(isas):
    columns = "".join(f"{isa:>8}{'GB/s':>7}{'/ floor':>9}" for isa in isas)
    return f"{'ns per element':40}{'bytes':>6}{'floor':>8}{columns}"


def line(row):
    n = row["elements"]
    return f"{row['kernel']:40}{row['bytes'] / n:6.1f}{1e9 * row['floor'] / n:8.3f}" + "".join(
        f"{1e9 * seconds / n:8.3f}{row['bytes'] / seconds * 1e-9:7.1f}{seconds / row['floor']:9.2f}"
        for seconds in row["seconds"].values()
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels")
    parser.add_argument("--only", metavar="TEXT", help="the kernels whose names contain it")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    args = parser.parse_args()
    use_cores(1)
    config.set_num_threads(1)
    print(f"\nkernels, 1 thread, least CPU times\n{header(native.isas())}")
    figures = []
    for row in rows(args.repeats, limits(), args.only):
        figures.append(row)
        print(line(row), flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
