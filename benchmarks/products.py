"""`python -m benchmarks.products`: the engine's matrix products beside NumPy's `dot`, one thread.

    python -m benchmarks.products [--isa v3] [--repeats 9] [--json FILE]

m, k, n are those of the forward product: NN is x (m, k) times w (k, n); TN is the gradient of w, x
transposed times dy (m, n), with that of the bias; NT the gradient of x, dy times w transposed.
Each is first checked, then timed by turns with `np.dot` into an array that is there (its call from
Python included); the least CPU times count. Each ISA build has its own process, in which NumPy's
OpenBLAS is told to use the same instructions.
"""

import argparse
import json
import os
import time

import numpy as np

from benchmarks.harness import figures_of, use_cores
from benchmarks.machine import peaks
from benchmarks.steps import SAMPLE, Bench, turns
from fastnn.backends import native

SHAPES = (
    (32, 64, 64), (64, 64, 64), (32, 784, 64), (128, 784, 128), (64, 128, 512), (256, 784, 1024),
    (256, 1024, 1024), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
)  # fmt: skip

# OpenBLAS' name of a processor with the instructions of a build; the best build needs none.
CORES = {"v2": "Nehalem", "v3": "Haswell"}


def forms(m, k, n):
    """{form: (op, its inputs, the fixed ones, attributes, what np.dot is given)}."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s, np.float32) for s in ((m, k), (k, n), (m, n)))
    return {
        "NN": ("linear", [x, w, None], (1,), {"activation": "linear"}, (x, w)),
        "TN": ("linear_dw", [x, dy], (), {}, (x.T, dy)),
        "NT": ("linear_dx", [dy, w, None], (1,), {"activation": "linear"}, (dy, w.T)),
    }


class Dot:
    """`np.dot` into an array."""

    def __init__(self, a, b):
        self.a, self.b, self.out = a, b, np.empty((a.shape[0], b.shape[1]), np.float32)
        self.times = 1
        while self.sample() * self.times < SAMPLE:
            self.times *= 2

    def sample(self):
        start = time.process_time()
        for _ in range(self.times):
            np.dot(self.a, self.b, out=self.out)
        return (time.process_time() - start) / self.times


def rows(isa, repeats):
    """One product after the other: its size, and the seconds of fastnn and of NumPy."""
    for m, k, n in SHAPES:
        for form, (op, inputs, fixed, attrs, operands) in forms(m, k, n).items():
            bench = Bench(op, inputs, isa, fixed, **attrs)
            seconds = turns({"fastnn": bench.sample, "numpy": Dot(*operands).sample}, repeats)
            yield {"m": m, "k": k, "n": n, "form": form, "flops": 2 * m * k * n, **seconds}


def isa_peak(isa):
    """GFLOP/s of one core with the vectors of a build."""
    width = native.executor_for(isa).kernels.vector_bytes()
    return max(peak for vector, peak in peaks().items() if vector <= width)


def line(row, peak):
    gflop = row["flops"] * 1e-9
    shape = f"{row['m']},{row['k']},{row['n']}"
    return (
        f"{shape:18}{row['form']:6}{gflop / row['fastnn']:8.1f}{gflop / row['numpy']:8.1f}"
        f"{row['numpy'] / row['fastnn']:9.2f}{gflop / row['fastnn'] / peak:9.2f}"
    )


def measure_isa(isa, repeats):
    use_cores(1)
    peak = isa_peak(isa)
    print(f"\nproducts, {isa} build, 1 thread, GFLOP/s; the peak of one core is {peak:.1f}")
    print(f"{'m,k,n':18}{'form':6}{'fastnn':>8}{'numpy':>8}{'x numpy':>9}{'of peak':>9}")
    found = []
    for row in rows(isa, repeats):
        found.append(row)
        print(line(row, peak), flush=True)
    return {"peak": peak, "rows": found}


def measure_products(repeats, isas=None):
    """{ISA build: its peak and rows}, each measured (and printed) in its own process."""
    return {
        isa: figures_of(
            "products", "--worker", "--isa", isa, "--repeats", str(repeats),
            **({"OPENBLAS_CORETYPE": CORES[isa]} if isa in CORES else {}),
        )
        for isa in isas or native.isas()
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products")
    parser.add_argument("--isa", help=f"one of {', '.join(native.isas())}; by default all")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", default=os.devnull, help="write all figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        figures = measure_isa(args.isa, args.repeats)
    else:
        figures = measure_products(args.repeats, [args.isa] if args.isa else None)
    with open(args.json, "w") as file:
        json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
