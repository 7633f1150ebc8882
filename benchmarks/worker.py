"""One peer on one workload, in a process of its own; started by `python -m benchmarks`.

Writes one line of JSON with the peer's version, then one per line that it reads: the seconds that
a training took and the final loss. With one thread it counts CPU time, else wall time.
"""

import gc
import json
import os
import sys
import time

from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS


def main(peer_name, workload_name, threads):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints goes to stderr
    clock = time.process_time if threads == 1 else time.perf_counter

    workload = WORKLOADS[workload_name]
    peer = PEERS[peer_name](workload, threads)
    y = workload.data()[1]
    answers.write(json.dumps({"version": peer.version}) + "\n")
    for _ in sys.stdin:
        peer.build()
        gc.collect()
        start = clock()
        peer.train()
        seconds = clock() - start
        loss = workload.loss(peer.predict(), y)
        answers.write(json.dumps({"seconds": seconds, "loss": loss}) + "\n")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
