"""`python -m benchmarks`: fastnn against every other library that is installed.

    python -m benchmarks [workload ...] [--repeats 5] [--threads 1] [--json FILE]

Each library trains each workload in its own process, by turns, after one training that is not
counted. A library that is much worse (or better) in its final loss did not do the same work: its
row says WRONG, without a ratio, and the exit status is 1.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS

# Final losses (medians) further apart than this mean different work. All start from the same
# weights and only the order of the rows differs; single runs of `wide` differ by as much.
LOSS_FACTOR = 1.3


class Worker:
    """A process that trains one workload with one library; see worker.py."""

    def __init__(self, peer, workload, threads):
        count = str(threads)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer, workload, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | {"OMP_NUM_THREADS": count},
        )
        self.name = f"{peer} on {workload}"
        self.version = self.answer()["version"]

    def train(self):
        self.process.stdin.write("train\n")
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: the process ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def measure(workload, peers, repeats, threads):
    """Train by turns; returns for each peer its version, seconds and losses."""
    workers = {peer: Worker(peer, workload, threads) for peer in peers}
    runs = {peer: [] for peer in peers}
    for turn in range(1 + repeats):
        for peer, worker in workers.items():
            run = worker.train()
            if turn > 0:  # the first one warms up
                runs[peer].append(run)
    for worker in workers.values():
        worker.close()
    return {
        peer: {
            "version": workers[peer].version,
            "seconds": [run["seconds"] for run in runs[peer]],
            "losses": [run["loss"] for run in runs[peer]],
        }
        for peer in peers
    }


def compare(results):
    """Add to each peer's result whether its loss fits fastnn's and the ratios of the times."""
    ours = results["fastnn"]
    for theirs in (result for peer, result in results.items() if peer != "fastnn"):
        a, b = statistics.median(ours["losses"]), statistics.median(theirs["losses"])
        theirs["same_work"] = a <= LOSS_FACTOR * b and b <= LOSS_FACTOR * a  # NaN: no
        if theirs["same_work"]:
            theirs["ratios"] = [t / o for t, o in zip(theirs["seconds"], ours["seconds"])]


def rows(workload, results):
    """The lines of the table for one workload."""
    for peer, result in results.items():
        ms = [1e3 * seconds for seconds in result["seconds"]]
        loss = statistics.median(result["losses"])
        line = f"{workload:10}{peer:10}{span(ms):>28}{loss:12.3g}"
        if "ratios" in result:
            line += f"{span(result['ratios']):>28}"
        elif not result.get("same_work", True):
            line += f"{'WRONG':>28}"
        yield line


def span(values):
    return f"{statistics.median(values):.4g} ({min(values):.3g} .. {max(values):.3g})"


def machine():
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        name = names[0] if names else name
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    args = parser.parse_args()
    for name in args.workloads:
        if name not in WORKLOADS:
            parser.error(f"unknown workload {name!r}; there are {', '.join(WORKLOADS)}")

    peers = []
    for peer, kind in PEERS.items():
        if importlib.util.find_spec(kind.module):
            peers.append(peer)
        else:
            print(f"{peer}: not installed, skipped")

    clock = "CPU time" if args.threads == 1 else "wall time"
    print(f"{machine()['processor']}, {args.threads} thread(s), {clock}, {args.repeats} repeats")
    print(f"{'workload':10}{'peer':10}{'ms (min .. max)':>28}{'loss':>12}{'times fastnn':>28}")
    figures = {}
    for workload in args.workloads or WORKLOADS:
        figures[workload] = measure(workload, peers, args.repeats, args.threads)
        compare(figures[workload])
        print("\n".join(rows(workload, figures[workload])), flush=True)

    if args.json:
        report = {"machine": machine(), "threads": args.threads, "clock": clock, "results": figures}
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)
    wrong = any(not r.get("same_work", True) for f in figures.values() for r in f.values())
    return 1 if wrong else 0


sys.exit(main())
