"""`python -m benchmarks`: fastnn against every other library that is installed.

    python -m benchmarks [workload ...] [--repeats 5] [--threads 1] [--json FILE]

Each library trains each workload in its own process, by turns, after one training that is not
counted. A library that is much worse (or better) in its final loss did not do the same work: its
row says WRONG, without a ratio, and the exit status is 1.
"""

import argparse
import importlib.util
import json
import statistics
import sys

from benchmarks.harness import Worker, machine, measure, span
from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS

# Final losses (medians) further apart than this mean different work. All start from the same
# weights and only the order of the rows differs; single runs of `wide` differ by as much.
LOSS_FACTOR = 1.3


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
        workers = {peer: Worker(peer, workload, args.threads) for peer in peers}
        figures[workload] = measure(workers, args.repeats)
        compare(figures[workload])
        print("\n".join(rows(workload, figures[workload])), flush=True)

    if args.json:
        report = {"machine": machine(), "threads": args.threads, "clock": clock, "results": figures}
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)
    wrong = any(not r.get("same_work", True) for f in figures.values() for r in f.values())
    return 1 if wrong else 0


sys.exit(main())
