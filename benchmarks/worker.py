"""One peer on one workload, in a process of its own; started by `python -m benchmarks`.

Writes one line of JSON with the peer's version, then one per line that it reads: what a training
took in seconds (CPU time if it has one thread, else wall time) and by the clock on the wall, the
final loss, a digest of the outputs, and the most memory that the process has held so far.
"""

import gc
import hashlib
import sys
import time

from benchmarks.harness import Answers, peak_memory, use_cores
from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS


def main(peer_name, workload_name, threads):
    answers = Answers()
    use_cores(threads)
    workload = WORKLOADS[workload_name]
    peer = PEERS[peer_name].load()(workload, threads)
    y = workload.data()[1]
    answers.write(version=peer.version)
    for _ in sys.stdin:
        peer.build()
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        peer.train()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        memory = peak_memory()
        outputs = peer.predict()
        answers.write(
            seconds=cpu if threads == 1 else wall,
            wall=wall,
            loss=workload.loss(outputs, y),
            digest=hashlib.sha256(outputs.tobytes()).hexdigest()[:16],
            memory=memory,
        )


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
