"""A program as data that both libraries understand.

`optimizers.Adam(0.01)` on a `Name` computes nothing: it notes the call, and `make` makes it in
fastnn or in Keras. Since the calls are data, `names` tells which names of the library a case
covers. The cases are in `cases/`, `run.py` runs them.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class Name:
    """A name of the library, such as `layers.Dense`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> "Name":
        if name.startswith("__"):
            raise AttributeError(name)
        return Name(f"{self.path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> "Call":
        return Call(self, args, kwargs)


@dataclass(frozen=True)
class Call:
    """A call of what a name stands for."""

    name: Name
    args: tuple
    kwargs: dict


@dataclass(frozen=True)
class Graph:
    """A network that is no chain.

    `inputs` has the shapes of one row, `nodes` for each name the layer and the names of what it is
    called on (one, or a list).
    """

    inputs: dict[str, tuple]
    nodes: dict[str, tuple]
    outputs: list[str]


@dataclass(frozen=True)
class Training:
    """A network, how it is compiled, and the data it is trained on for 20 steps.

    `network` is a list of layers, or a Graph; `adapt` makes layers that can learn from the data
    do so before.
    """

    network: Any
    loss: Any
    x: Any
    y: Any
    optimizer: Any = field(default_factory=lambda: optimizers.SGD(0.1, momentum=0.5))
    settings: dict = field(default_factory=dict)  # the rest of compile's arguments
    fit: dict = field(default_factory=dict)
    batch_size: int = 16
    epochs: int = 10
    adapt: bool = False


@dataclass(frozen=True)
class Values:
    """What a function returns for arrays."""

    function: Any
    arrays: Any  # one, or a tuple of them
    settings: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Rates:
    """A schedule's rates for the first steps."""

    schedule: Call
    steps: int = 41


@dataclass(frozen=True)
class Draw:
    """Values of an initializer: all of them, or facts about a random draw."""

    initializer: Call
    shape: tuple
    exact: bool = False


activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers = map(
    Name,
    ("activations", "constraints", "initializers", "layers", "losses", "metrics", "optimizers",
     "regularizers"),
)  # fmt: skip
schedules = optimizers.schedules


def make(value: Any, library: Any) -> Any:
    """`value` with all names and calls in it looked up and made in `library`."""
    if isinstance(value, Name):
        return operator.attrgetter(value.path)(library)
    if isinstance(value, Call):
        return make(value.name, library)(
            *make(value.args, library), **make(value.kwargs, library)
        )
    if isinstance(value, (list, tuple)):
        return type(value)(make(v, library) for v in value)
    if isinstance(value, dict):
        return {key: make(v, library) for key, v in value.items()}
    return value


def names(value: Any) -> Iterator[str]:
    """The paths of all names in a case."""
    if isinstance(value, Name):
        yield value.path
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from names(v)
    elif isinstance(value, dict):
        yield from names(list(value.values()))
    elif hasattr(value, "__dataclass_fields__"):
        yield from names(list(vars(value).values()))
