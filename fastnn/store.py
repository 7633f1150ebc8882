"""The MODEL block: where the values of weights lie, one after the other.

Made by models, and by layers that are called on arrays, when their weights are there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.engine.memory import Layout, aligned, zeros
from fastnn.ops.tensor import Variable


class Store:
    """A MODEL block: the values of variables, parameters first, then states.

    Models that share a layer share a store. A new model over placed variables makes a new store of
    everything that their stores held; the older models notice and make new plans. Its float type
    is that of the variables, `dtype` only if there are none.
    """

    def __init__(self, variables: Sequence[Variable], dtype: str = "float32") -> None:
        old = {id(v.store): v.store for v in variables if v.store is not None}
        everything = [v for store in old.values() for v in store.variables]
        everything += [v for v in variables if v.store is None]
        reals = [v for v in everything if v.dtype == "real"]
        dtype = reals[0].value.dtype.name if reals else dtype
        for variable in reals:
            if variable.value.dtype.name != dtype:
                raise ValueError(
                    f"{reals[0].path} is {dtype}, but {variable.path} is "
                    f"{variable.value.dtype.name}; use one float type for all layers of a model"
                )
        self.variables = everything
        self.dtype = dtype
        parameters = [v for v in everything if v.storage == "parameter"]
        states = [v for v in everything if v.storage == "state"]
        self.offsets: dict[Variable, int] = {}
        end = [0, 0]
        offset = 0
        for i, kind in enumerate((parameters, states)):
            for variable in kind:
                self.offsets[variable] = offset
                offset += aligned(variable.value.nbytes)
            end[i] = offset
        self.layout = Layout(end[0], end[1] - end[0], dtype)
        self.block = zeros(offset)
        for variable in everything:
            value, at = variable.value, self.offsets[variable]
            view = np.ndarray(value.shape, value.dtype, self.block.data, at)
            view[...] = value
            variable.value, variable.offset, variable.store = view, at, self


def place(variables: Sequence[Variable], dtype: str) -> None:
    """Give all of these one store, unless they have."""
    if any(v.store is None for v in variables) or len({id(v.store) for v in variables}) > 1:
        Store(variables, dtype)
