"""The layers of dense networks: Input, Dense, Activation, Identity and Lambda."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn.layers.base import Call, Layer, row_shape
from fastnn.ops.tensor import Tensor
from fastnn.utils import choose


def refuse(owner: str, **arguments: Any) -> None:
    """Refuse arguments that would change the result and do not exist yet."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(f"{owner}: {name}={value!r} is not supported; leave it out")


def positive_integer(owner: str, name: str, value: Any) -> int:
    """`value` as an int of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{owner}: {name} must be an integer of 1 or more, got {value!r}")
    return int(value)


class InputLayer(Layer):
    """The entry of a model; see `Input`."""

    def __init__(self, shape: Any, dtype: str | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.batch_shape = (None, *row_shape(shape, "Input"))
        if dtype not in (None, "float32", "float64", "int32"):
            raise ValueError(
                f"Input: dtype must be one of float32, float64, int32, got {dtype!r}; leave it out "
                "for numbers of any other type, they are converted"
            )
        self.input_dtype = "int32" if dtype == "int32" else "real"
        self.built = True
        self.output = Tensor(self.batch_shape, self.input_dtype, self.name)
        Call(self, [], [self.output])

    def call(self, inputs: Any) -> Any:
        return inputs


def Input(  # noqa: N802  (Keras' name)
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> Tensor:
    """A symbolic tensor to build a model from.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row, without the batch.
    batch_size : int, optional
        Without effect: any number of rows is accepted.
    dtype : str, optional
        By default the model's float type.
    name : str, optional
    batch_shape : tuple, optional
        Instead of `shape`: with the batch as its first entry.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        Neither or both shapes are given, or a dimension is not a positive integer.
    """
    if (shape is None) == (batch_shape is None):
        raise ValueError("Input: give shape=(...) of one row, or batch_shape, but not both")
    return InputLayer(batch_shape[1:] if shape is None else shape, dtype, name).output

class OneInput(Layer):
    """Base of layers that work on one tensor of real numbers."""

    def check_inputs(self, tensors: list[Tensor]) -> None:
        if len(tensors) != 1:
            raise TypeError(
                f"layer {self.name!r} ({type(self).__name__}) takes one tensor, got {len(tensors)}"
            )
        if tensors[0].dtype != "real":
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}) needs real numbers, got "
                f"{tensors[0].dtype}; leave out the dtype of Input(...)"
            )


class Dense(OneInput):
    """`activation(inputs @ kernel + bias)` over the last axis.

    Parameters
    ----------
    units : int
        Outputs of the layer.
    activation : str or callable, optional
        None is linear.
    use_bias : bool, default True
    kernel_initializer : default "glorot_uniform"
    bias_initializer : default "zeros"
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str, Regularizer or callable, optional
        Penalty on the output, divided by the rows of the batch.
    kernel_constraint, bias_constraint : str or Constraint, optional
    lora_rank, lora_alpha, quantization_config : None
        Not supported.
    **kwargs
        `name`, `trainable`, `dtype`, `input_shape` (of one row), `input_dim`.

    Attributes
    ----------
    kernel : Variable (inputs, units)
    bias : Variable (units,) or None

    Raises
    ------
    ValueError
        `units` is not an integer of 1 or more; an activation or initializer is unknown.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive_integer("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        refuse(
            "Dense",
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            quantization_config=quantization_config,
        )
        self.kernel: Any = None
        self.bias: Any = None

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2:
            raise ValueError(
                f"layer {self.name!r} (Dense) needs rows of at least one feature, got shape "
                f"{tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"layer {self.name!r} (Dense) was built for {self.kernel.shape[0]} features, got "
                f"{inputs.shape[-1]} (input shape {inputs.shape})"
            )
        return self.activation(ops.linear(inputs, self.kernel, self.bias))

class Activation(OneInput):
    """An activation as a layer of its own.

    Parameters
    ----------
    activation : str or callable
    **kwargs
        `name`, `input_shape`.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


class Identity(Layer):
    """Its input, unchanged."""

    def call(self, inputs: Any) -> Any:
        return inputs


class Lambda(Layer):
    """A function of tensors, written with `fastnn.ops`, as a layer.

    A model with it can be saved if the function has a name; loading it needs
    `custom_objects={name: function}`. A subclass of Layer is the better choice for anything with
    weights.

    Parameters
    ----------
    function : callable
        From a tensor (or a list of them) to a tensor.
    output_shape : None
        Accepted, without effect: the shape follows from the function.
    mask : None
        Not supported.
    arguments : dict, optional
        Further arguments by name.

    Raises
    ------
    TypeError
        `function` cannot be called.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: None = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse("Lambda", mask=mask)
        if isinstance(function, str):
            function = choose("function", function, {})
        if not callable(function):
            raise TypeError(
                f"Lambda: function must be callable, got {type(function).__name__}: {function!r}"
            )
        self.function = function
        self.output_shape = None
        self.mask = None
        self.arguments = dict(arguments or {})

    def call(self, inputs: Any) -> Any:
        return self.function(inputs, **self.arguments)
