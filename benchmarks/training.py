"""Training: fastnn and every other library by turns, and how that is compared and printed.

`measure_training` is called by `python -m benchmarks` once for each number of threads.
"""

import statistics

from benchmarks.harness import measure, span, trainer
from benchmarks.machine import describe_floor, floor
from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS

# Final losses (medians) further apart than this mean different work. All start from the same
# weights and only the order of the rows differs; single runs of `wide` differ by as much.
LOSS_FACTOR = 1.3

ONE_THREAD = "fastnn, 1 thread"  # beside several threads


def compare(results):
    """Add to each peer's result whether its loss fits fastnn's and the ratios of the times."""
    ours = results["fastnn"]
    for theirs in (result for peer, result in results.items() if peer != "fastnn"):
        a, b = statistics.median(ours["losses"]), statistics.median(theirs["losses"])
        theirs["same_work"] = a <= LOSS_FACTOR * b and b <= LOSS_FACTOR * a  # NaN: no
        if theirs["same_work"]:
            theirs["ratios"] = [t / o for t, o in zip(theirs["seconds"], ours["seconds"])]


def lines(workload, results, terms):
    """The lines of the table for one workload; the last one is its floor."""
    for peer, result in results.items():
        ms = [1e3 * seconds for seconds in result["seconds"]]
        loss = statistics.median(result["losses"])
        line = f"{workload:10}{peer:17}{span(ms):>28}{loss:12.3g}{max(result['memory']) >> 20:6}"
        if "ratios" in result:
            line += f"{span(result['ratios']):>28}"
        elif not result.get("same_work", True):
            line += f"{'WRONG':>28}"
        yield line
    if terms:
        times = statistics.median(results["fastnn"]["seconds"]) / terms["seconds"]
        yield f"{'':10}{times:.2f} times its {describe_floor(terms)}"


HEADER = (
    f"{'workload':10}{'peer':17}{'ms (min .. max)':>28}{'loss':>12}{'MB':>6}{'times fastnn':>28}"
)


def measure_training(workloads, peers, threads, repeats, known):
    """Train and print; returns {workload: {"peers": {peer: figures}, "floor": terms}}.

    With several threads fastnn takes part with one thread too, and there is no floor: that is what
    one core needs.
    """
    clock = "CPU time" if threads == 1 else "wall time"
    print(f"\ntraining, {threads} thread(s), {clock}, {repeats} repeats\n{HEADER}")
    figures = {}
    for name in workloads:
        taking_part = [p for p in peers if PEERS[p].trains(name, threads)]
        workers = {p: trainer(p, name, threads) for p in taking_part}
        if threads > 1:
            workers[ONE_THREAD] = trainer("fastnn", name, 1)
        results = measure(workers, repeats, {p: PEERS[p].repeats for p in peers})
        if threads > 1:
            results[ONE_THREAD]["seconds"] = results[ONE_THREAD]["wall"]
        compare(results)
        work = WORKLOADS[name]
        terms = floor(work, len(work.data()[0]), known) if threads == 1 else None
        print("\n".join(lines(name, results, terms)), flush=True)
        figures[name] = {"peers": results, "floor": terms}
    return figures
