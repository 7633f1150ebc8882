"""fastnn, with its native and its reference executor."""

import fastnn
from benchmarks.peers.vocabulary import WithFit


class FastNN(WithFit):
    """`fit` of fastnn."""

    library = fastnn

    def __init__(self, workload, threads):
        fastnn.config.set_num_threads(threads)
        self.workload, self.version = workload, fastnn.__version__
        fastnn.utils.set_random_seed(0)
        self.x, self.y = workload.data()


class Planned(FastNN):
    """A model whose plan is made before `fit`."""

    def build(self):
        super().build()
        self.model.make_plan(min(self.workload.batch_size, len(self.x)))


class Reference(FastNN):
    """The plans of fastnn with each op's NumPy definition."""

    settings = {"backend": "reference"}
