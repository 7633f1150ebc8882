"""Processes that train by turns, and how their times are written: what the harnesses share.

Called by `python -m benchmarks` (fastnn against other libraries) and `python -m benchmarks.against`
(fastnn against an older fastnn).
"""

import json
import os
import platform
import statistics
import subprocess
import sys

import numpy as np


class Worker:
    """A process that trains one workload with one library; see worker.py.

    It is started in `folder`, whose fastnn (and whose benchmarks) it uses.
    """

    def __init__(self, peer, workload, threads, folder="."):
        count = str(threads)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer, workload, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=folder,
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


def measure(workers, repeats):
    """Train by turns; returns for each worker, by name, its version, seconds and losses."""
    runs = {name: [] for name in workers}
    for turn in range(1 + repeats):
        for name, worker in workers.items():
            run = worker.train()
            if turn > 0:  # the first one warms up
                runs[name].append(run)
    for worker in workers.values():
        worker.close()
    return {
        name: {
            "version": worker.version,
            "seconds": [run["seconds"] for run in runs[name]],
            "losses": [run["loss"] for run in runs[name]],
        }
        for name, worker in workers.items()
    }


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
