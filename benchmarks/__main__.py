"""`python -m benchmarks`: fastnn against every other library that is installed.

    python -m benchmarks [workload ...]        only these trainings
    python -m benchmarks --parts products      only these parts
    python -m benchmarks --threads 1,2 --wheel dist/fastnn.whl --json FILE --check TARGETS

Libraries work by turns, each in its own process, after one run that is not counted. With one
thread CPU time counts, else the time on the wall. A library that is much worse (or better) in its
final loss did not do the same work: its row says WRONG, without a ratio, and the exit status is 1,
as where a target is missed.
"""

import argparse
import json
import statistics
import sys

from benchmarks import report as readme
from benchmarks.harness import commit, figures_of, machine, span
from benchmarks.machine import describe, limits
from benchmarks.peers import PEERS
from benchmarks.prediction import PREDICTORS, library_of, measure_predictions
from benchmarks.products import measure_products
from benchmarks.startup import measure_size, measure_startup
from benchmarks.targets import check
from benchmarks.training import measure_training
from benchmarks.workloads import WORKLOADS

PARTS = ("training", "prediction", "startup", "products", "kernels")
LIBRARIES = list(dict.fromkeys([*PEERS, *map(library_of, PREDICTORS)]))
SLOW = [name for name, peer in PEERS.items() if not peer.default]


def names(known):
    """An argument that is a list of known names, with commas between them."""

    def parse(text):
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"unknown name {name!r}; there are {', '.join(known)}"
                )
        return text.split(",")

    return parse


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument(
        "--parts", type=names(PARTS), help=f"of {','.join(PARTS)}; with a workload only training"
    )
    parser.add_argument(
        "--peers",
        type=names(LIBRARIES),
        help=f"of {','.join(LIBRARIES)}; by default what is installed but for {','.join(SLOW)}, "
        "which takes minutes",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", default="1", help="of the trainings; 1,2 trains with each")
    parser.add_argument("--wheel", metavar="FILE", help="a wheel of fastnn, to report its size")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--report", metavar="FILE", help="measure nothing, read such figures")
    parser.add_argument(
        "--check", metavar="FILE", help="compare with targets, such as targets.json"
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help="write the tables into the README, and the pictures (needs Matplotlib)",
    )
    args = parser.parse_args()
    for name in args.workloads:
        if name not in WORKLOADS:
            parser.error(f"unknown workload {name!r}; there are {', '.join(WORKLOADS)}")
    return args


def training_peers(chosen):
    """The peers that train: fastnn, and those named, or all that are no matter of minutes."""
    peers = []
    for name, peer in PEERS.items():
        if name in chosen if chosen else peer.default:
            if peer.installed:
                peers.append(name)
            else:
                print(f"{name}: not installed, skipped")
    return ["fastnn", *(name for name in peers if name != "fastnn")]


def measure(args):
    """Run the parts that are asked for; returns the report."""
    parts = args.parts or (["training"] if args.workloads else PARTS)
    libraries = ["fastnn", *args.peers] if args.peers else None
    report = {
        "machine": machine(),
        "commit": commit(),
        "repeats": args.repeats,
        "partial": bool(args.workloads or args.parts or args.peers),
    }
    print(f"{report['machine']['processor']}, {report['machine']['cores']} cores")
    report["limits"] = limits()
    print("\n".join(describe(report["limits"])), flush=True)

    if args.wheel:
        report["size"] = measure_size(args.wheel)
        sizes = {"wheel": report["size"]["wheel"], "installed": report["size"]["installed"]}
        for name, size in (sizes | report["size"]["needed"]).items():
            print(f"{name:26}{size / 1e6:.2f} MB")
    if "training" in parts:
        peers = training_peers(args.peers)
        report["training"] = {
            threads: measure_training(
                args.workloads or WORKLOADS, peers, int(threads), args.repeats, report["limits"]
            )
            for threads in args.threads.split(",")
        }
    if "prediction" in parts:
        report["prediction"] = measure_predictions(args.repeats, libraries)
        print("\npredict of 784-128-10, 1 thread, CPU time")
        print(f"{'rows':>6}  {'called':26}{'us per call (min .. max)':>32}")
        for rows, results in report["prediction"].items():
            for name, result in results.items():
                figure = span([1e6 * s for s in result["seconds"]])
                wrong = "  WRONG" if result["wrong"] else ""
                print(f"{rows:>6}  {name:26}{figure:>32}{wrong}")
    if "startup" in parts:
        report["startup"] = measure_startup(args.repeats, libraries)
        print(f"\n{'a process':26}{'ms of CPU time (min .. max)':>32}")
        for name, seconds in report["startup"].items():
            print(f"{name:26}{span([1e3 * s for s in seconds]):>32}")
    if "products" in parts:
        report["products"] = measure_products(args.repeats)
    if "kernels" in parts:
        report["kernels"] = figures_of("kernels", "--repeats", str(args.repeats))
    return report


def wrong_results(report):
    """What did not do the same work, or predicts something else."""
    for threads, workloads in report.get("training", {}).items():
        for name, figures in workloads.items():
            for peer, result in figures["peers"].items():
                if not result.get("same_work", True):
                    losses = f"median loss {statistics.median(result['losses']):.3g}"
                    yield f"{peer} on {name} with {threads} thread(s): {losses}"
    for rows, results in report.get("prediction", {}).items():
        for name, result in results.items():
            if result["wrong"]:
                yield f"{name} of {rows} rows: errors up to {result['error']:.3g}"


def main():
    args = arguments()
    if args.readme:
        readme.plotting()  # rather now than after the measurements
    if args.report:
        with open(args.report) as file:
            report = json.load(file)
    else:
        report = measure(args)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=1)
    if args.readme:
        readme.write(report)
    misses = 0
    if args.check:
        with open(args.check) as file:
            lines, misses = check(report, json.load(file))
        print("\n" + "\n".join(lines))
    wrong = list(wrong_results(report))
    if wrong:
        print("\nWRONG: " + "; ".join(wrong))
    return 1 if wrong or misses else 0


if __name__ == "__main__":
    sys.exit(main())
