"""The README's tables and the pictures, generated from the figures of one run, never typed.

Called by `python -m benchmarks --readme`. Needs Matplotlib.
"""

import pathlib
import statistics
import sys

from benchmarks.peers import COMPILING
from benchmarks.targets import median_ratio, summary
from benchmarks.training import ONE_THREAD

HERE = pathlib.Path(__file__).parent
README = HERE.parent / "README.md"
TRAINING, ROOFLINE = HERE / "training.svg", HERE / "roofline.svg"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"

NAMES = {
    "fastnn": "fastnn",
    COMPILING: "fastnn, compiling",
    "numpy": "NumPy reference",
    "torch": "PyTorch",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "keras": "Keras",
    "onnxruntime": "ONNX Runtime",
}
COLOURS = {
    "fastnn": "#d62728", "numpy": "#7f7f7f", "torch": "#ff7f0e", "jax": "#1f77b4",
    "sklearn": "#2ca02c", "keras": "#9467bd", ONE_THREAD: "#f0a0a0", COMPILING: "#f0a0a0",
}  # fmt: skip


def median_ms(result):
    return 1e3 * statistics.median(result["seconds"])


def markdown(head, rows):
    """A table; the first column is text, the others are figures."""
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def cell(value):
    """Three digits, or all before the point; NaN stands for the figure of wrong work."""
    if value is None:
        return ""
    if value != value:
        return "wrong"
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def tables(report):
    """The lines of the README between the markers."""
    for threads, workloads in report["training"].items():
        yield from training_table(threads, workloads)
        yield ""
    yield f"![milliseconds of the trainings](benchmarks/{TRAINING.name})"
    yield ""
    yield from prediction_table(report["prediction"])
    yield ""
    yield from sentences(report)
    yield ""
    yield f"![roofline of the kernels](benchmarks/{ROOFLINE.name})"


def training_table(threads, workloads):
    one = threads == "1"
    found = [p for figures in workloads.values() for p in figures["peers"]]
    peers = [p for p in dict.fromkeys(found) if p not in ("fastnn", ONE_THREAD)]
    what = "1 thread, CPU time" if one else f"{threads} threads, wall time"
    beside = "times the floor" if one else "x 1 thread"
    head = [what, "fastnn, ms", beside, *(f"x {NAMES[p]}" for p in peers)]
    rows = []
    for name, figures in workloads.items():
        results = figures["peers"]
        ours = results["fastnn"]
        if one:
            second = median_ms(ours) / 1e3 / figures["floor"]["seconds"]
        else:
            second = median_ratio(results[ONE_THREAD])
        others = [median_ratio(results[p]) if p in results else None for p in peers]
        rows.append([name, cell(median_ms(ours)), cell(second), *map(cell, others)])
    return markdown(head, rows)


def prediction_table(prediction):
    head = [
        "784-128-10, 1 thread",
        *(f"us for {int(n):,} row{'s' * (n != '1')}" for n in prediction),
    ]
    names = next(iter(prediction.values()))
    rows = []
    for name in names:
        library, _, way = name.partition(" ")
        figures = [results[name] for results in prediction.values()]
        times = [
            float("nan") if f["wrong"] else 1e6 * statistics.median(f["seconds"]) for f in figures
        ]
        rows.append([f"{NAMES[library]} {way}".strip(), *map(cell, times)])
    return markdown(head, rows)


def sentences(report):
    """What is no table, and where and with what it was measured."""
    figures, machine, limits = summary(report), report["machine"], report["limits"]
    if added := figures.get("import fastnn: ms beside numpy"):
        yield f"`import fastnn` takes {added:.0f} ms of CPU time more than `import numpy`."
    if part := figures.get("hello from the start: part of torch"):
        yield (
            f"A process that trains Hello World takes {part:.2f} of the CPU time that it takes "
            "with PyTorch."
        )
    if "wheel: MB" in figures:
        yield (
            f"The wheel has {figures['wheel: MB']:.1f} MB; installed, with what it needs beside "
            f"NumPy, {figures['installed beside numpy: MB']:.1f} MB."
        )
    levels = ", ".join(f"{name} {level['update']:.0f}" for name, level in limits["levels"].items())
    yield ""
    yield (
        f"Medians of {report['repeats']}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, NumPy {machine['numpy']}, "
        + ", ".join(f"{NAMES[name]} {version}" for name, version in versions(report).items())
        + f", commit {report['commit']}. One core does {limits['peak']:.0f} GFLOP/s; "
        f"an optimizer's traffic in GB/s: {levels}."
    )


def versions(report):
    """{peer: its version}, fastnn first."""
    found = {}
    for workloads in report["training"].values():
        for figures in workloads.values():
            for name, result in figures["peers"].items():
                if name not in ("numpy", COMPILING, ONE_THREAD):
                    found[name] = result["version"]
    for results in report["prediction"].values():
        for name, result in results.items():
            found.setdefault(name.partition(" ")[0], result["version"])
    return found


def plotting():
    """Matplotlib's pyplot, for files that are the same for the same figures."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("the pictures need Matplotlib: pip install matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "fastnn", "font.size": 9}
    from matplotlib import pyplot

    return pyplot


def draw_training(report, path):
    """Milliseconds of each training, one panel for each number of threads."""
    plt = plotting()
    runs = report["training"]
    figure, axes = plt.subplots(
        1, len(runs), figsize=(5.5 * len(runs), 5), squeeze=False, layout="constrained"
    )
    for axis, (threads, workloads) in zip(axes[0], runs.items()):
        peers = list(dict.fromkeys(p for f in workloads.values() for p in f["peers"]))
        height = 0.8 / len(peers)
        for number, peer in enumerate(peers):
            at = [i for i, f in enumerate(workloads.values()) if peer in f["peers"]]
            results = [f["peers"][peer] for f in workloads.values() if peer in f["peers"]]
            axis.barh(
                [i + number * height for i in at],
                [median_ms(result) for result in results],
                height,
                color=COLOURS[peer],
                label=NAMES.get(peer, peer),
            )
        if threads == "1":
            for i, f in enumerate(workloads.values()):
                floor = 1e3 * f["floor"]["seconds"]
                axis.plot([floor, floor], [i - height / 2, i + 0.8 - height / 2], "k:")
            axis.plot([], [], "k:", label="floor of one core")
        axis.set_xscale("log")
        axis.set_xlim(left=0.1)  # the floors of the smallest ones are nowhere near
        axis.set_yticks([i + 0.4 - height / 2 for i in range(len(workloads))], workloads)
        axis.invert_yaxis()
        axis.set_xlabel("milliseconds, " + ("CPU time" if threads == "1" else "wall time"))
        axis.set_title(f"{threads} thread" + ("s" if threads != "1" else ""))
    found = {}
    for axis in axes[0]:
        found |= dict(zip(*reversed(axis.get_legend_handles_labels())))
    figure.legend(found.values(), found, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(f"One training. {report['machine']['processor']}", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_roofline(report, path):
    """GFLOP/s of products and kernels over their arithmetic per byte, below the machine's roofs."""
    plt = plotting()
    figure, axis = plt.subplots(figsize=(7.5, 5), layout="constrained")
    limits = report["limits"]
    lowest, highest = 0.05, 1000.0
    for name, level in limits["levels"].items():
        ridge = limits["peak"] / level["update"]
        axis.plot([lowest, ridge], [lowest * level["update"], limits["peak"]], "k-", lw=0.7)
        axis.text(lowest, lowest * level["update"], name, va="bottom", fontsize=7)
    axis.plot([0.3, highest], [limits["peak"]] * 2, "k-", lw=0.7)
    axis.text(highest, limits["peak"], "multiply-adds of one core", ha="right", va="bottom")
    for isa, marker in zip(report["products"], "os^"):
        for form, colour in (("NN", "#d62728"), ("TN", "#1f77b4"), ("NT", "#2ca02c")):
            rows = [r for r in report["products"][isa]["rows"] if r["form"] == form]
            sizes = [(r["m"], r["k"], r["n"]) for r in rows]
            axis.plot(
                [r["flops"] / (4 * (m * k + k * n + m * n)) for r, (m, k, n) in zip(rows, sizes)],
                [r["flops"] / r["fastnn"] * 1e-9 for r in rows],
                marker, color=colour, ms=4, alpha=0.8, label=f"products {form}, {isa}",
            )  # fmt: skip
    counted = [row for row in report["kernels"] if row["flops"]]
    for row in counted:
        best = min(row["seconds"].values())
        at = row["flops"] / row["bytes"], row["flops"] / best * 1e-9
        axis.plot(*at, "D", color="#9467bd", ms=3)
        axis.annotate(row["kernel"], at, xytext=(3, -3), textcoords="offset points", fontsize=6)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("multiplications and additions per byte")
    axis.set_ylabel("GFLOP/s")
    axis.legend(fontsize=7, loc="lower right")
    axis.set_title(f"Kernels, one thread. {report['machine']['processor']}", fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(report, readme=README):
    """Put the tables between the README's markers, and the pictures beside this file."""
    missing = {"training", "prediction", "startup", "products", "kernels"} - set(report)
    if missing:
        sys.exit(f"the README wants a run of all parts; missing: {', '.join(sorted(missing))}")
    before, _, rest = readme.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"{readme.name} has no {BEGIN} ... {END}")
    draw_training(report, TRAINING)
    draw_roofline(report, ROOFLINE)
    lines = "\n".join(tables(report))
    readme.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")
