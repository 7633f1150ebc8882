"""Which optimizer takes a 784-128-10 network to 97% on MNIST in how many seconds.

    python -m benchmarks.mnist_optimizers                 trains, prints the table, writes the JSON
    python -m benchmarks.mnist_optimizers --readme        writes the table into the README

Each optimizer trains in batches of 128 at one fixed learning rate that suits it, and after each
epoch the 10,000 test images are asked. CPU seconds are those of `fit` alone, on one thread; the
median of three seeds. The table in the README is generated from the JSON, never typed.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import fastnn
from benchmarks.harness import machine
from fastnn import Sequential, optimizers, utils
from fastnn.callbacks import Callback
from fastnn.datasets import mnist
from fastnn.layers import Dense, Flatten, Input, Rescaling

HERE = pathlib.Path(__file__).parent
FIGURES, README = HERE / "mnist_optimizers.json", HERE.parent / "README.md"
BEGIN, END = "<!-- optimizers:begin -->", "<!-- optimizers:end -->"
GOAL, SEEDS, MOST_EPOCHS, BATCH = 0.97, (0, 1, 2), 30, 128

OPTIMIZERS = {
    "SGD(0.1)": lambda: optimizers.SGD(0.1),
    "SGD(0.05, momentum=0.9)": lambda: optimizers.SGD(0.05, momentum=0.9),
    "SGD(0.05, momentum=0.9, nesterov=True)": lambda: optimizers.SGD(0.05, 0.9, nesterov=True),
    "Adagrad(0.03)": lambda: optimizers.Adagrad(0.03),
    "Adadelta(1.0)": lambda: optimizers.Adadelta(1.0),
    "RMSprop(0.001)": lambda: optimizers.RMSprop(0.001),
    "Adam(0.001)": lambda: optimizers.Adam(0.001),
    "AdamW(0.001)": lambda: optimizers.AdamW(0.001),
    "Nadam(0.001)": lambda: optimizers.Nadam(0.001),
    "Lion(0.0003)": lambda: optimizers.Lion(0.0003),
}


class Until(Callback):
    """Stops at the goal; counts the CPU seconds of training, without those of evaluation."""

    def __init__(self, x, y):
        self.x, self.y = x, y
        self.seconds, self.epochs, self.reached = 0.0, 0, False

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.process_time() - self.start
        self.epochs += 1
        self.reached = self.model.evaluate(self.x, self.y, batch_size=1000, verbose=0)[1] >= GOAL
        self.model.stop_training = self.reached


def train(make, seed, data):
    """Returns (CPU seconds, epochs, whether the goal was reached)."""
    (x_train, y_train), (x_test, y_test) = data
    utils.set_random_seed(seed)
    model = Sequential(
        [
            Input((28, 28)),
            Rescaling(1 / 255),
            Flatten(),
            Dense(128, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(make(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    until = Until(x_test, y_test)
    model.fit(
        x_train, y_train, batch_size=BATCH, epochs=MOST_EPOCHS, callbacks=[until], verbose=0
    )
    return until.seconds, until.epochs, until.reached


def measure():
    data = mnist.load_data()
    train(OPTIMIZERS["SGD(0.1)"], 0, [(x[:1280], y[:1280]) for x, y in data])  # warms up
    runs = {name: [] for name in OPTIMIZERS}
    for seed in SEEDS:  # in turn, so that a slow minute of the machine hits all
        for name, make in OPTIMIZERS.items():
            runs[name].append(train(make, seed, data))
            print(f"{name:40} seed {seed}: %6.2f s, %2d epochs, %s" % runs[name][-1], flush=True)
    return {
        "machine": machine(),
        "fastnn": fastnn.__version__,
        "goal": GOAL,
        "seeds": len(SEEDS),
        "optimizers": {
            name: {
                "seconds": [seconds for seconds, _, _ in done],
                "epochs": [epochs for _, epochs, _ in done],
                "reached": [reached for _, _, reached in done],
            }
            for name, done in runs.items()
        },
    }


def table(figures):
    """The README's table, the fastest first."""
    lines = []
    for name, result in figures["optimizers"].items():
        seconds, epochs = (statistics.median(result[key]) for key in ("seconds", "epochs"))
        if sum(result["reached"]) * 2 > len(result["reached"]):
            lines.append((seconds, f"| `{name}` | {epochs:g} | {seconds:.1f} |"))
        else:
            lines.append((float("inf"), f"| `{name}` | above {MOST_EPOCHS} | |"))
    m = figures["machine"]
    return "\n".join(
        [
            f"| optimizer | epochs to {figures['goal']:.0%} | CPU seconds |",
            "|---|---:|---:|",
            *(line for _, line in sorted(lines, key=lambda pair: pair[0])),
            "",
            f"784-128-10 on MNIST, batches of {BATCH}, one thread, median of {figures['seeds']} "
            f"seeds; fastnn {figures['fastnn']}, {m['processor']}, Python {m['python']}, "
            f"NumPy {m['numpy']}.",
        ]
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mnist_optimizers")
    parser.add_argument("--json", type=pathlib.Path, default=FIGURES, help=f"default {FIGURES}")
    parser.add_argument("--readme", action="store_true", help="write the table of the JSON there")
    args = parser.parse_args()
    if args.readme:
        before, _, rest = README.read_text().partition(BEGIN)
        _, found, after = rest.partition(END)
        if not found:
            sys.exit(f"README.md has no {BEGIN} ... {END}")
        figures = json.loads(args.json.read_text())
        README.write_text(f"{before}{BEGIN}\n{table(figures)}\n{END}{after}")
        return
    figures = measure()
    args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


if __name__ == "__main__":
    main()
