"""The figures of a report by name, and whether they are as good as targets.json demands.

A target is a name and a bound, as in `"hello: x torch": ">= 80"`. `x something` says how many times
faster fastnn is than that; see `summary` for all names.
"""

import operator
import statistics

from benchmarks.prediction import library_of
from benchmarks.training import ONE_THREAD

RELATIONS = {">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt}
MB = 1e6
# Products from this one on use a core well; smaller ones pay for their ends.
LARGE = 32 * 784 * 64


def median_ratio(result):
    """How many times as long as fastnn a peer takes; NaN if it did other work."""
    return statistics.median(result["ratios"]) if "ratios" in result else float("nan")


def summary(report):
    """{name: figure} of everything that a report holds."""
    found = {}
    for threads, workloads in report.get("training", {}).items():
        for name, figures in workloads.items():
            if threads == "1":
                found |= one_thread(name, figures)
            else:
                found |= several_threads(f"{name}, {threads} threads", figures["peers"])
    for rows, results in report.get("prediction", {}).items():
        found |= prediction(f"predict {rows}", results)
    for isa, figures in report.get("products", {}).items():
        rows, peak = figures["rows"], figures["peak"]
        rates = [row["flops"] / row["fastnn"] * 1e-9 for row in rows if row["flops"] >= 2 * LARGE]
        found[f"products, {isa}: x numpy, least"] = min(r["numpy"] / r["fastnn"] for r in rows)
        found[f"products, {isa}: of the peak, least"] = min(rates) / peak
    found |= startup(report.get("startup", {}))
    if size := report.get("size"):
        found["wheel: MB"] = size["wheel"] / MB
        found["installed beside numpy: MB"] = (
            size["installed"] + sum(size["needed"].values())
        ) / MB
    return found


def one_thread(name, figures):
    peers = figures["peers"]
    found = {f"{name}: x {p}": median_ratio(r) for p, r in peers.items() if p != "fastnn"}
    seconds = statistics.median(peers["fastnn"]["seconds"])
    return found | {f"{name}: time / floor": seconds / figures["floor"]["seconds"]}


def several_threads(name, peers):
    others = {p: median_ratio(r) for p, r in peers.items() if p not in ("fastnn", ONE_THREAD)}
    same = peers["fastnn"]["digests"] == peers[ONE_THREAD]["digests"]
    found = {f"{name}: x {p}": ratio for p, ratio in others.items()}
    found |= {
        f"{name}: x one thread": median_ratio(peers[ONE_THREAD]),
        f"{name}: same bits": float(same),
    }
    if others:
        found[f"{name}: x best peer"] = min(others.values())
    return found


def prediction(name, results):
    """The best way to call each library, beside `predict` of fastnn."""
    seconds = {
        way: float("nan") if r["wrong"] else statistics.median(r["seconds"])
        for way, r in results.items()
    }
    ours = seconds.get("fastnn predict", float("nan"))
    found = {f"{name}: us": 1e6 * ours}
    for way, theirs in seconds.items():
        library = library_of(way)
        if library != "fastnn":
            known = found.get(f"{name}: x {library}", float("inf"))
            found[f"{name}: x {library}"] = min(known, theirs / ours)
    return found


def startup(programs):
    seconds = {name: statistics.median(runs) for name, runs in programs.items()}
    found = {}
    if "import fastnn" in seconds:
        added = seconds["import fastnn"] - seconds["import numpy"]
        found["import fastnn: ms beside numpy"] = 1e3 * added
    if "hello with torch" in seconds and "hello with fastnn" in seconds:
        share = seconds["hello with fastnn"] / seconds["hello with torch"]
        found["hello from the start: part of torch"] = share
    return found


def check(report, targets):
    """(lines, misses) for {name: bound}.

    What was not measured is a miss, unless the run was asked to leave things out.
    """
    figures = summary(report)
    misses, left_out, lines = 0, 0, []
    for name, bound in targets.items():
        relation, number = bound.split()
        value = f"{figures[name]:.4g}" if name in figures else "-"
        if name in figures:
            hit = RELATIONS[relation](figures[name], float(number))  # NaN: a miss
            verdict = "hit" if hit else "MISS"
        elif report["partial"]:
            left_out += 1
            continue
        else:
            verdict = "NOT MEASURED"
        misses += verdict != "hit"
        lines.append(f"{name:42}{bound:>10}{value:>10}  {verdict}")
    hits = len(targets) - misses - left_out
    lines.append(f"{len(targets)} targets: {hits} hit, {misses} missed, {left_out} left out")
    return lines, misses
