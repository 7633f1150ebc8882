"""Keras 3 on PyTorch."""

import keras

from benchmarks.peers.vocabulary import WithFit


class Keras(WithFit):
    """`fit` of Keras."""

    library = keras

    def __init__(self, workload, threads):
        import torch  # Keras has no setting of its own

        torch.set_num_threads(threads)
        keras.utils.set_random_seed(0)
        self.workload = workload
        self.version = f"{keras.__version__} on torch {torch.__version__}"
        self.x, self.y = workload.data()
