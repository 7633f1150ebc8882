"""Processes that work by turns, and how their times are written: what the harnesses share.

Called by `python -m benchmarks` (fastnn against other libraries) and `python -m benchmarks.against`
(fastnn against an older fastnn). `Worker` is the side that asks, `Answers` the one that answers.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np


def environment(threads):
    """Environment variables for a process that computes with so many threads."""
    libraries = ("FASTNN", "OMP", "OPENBLAS", "MKL")
    variables = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    variables |= {"KERAS_BACKEND": "torch", "JAX_PLATFORMS": "cpu"}
    if threads == 1:  # JAX counts its threads by the cores it may use, too: see use_cores
        variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return os.environ | variables


def use_cores(count):
    """Keep this process on `count` of its cores; call it before a library counts them."""
    if hasattr(os, "sched_setaffinity"):
        one_of = {siblings(processor): processor for processor in sorted(os.sched_getaffinity(0))}
        os.sched_setaffinity(0, list(one_of.values())[-count:])


def siblings(processor):
    """What tells the core of a processor from others: two hyper-threads share one."""
    path = f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"
    if not os.path.exists(path):
        return processor
    with open(path) as file:
        return file.read()


def peak_memory():
    """The most memory that this process has held, in bytes."""
    if os.path.exists("/proc/self/status"):  # ru_maxrss begins with what the parent held
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


class Answers:
    """Where a worker writes its lines; what a library prints goes to stderr."""

    def __init__(self):
        self.file = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def write(self, **values):
        self.file.write(json.dumps(values) + "\n")


class Worker:
    """A process that answers one line of JSON for each line that it is sent.

    Parameters
    ----------
    module : str
        What it runs: see worker.py and prediction.py.
    arguments : list
    threads : int
    folder : str
        Where it is started, so whose fastnn (and whose benchmarks) it uses.
    """

    def __init__(self, module, arguments, threads=1, folder="."):
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=folder,
            env=environment(threads),
        )
        self.name = " ".join(map(str, arguments))
        self.version = self.answer()["version"]

    def run(self):
        self.process.stdin.write("run\n")
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


def trainer(peer, workload, threads, folder="."):
    """A worker that trains one workload with one library."""
    return Worker("worker", (peer, workload, threads), threads, folder)


def take_turns(workers, repeats, most=None):
    """Let each worker run by turns; returns for each, by name, its version and list of answers.

    The first run of each warms up and is not counted. `most` limits the repeats of some by name.
    """
    most = most or {}
    runs = {name: [] for name in workers}
    for turn in range(1 + repeats):
        for name, worker in workers.items():
            if turn <= most.get(name, repeats):
                run = worker.run()
                if turn > 0:
                    runs[name].append(run)
    for worker in workers.values():
        worker.close()
    return {name: (worker.version, runs[name]) for name, worker in workers.items()}


def measure(workers, repeats, most=None):
    """Train by turns; returns for each worker, by name, its version and one list per figure."""
    return {
        name: {"version": version}
        | {plural: [r[key] for r in runs if key in r] for key, plural in FIGURES.items()}
        for name, (version, runs) in take_turns(workers, repeats, most).items()
    }


# What a training answers, and the name of the list of them.
FIGURES = {
    "seconds": "seconds",
    "wall": "wall",
    "loss": "losses",
    "digest": "digests",
    "memory": "memory",
}


def figures_of(module, *arguments, **variables):
    """What `python -m benchmarks.MODULE --json FILE` finds; it prints its tables meanwhile.

    It runs with one thread and these environment variables.
    """
    with tempfile.NamedTemporaryFile("r") as file:
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", file.name]
        subprocess.run(command, check=True, env=environment(1) | variables)
        return json.load(file)


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


def commit():
    """The commit of this working tree, "-dirty" if it was changed; "" outside of a repository."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
