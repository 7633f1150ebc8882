"""Event files: what TensorBoard reads, written without TensorFlow.

`Events` writes one file with the `tensorboard` package's own record writer and protocol buffers
(imported here when the first file is opened), in the form that TensorFlow 2 gives them: tensors
with the name of the plugin that shows them. Records are written at once, without a thread;
`flush` puts them where a crash of this process no longer reaches them. Called by `tensorboard.py`.
"""

from __future__ import annotations

import itertools
import os
import platform
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.callbacks.base import writing
from fastnn.ops.tensor import Tensor
from fastnn.utils import as_list

BUCKETS = 30  # of a histogram, as in TensorFlow
_numbers = itertools.count()  # tell the files of a process apart


class Events:
    """An event file in a folder, which is made if needed.

    Parameters
    ----------
    folder : str

    Raises
    ------
    ImportError
        The `tensorboard` package is missing.
    OSError
        The folder cannot be written.
    """

    def __init__(self, folder: str) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise ImportError(
                "the TensorBoard callback needs the tensorboard package: pip install tensorboard"
            ) from error
        self._event, self._summary, self._tensor = (
            event_pb2.Event, summary_pb2.Summary, tensor_pb2.TensorProto
        )  # fmt: skip
        host, process = platform.node(), os.getpid()
        name = f"events.out.tfevents.{int(time.time()):010d}.{host}.{process}.{next(_numbers)}.v2"
        with writing("TensorBoard: log_dir", folder):
            os.makedirs(folder, exist_ok=True)
            self._records = RecordWriter(open(os.path.join(folder, name), "wb"))
        self._write(file_version="brain.Event:2")
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._records.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._records.close()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A point of a curve."""
        array = np.asarray(value, np.float32)
        self._value(tag, step, "scalars", self._numeric(array, "DT_FLOAT"))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """How the finite ones of these values are distributed."""
        array = buckets(np.asarray(values, np.float64).ravel())
        self._value(tag, step, "histograms", self._numeric(array, "DT_DOUBLE"))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """An image of (height, width) uint8, in grey."""
        height, width = pixels.shape
        texts = [str(width).encode(), str(height).encode(), png(pixels)]
        tensor = self._tensor(dtype="DT_STRING", string_val=texts)
        tensor.tensor_shape.dim.add(size=len(texts))
        self._value(tag, step, "images", tensor)

    def graph(self, model: Any) -> None:
        """The layers of a model with their shapes, and how they are connected."""
        self._write(graph_def=graph_def(model).SerializeToString())

    def _numeric(self, array: np.ndarray, dtype: str) -> Any:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        tensor = self._tensor(dtype=dtype, tensor_content=little.tobytes())
        tensor.tensor_shape.SetInParent()
        for n in array.shape:
            tensor.tensor_shape.dim.add(size=n)
        return tensor

    def _value(self, tag: str, step: int, plugin: str, tensor: Any) -> None:
        summary = self._summary()
        value = summary.value.add(tag=tag, tensor=tensor)
        value.metadata.plugin_data.plugin_name = plugin
        self._write(step=step, summary=summary)

    def _write(self, **content: Any) -> None:
        event = self._event(wall_time=time.time(), **content)
        self._records.write(event.SerializeToString())


def buckets(values: np.ndarray) -> np.ndarray:
    """Rows (left edge, right edge, count) of the finite values; all zero if there are none."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.zeros((BUCKETS, 3))
    low, high = values.min(), values.max()
    t = np.arange(BUCKETS + 1) / BUCKETS
    edges = np.sort(np.clip(low * (1 - t) + high * t, low, high))  # high - low could overflow
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BUCKETS - 1)
    counts = np.bincount(index, minlength=BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def png(pixels: np.ndarray) -> bytes:
    """A grey image (height, width) uint8 as a PNG file (w3.org/TR/png)."""
    height, width = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: the row is not filtered

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


# --- the graph -----------------------------------------------------------------------------------


def graph_def(model: Any) -> Any:
    """TensorFlow's GraphDef of a model: a node per layer call and per weight.

    A model inside a model is a group of nodes, and so is a layer with its weights. A model whose
    `call` is the user's own has no layer calls: the steps of its plan for prediction are shown.
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.types_pb2 import DataType

    graph = GraphDef()
    graph.versions.producer = 22  # the form of the nodes' attributes
    float_type = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE"}[model.store.dtype]
    if model.calls:
        nodes = _nodes(model, "", {}, {}, set())
    else:
        nodes = _steps(model._executor("predict", 1, ())[0].plan)
    for name, kind, inputs, tensor in nodes:
        node = graph.node.add(name=name, op=kind, input=inputs)
        dtype = _TYPES.get(tensor.dtype, float_type)
        node.attr["dtype"].type = DataType.Value(dtype)
        shape = node.attr["_output_shapes"].list.shape.add()
        for n in tensor.shape:
            shape.dim.add(size=-1 if n is None else n)
    return graph


_TYPES = {"int32": "DT_INT32", "int64": "DT_INT64", "uint8": "DT_UINT8", "bool": "DT_BOOL"}
Node = tuple[str, str, Sequence[str], Any]


def _nodes(
    model: Any, scope: str, made: dict[Tensor, str], weights: dict[Tensor, str], taken: set[str]
) -> Iterator[Node]:
    """(name, type, names of its inputs, what it makes) of each layer call and weight.

    `made` and `weights` hold the node of each tensor, `taken` the names in use.
    """

    def new(name: str) -> str:
        found, number = name, 0
        while found in taken:
            number += 1
            found = f"{name}/call_{number}"
        taken.add(found)
        return found

    for tensor in model.inputs:
        if tensor not in made:
            made[tensor] = new(scope + tensor.call.layer.name)
            yield made[tensor], "Placeholder", [], tensor
    for call in model.calls:
        layer = call.layer
        name = scope + layer.name
        inputs = [made[t] for t in call.inputs]
        if getattr(layer, "calls", None):  # a model
            inside = dict(zip(layer.inputs, inputs, strict=True))
            yield from _nodes(layer, f"{new(name)}/", inside, weights, taken)
            made.update(zip(call.outputs, (inside[t] for t in layer.outputs), strict=True))
            continue
        for variable in layer.variables:
            if variable not in weights:
                weights[variable] = new(f"{name}/{variable.name}")
                yield weights[variable], "Variable", [], variable
            inputs.append(weights[variable])
        name = new(name)
        yield name, type(layer).__name__, inputs, as_list(call.outputs)[0]
        made.update(dict.fromkeys(call.outputs, name))


def _steps(plan: Any) -> Iterator[Node]:
    """The same of each step of a plan, and of each buffer that it reads first."""
    made: dict[Any, str] = {}

    def new(buffer: Any) -> str:
        found, number = buffer.name, 0
        while found in made.values():
            number += 1
            found = f"{buffer.name}_{number}"
        made[buffer.block, buffer.offset, buffer.value] = found
        return found

    for buffer in plan.feeds:
        yield new(buffer), "Placeholder", [], buffer
    for step in plan.steps:
        inputs = []
        for buffer in step.inputs:
            if buffer is None:
                continue
            key = buffer.block, buffer.offset, buffer.value
            if key not in made:
                yield new(buffer), "Variable", [], buffer
            inputs.append(made[key])
        for buffer in step.outputs:
            if buffer is not None:
                yield new(buffer), step.name.replace(" ", "_"), inputs, buffer
