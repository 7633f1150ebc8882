"""fastnn, with its native and its reference executor."""

import fastnn
from benchmarks.peers.vocabulary import WithFit
from fastnn import executors
from fastnn.engine.kept import Kept


class FastNN(WithFit):
    """`fit` of fastnn."""

    library = fastnn

    def __init__(self, workload, threads):
        fastnn.config.set_num_threads(threads)
        self.workload, self.version = workload, fastnn.__version__
        fastnn.utils.set_random_seed(0)
        self.x, self.y = workload.data()


class Compiling(FastNN):
    """A model that is the first of its layers in the process."""

    def build(self):
        super().build()
        executors._plans = Kept()


class Reference(FastNN):
    """The plans of fastnn with each op's NumPy definition."""

    settings = {"backend": "reference"}
