"""Times `fit` on two small data sets; run by `pytest benchmarks`."""

import time

import pytest

from benchmarks.peers.ours import FastNN
from benchmarks.workloads import WORKLOADS


@pytest.mark.benchmark(group="fit", timer=time.process_time)
@pytest.mark.parametrize("name", ["iris", "digits"])
def test_fit(benchmark, name):
    workload = WORKLOADS[name]
    peer = FastNN(workload, threads=1)
    benchmark.pedantic(peer.train, setup=peer.build, rounds=20, warmup_rounds=1)
    x, y = workload.data()
    assert workload.loss(peer.predict(), y) < 0.5
