"""What one core of this machine can do at most, and the least time that a training needs there.

`limits` measures the peak of multiply-adds and the bandwidth of each level of the memory, with the
C loops of probes.c (without a C compiler: with NumPy's best). `floor` says what a workload needs at
least. `python -m benchmarks.machine` prints both.
"""

import ctypes
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig
import tempfile
import time
from functools import partial

import numpy as np

SOURCE = pathlib.Path(__file__).with_name("probes.c")
# Bytes of the caches where the system does not say.
USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
MOST = 512 << 20  # bytes of the largest working set that is tried


def best(run):
    """Seconds of CPU time of the fastest of many runs; one is long enough for the clock."""
    found = []
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end or len(found) < 9:
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


@functools.cache
def probes():
    """The functions of probes.c; None without a compiler that makes them."""
    names = (sysconfig.get_config_var("CC") or "cc").split()[0], "cc"
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "probes.so")
        flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
        for chosen in (flags, [f for f in flags if not f.startswith("-mprefer")]):
            command = [compiler, *chosen, "-Wno-psabi", str(SOURCE), "-o", library]
            if subprocess.run(command, capture_output=True).returncode == 0:
                loaded = ctypes.CDLL(library)
                for function in (loaded.peak_16, loaded.peak_32, loaded.peak_64):
                    function.restype = ctypes.c_double
                return loaded
    return None


@functools.cache
def peaks():
    """{bytes of a vector: GFLOP/s of float32 multiply-adds on one core}."""
    found = probes()
    if found is None:
        a, out = np.ones((512, 512), np.float32), np.empty((512, 512), np.float32)
        return {16: 2 * 512**3 / best(lambda: np.dot(a, a, out=out)) * 1e-9}
    result = ctypes.c_float()
    rates = {}
    for width in (16, 32, 64):
        run = partial(getattr(found, f"peak_{width}"), 1 << 18, ctypes.byref(result))
        rates[width] = run() / best(run) * 1e-9
    return rates


def caches():
    """Bytes of the data caches that one core has: {"L1": ..., "L2": ..., "L3": ...}."""
    found = {}
    for folder in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        kind, level, size = (
            (folder / name).read_text().strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            found[f"L{level}"] = int(re.match(r"\d+", size)[0]) << 10
    return dict(sorted((found or USUAL).items()))


def update_bandwidth(nbytes):
    """GB/s of an optimizer's traffic over four arrays of `nbytes` together."""
    n = max(64, nbytes // 16)
    # Beginning at the same offset within a page they would get in each other's way.
    arrays = [np.zeros(n + 64 * i, np.float32)[64 * i :] for i in range(4)]
    found = probes()
    if found is None:
        p, g = arrays[:2]
        return 12 * n / best(lambda: np.add(p, g, out=p)) * 1e-9
    arguments = [ctypes.c_void_p(a.ctypes.data) for a in arrays] + [ctypes.c_size_t(n)]
    times = repeats(nbytes)
    return 28 * n * times / best(lambda: found.update(times, *arguments)) * 1e-9


def gather_bandwidth(nbytes):
    """GB/s of the rows read, one after the other, from an array of `nbytes`."""
    width = 256
    rows = max(1, nbytes // (4 * width))
    source, target = np.zeros((rows, width), np.float32), np.empty((16, width), np.float32)
    found = probes()
    if found is None:
        out = np.empty_like(source)
        return source.nbytes / best(lambda: np.copyto(out, source)) * 1e-9
    arguments = [ctypes.c_void_p(a.ctypes.data) for a in (target, source)]
    arguments += [ctypes.c_size_t(rows), ctypes.c_size_t(width)]
    times = repeats(nbytes)
    return source.nbytes * times / best(lambda: found.gather(times, *arguments)) * 1e-9


def repeats(nbytes):
    """How often a C loop goes over so many bytes, so that its call from Python does not show."""
    return max(1, (64 << 20) // nbytes)


@functools.cache
def limits():
    """The peak (GFLOP/s), and for each level its bytes and its bandwidths (GB/s).

    A cache is measured with what fills half of it, the memory with four times the last cache.
    """
    levels = {}
    sizes = caches()
    for name, size in sizes.items():
        levels[name] = {"bytes": size, "measured with": size // 2}
    last = max(sizes.values())
    levels["memory"] = {"bytes": None, "measured with": min(4 * last, MOST)}
    for level in levels.values():
        level["update"] = update_bandwidth(level["measured with"])
        level["gather"] = gather_bandwidth(level["measured with"])
    return {"peak": max(peaks().values()), "probes": probes() is not None, "levels": levels}


def level_of(nbytes, levels):
    """The name of the first level that holds so many bytes."""
    sizes = {name: level["bytes"] for name, level in levels.items()}
    return next(name for name, size in sizes.items() if size is None or nbytes <= size)


def floor(workload, rows, known):
    """The least seconds for a training of a workload on data of so many rows, as terms.

    Parameters
    ----------
    workload : Workload
    rows : int
    known : dict
        As `limits` returns it.

    Returns
    -------
    dict
        "products" (of the forward pass, of the kernels' gradients, and of the inputs' but for the
        first layer), "update" (parameters and moments read and written, gradients read), "rows"
        (read for the batches), their sum "seconds", and the levels of memory.
    """
    pairs = list(zip(workload.sizes, workload.sizes[1:]))
    products = [2 * n_in * n_out for n_in, n_out in pairs]
    flops = rows * workload.epochs * (3 * sum(products) - products[0])
    parameters = sum((n_in + 1) * n_out for n_in, n_out in pairs)
    # Bytes in which an update works, and those that it reads and writes, per parameter.
    held, moved = {"sgd": (8, 12), "adam": (16, 28)}[workload.optimizer]
    steps = workload.epochs * -(-rows // workload.batch_size)
    row_bytes = 4 * workload.sizes[0]
    update_level = level_of(held * parameters, known["levels"])
    row_level = level_of(rows * row_bytes, known["levels"])
    terms = {
        "products": flops / known["peak"] * 1e-9,
        "update": steps * parameters * moved / known["levels"][update_level]["update"] * 1e-9,
        "rows": rows * workload.epochs * row_bytes / known["levels"][row_level]["gather"] * 1e-9,
    }
    return terms | {
        "seconds": sum(terms.values()),
        "flops": flops,
        "update level": update_level,
        "row level": row_level,
    }


def describe(known):
    """The lines that say what `limits` found."""
    how = "C loops" if known["probes"] else "NumPy, no C compiler"
    yield f"one core: {known['peak']:.1f} GFLOP/s in float32 ({how})"
    for name, level in known["levels"].items():
        size = "" if level["bytes"] is None else f"{level['bytes'] >> 10} KB"
        yield (
            f"  {name:7}{size:>10}: update {level['update']:6.1f} GB/s, "
            f"rows read {level['gather']:6.1f} GB/s"
        )


def describe_floor(terms):
    """One line with the terms of a floor, in milliseconds."""
    return (
        f"floor {1e3 * terms['seconds']:.4g} ms = products {1e3 * terms['products']:.4g} "
        f"+ update in {terms['update level']} {1e3 * terms['update']:.4g} "
        f"+ rows from {terms['row level']} {1e3 * terms['rows']:.4g}"
    )


if __name__ == "__main__":
    from benchmarks.workloads import WORKLOADS

    print("\n".join(describe(limits())))
    for name, work in WORKLOADS.items():
        print(f"{name:10}{describe_floor(floor(work, len(work.data()[0]), limits()))}")
