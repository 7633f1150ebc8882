"""How each library trains a workload: one class a library, fastnn first.

A peer is made once in its own process, with data in the form its library likes best; nothing of
that is timed, nor is JAX's compilation, which takes some tenths of a second. `build` makes a fresh
model with the workload's initial weights, `train` is what is timed, and `predict` returns outputs
(rows, outputs) for the rows it was trained on. For fastnn `train` is `fit` of that model. It takes
the plan of the model before, which was compiled in the first turn, and that is not counted;
"compiling" has none to take. A new library is one class and one line in PEERS.
"""

import importlib
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Where a peer's class stands, and when it takes part.

    Attributes
    ----------
    library : str
        The package that must be installed.
    module, name : str
        Its class.
    workloads : tuple of str
        Those it trains in seconds, with one thread; empty for all, with any number.
    repeats : int
        Trainings at most.
    default : bool
        Whether it takes part where nobody named it.
    """

    library: str
    module: str
    name: str
    workloads: tuple[str, ...] = ()
    repeats: int = 1000
    default: bool = True

    @property
    def installed(self):
        return importlib.util.find_spec(self.library) is not None

    def load(self):
        return getattr(importlib.import_module(f"benchmarks.peers.{self.module}"), self.name)

    def trains(self, workload, threads):
        return not self.workloads or (workload in self.workloads and threads == 1)


COMPILING = "compiling"  # fastnn without a plan that it could take from an earlier model

PEERS = {
    "fastnn": Peer("fastnn", "ours", "FastNN"),
    COMPILING: Peer("fastnn", "ours", "Compiling", ("hello", "iris", "digits")),
    "numpy": Peer("fastnn", "ours", "Reference", ("hello", "iris", "digits"), repeats=2),
    "torch": Peer("torch", "eager", "Torch"),
    "jax": Peer("jax", "scan", "Jax"),
    "sklearn": Peer("sklearn", "mlp", "ScikitLearn"),
    "keras": Peer("keras", "fit", "Keras", repeats=2, default=False),
}
