"""Runs every case in Keras, and in fastnn with the same float type; prints the differences.

Keras' figures of float64 can be written to tests/data/keras_figures.json, where
tests/test_parity.py reads them: an exact formula then shows in ten digits, and float32 is compared
with what it approximates.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import sys
import traceback

import numpy as np

from benchmarks.parity.cases import CASES
from benchmarks.parity.compare import largest_difference
from benchmarks.parity.run import run

FIGURES = pathlib.Path(__file__).parents[2] / "tests" / "data" / "keras_figures.json"


def keras_for(dtype):
    """The module `keras`, computing in this float type."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more only wait for each other here
    try:
        import keras
    except ImportError:
        sys.exit("Keras is not installed: pip install keras torch")
    from keras.src.backend.common import dtypes

    keras.config.set_floatx(dtype)
    # But for TensorFlow, Keras takes every sum of two float64 tensors for float32.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    return keras


def source(keras):
    backend = keras.backend.backend()
    version = importlib.metadata.version(backend)
    return {
        "library": f"Keras {keras.__version__} on {backend} {version}, NumPy {np.__version__}",
        "float type": "float64",
        "command": "python -m benchmarks.parity --write",
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity")
    parser.add_argument("words", nargs="*", help="only cases whose names contain one of these")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--write", action="store_true", help=f"write Keras' figures to {FIGURES}")
    args = parser.parse_args()
    keras = keras_for(args.dtype)
    chosen = [n for n in CASES if not args.words or any(w in n for w in args.words)]
    figures = {}
    if args.write:
        if args.dtype != "float64":
            parser.error("the figures are those of float64")
        if FIGURES.exists() and args.words:
            figures = json.loads(FIGURES.read_text())["cases"]
        for name in chosen:
            figures[name] = run(CASES[name], keras)
        figures = {name: figures[name] for name in CASES if name in figures}
        lines = [f"{json.dumps(n)}: {json.dumps(f, allow_nan=False)}" for n, f in figures.items()]
        FIGURES.write_text(
            f'{{"source": {json.dumps(source(keras))},\n"cases": {{\n' + ",\n".join(lines) + "}}\n"
        )
        print(f"{len(lines)} cases, {FIGURES.stat().st_size:,} bytes: {FIGURES}")
        return
    import fastnn.keras

    fastnn.config.set_floatx(args.dtype)
    print(f"{source(keras)['library']}; fastnn {fastnn.__version__}; {args.dtype}")
    for name in chosen:
        try:
            difference, where = largest_difference(
                run(CASES[name], fastnn.keras), run(CASES[name], keras)
            )
            print(f"{difference:10.1e}  {name}  ({where})", flush=True)
        except Exception as error:
            print(f"{'failed':>10}  {name}  ({traceback.format_exception_only(error)[0].strip()})")


main()
