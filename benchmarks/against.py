"""`python -m benchmarks.against REV`: this working tree against an older commit, side by side.

    python -m benchmarks.against REV [workload ...] [--repeats 9] [--tolerance 1.05]

The older commit is cloned into a temporary folder and built there with the same compiler. Both
train each workload by turns, each in its own process; the ratios are taken turn by turn, old over
new, so above 1 the new one is faster. The exit status is 1 where a workload's median ratio is
below 1 / tolerance, or where the final losses do not agree.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile

from benchmarks.harness import machine, measure, span, trainer
from benchmarks.training import LOSS_FACTOR
from benchmarks.workloads import WORKLOADS


def build(revision, folder):
    """A clone of `revision` with its native modules."""
    subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", revision], cwd=folder, check=True)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, check=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against")
    parser.add_argument("revision", metavar="REV")
    parser.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tolerance", type=float, default=1.05)
    args = parser.parse_args()
    for name in args.workloads:
        if name not in WORKLOADS:
            parser.error(f"unknown workload {name!r}; there are {', '.join(WORKLOADS)}")

    slower = False
    with tempfile.TemporaryDirectory() as folder:
        build(args.revision, folder)
        print(f"{machine()['processor']}, 1 thread, CPU time, {args.repeats} repeats")
        print(f"{'workload':10}{'new: ms':>28}{'old: ms':>28}{'old / new':>28}")
        for workload in args.workloads or WORKLOADS:
            workers = {
                "new": trainer("fastnn", workload, 1),
                "old": trainer("fastnn", workload, 1, folder),
            }
            figures = measure(workers, args.repeats)
            new, old = (figures[name]["seconds"] for name in ("new", "old"))
            ratios = [o / n for n, o in zip(new, old)]
            losses = [statistics.median(figures[name]["losses"]) for name in ("new", "old")]
            wrong = not max(losses) <= LOSS_FACTOR * min(losses)  # NaN: wrong
            slower |= wrong or statistics.median(ratios) < 1 / args.tolerance
            cells = [span([1e3 * s for s in new]), span([1e3 * s for s in old]), span(ratios)]
            line = f"{workload:10}" + "".join(f"{cell:>28}" for cell in cells)
            print(line + ("  LOSSES DIFFER" if wrong else ""), flush=True)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
