"""compile, fit, evaluate, predict: the way from a model and data to an executor.

`Trainable` is the half of `Model` that runs. It checks data and finds the executor; `fitting` calls
the executor's `train` once per slice of about a tenth of a second, `forward` its `evaluate` and
`predict`.
"""

from __future__ import annotations

import collections.abc
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import arrays, backends, data, forward, optimizers
from fastnn.backends import Executor, Job
from fastnn.callbacks import Callback, History, Progress
from fastnn.engine.plan import Plan
from fastnn.engine.trace import Sum
from fastnn.executors import Executors
from fastnn.fitting import EPOCHS_AT_ONCE, ArrayFit, Fit, Prepared, StreamFit, train
from fastnn.heads import Heads, Kind, Settings
from fastnn.ops.random import permutation
from fastnn.streams import Batch, Stream, is_stream
from fastnn.utils import as_list, unlist

ROWS_AT_ONCE = 256  # of evaluate and predict, unless batch_size says otherwise


class Trainable:
    """The training half of a model; see `fastnn.Model`."""

    # What Model provides.
    name: str
    inputs: list[Any]
    outputs: list[Any]
    built: bool
    store: Any
    trainable_variables: list[Any]
    build: Any
    run: Any
    dtype: str

    def _reset_training(self) -> None:
        self.optimizer: Any = None
        self.history: History | None = None
        self.stop_training = False
        self._settings: Settings | None = None  # what compile was told
        self._heads: Heads | None = None  # the same per output, once the outputs are known
        self._executors = Executors()
        self._past_epochs = 0

    # --- compile ---------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        backend: str | None = None,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str or Loss; a list or dictionary for several outputs
        loss_weights : list or dictionary of float, optional
            Factors of the outputs' losses in the total.
        metrics, weighted_metrics : list of str or Metric, optional
            Reported beside the loss; the weighted ones heed sample weights. A list of lists, or a
            dictionary, for several outputs.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted for Keras' sake, without effect.
        backend : {"native", "reference"}, optional
            The executor; by default FASTNN_BACKEND, else native where it is installed.

        Raises
        ------
        ValueError
            A name is unknown (the choices are listed) or the loss is missing.
        """
        chosen = optimizers.get(optimizer)
        settings = Settings(loss, loss_weights, metrics, weighted_metrics)
        if backend is not None and backend not in backends.NAMES:
            raise ValueError(
                f"unknown backend {backend!r}; choose one of: {', '.join(backends.NAMES)}"
            )
        heads = Heads(settings, self.outputs) if self.built else None
        self._reset_training()
        self.optimizer, self._settings, self._heads = chosen, settings, heads
        self._executors = Executors(backend)

    # --- plans -----------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan that was used last, or the one that training in batches of 32 would use."""
        latest = self._executors.latest
        if latest is not None:
            return latest
        if self._settings is None:
            self._require_built("plan")
            return self._executor("predict", 32, ())[0].plan
        return self.make_plan()

    def make_plan(self, batch_size: int = 32) -> Plan:
        """Make the plan for training in batches of this size, so that the first `fit` has it ready.

        Without it `fit` makes the plan itself, which takes 1 or 2 milliseconds, or half of one if
        an earlier model had the same layers. For arrays without sample weights, of at least so
        many rows.

        Parameters
        ----------
        batch_size : int, default 32

        Returns
        -------
        Plan
            `print` shows its steps.

        Raises
        ------
        RuntimeError
            The model is not compiled.
        ValueError
            It is not built, or its loss depends on the data.
        """
        size = data.whole(batch_size, "batch_size")
        heads = self._require_compiled("make_plan")
        for head in heads:
            if head.target == "auto":
                raise ValueError(
                    f"make_plan: which loss {head.loss.name!r} is depends on the targets; name it, "
                    "as in 'sparse_categorical_crossentropy', or call fit, which sees them"
                )
        return self._executor("train", size, (Kind(),) * len(heads))[0].plan

    @property
    def metrics_names(self) -> list[str]:
        """The keys of what `evaluate` returns, in its order."""
        heads = self._require_compiled("metrics_names")
        return [*heads.loss_keys, *heads.metric_keys]

    def _executor(
        self, mode: str, capacity: int, weighted: Sequence[Kind], at_least: bool = False
    ) -> tuple[Executor, list[Sum]]:
        return self._executors.get(self, mode, capacity, self._heads, weighted, at_least)

    def _outputs_changed(self) -> None:
        """Layers were added or removed: plans and heads are made anew when they are needed."""
        self._heads = None
        self._executors.forget_plans()

    def _require_built(self, what: str, x: Any = None) -> None:
        """Build from data if there is some; raise if the model cannot do `what` yet."""
        if not self.built and x is not None:
            self._build_on(x)
        if not self.built:
            raise ValueError(
                f"{what}: this model is not built yet; give its first layer an input_shape, call "
                "model.build((None, features)), or fit it first"
            )

    def _build_on(self, x: Any) -> None:
        """Build from the first data."""
        array = data.as_inputs(x, ["input_layer"])[0]
        data.check_finite(array, "x")
        self.build((None, *array.shape[1:]) if array.ndim > 1 else (None, 1))

    def _require_compiled(self, what: str, x: Any = None) -> Heads:
        """The same for what needs losses; returns them."""
        if self._settings is None:
            raise RuntimeError(f"{what}: compile the model first, with model.compile(...)")
        self._require_built(what, x)
        if self._heads is None:
            self._heads = Heads(self._settings, self.outputs)
        return self._heads

    # --- data ------------------------------------------------------------------------------------

    def _input_feeds(self, x: Any, what: str = "x") -> list[np.ndarray]:
        names = [t.call.layer.name for t in self.inputs]
        arrays = data.as_inputs(x, names, what)
        labels = [what] if len(arrays) == 1 else [f"{what}[{i}]" for i in range(len(arrays))]
        data.same_length(list(zip(labels, arrays, strict=True)))
        feeds = []
        for tensor, array, label in zip(self.inputs, arrays, labels, strict=True):
            dtype = self.store.dtype if tensor.dtype == "real" else tensor.dtype
            feeds.append(data.features(array, tensor.shape, dtype, label))
        return feeds

    def _feeds(
        self,
        heads: Heads,
        x: Any,
        y: Any,
        sample_weight: Any,
        prefix: str = "",
        class_weight: Any = None,
    ) -> tuple[list[np.ndarray], tuple[Kind, ...]]:
        """Arrays for all feeds of a train or evaluate plan, and the kind of each output's."""
        if class_weight is not None and len(heads) > 1:
            raise ValueError("class_weight is for a model with one output; use sample_weight")
        feeds = self._input_feeds(x, f"{prefix}x")
        rows = len(feeds[0])
        if y is None:
            raise ValueError(f"{prefix}y is missing; the loss needs targets")
        names = [h.name for h in heads]
        several = len(names) > 1
        if several or isinstance(y, dict):
            ys = data.per_output(y, names, f"{prefix}y")
        else:
            ys = [data.alone(y, rows)]
        if isinstance(sample_weight, dict if not several else (list, tuple, dict)):
            ws = data.per_output(sample_weight, names, f"{prefix}sample_weight")
        else:
            ws = [data.alone(sample_weight, rows)] * len(names)
        weighted: list[Kind] = []
        dtype = self.store.dtype
        for i, head in enumerate(heads):
            suffix = f"[{i}]" if several else ""
            if not head.target:
                weighted.append(Kind())
                continue
            if ys[i] is None:
                raise ValueError(f"{prefix}y is missing for output {head.name!r}")
            what = f"{prefix}y{suffix}"
            array = arrays.array_of(ys[i], what)
            data.same_length([(f"{prefix}x", feeds[0]), (what, array)])
            shape = self.outputs[i].shape
            feeds.append(heads.y_true(i, array, shape, dtype, what))
            own = (None, *feeds[-1].shape[1:]) if head.target == "any" else None
            weight = None
            if ws[i] is not None:
                what = f"{prefix}sample_weight{suffix}"
                weight = data.weights(arrays.array_of(ws[i], what), shape, rows, dtype, what)
            if class_weight is not None:
                of_class = data.class_weights(class_weight, feeds[-1], shape)
                weight = np.asarray(of_class if weight is None else of_class * weight, dtype)
            weighted.append(Kind(0 if weight is None else weight.ndim, own))
            if weight is not None:
                feeds.append(weight)
        return feeds, tuple(weighted)

    def _stream(self, x: Any, what: str, shuffle: bool = False, **given: Any) -> Stream:
        """A stream; an error if an argument was given that is for arrays only."""
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"{name} cannot be given: {what} is a {type(x).__name__}, which yields "
                    "(x, y) or (x, y, sample_weight) itself, batch by batch"
                )
        return Stream(x, what, self._next_order if shuffle else None)

    def _next_order(self, count: int) -> np.ndarray:
        """A new order of the batches of a stream."""
        self._past_epochs += 1
        return permutation(self._executors.seed, self._past_epochs - 1, count)

    def _first(self, stream: Stream) -> Any:
        """x of the first batch, which stays the first."""
        batch = stream.peek()
        if batch is None:
            raise ValueError(f"{stream.what} yielded no batch; at least one is needed")
        return batch[0]

    def _prepare(
        self, heads: Heads, mode: str, stream: Stream, batch: Batch, class_weight: Any = None
    ) -> Prepared:
        """The feeds of a batch of a stream, checked like all data, and their executor."""
        try:
            feeds, weighted = self._feeds(heads, *batch, class_weight=class_weight)
        except ValueError as error:
            raise ValueError(stream.named(error)) from None
        ranks = [kind.weighted for kind in weighted]
        if stream.ranks not in (None, ranks):
            raise ValueError(
                stream.named("sample_weight must come with every batch, or with none")
            )
        stream.ranks = ranks
        return feeds, *self._executor(mode, len(feeds[0]), weighted, at_least=True)

    # --- fit -------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like, a list or dictionary of them for several inputs; or a stream
            One row per sample. A stream is a generator, an iterable (a PyTorch DataLoader), or an
            object with `__len__` and `__getitem__` that gives batches (`keras.utils.PyDataset`); it
            yields (x, y) or (x, y, sample_weight) for each batch.
        y : array_like, a list or dictionary of them for several outputs
            Targets; None for a stream.
        batch_size : int, default 32
            Rows of an update; the last batch of an epoch can have fewer. Not for a stream.
        epochs : int, default 1
            The epoch to stop before (see `initial_epoch`).
        verbose : {"auto", 0, 1, 2}
            1 (auto) shows a bar per epoch, 2 a line, 0 nothing.
        callbacks : list of Callback, optional
        validation_split : float, default 0.0
            Fraction of the rows, the last ones, to hold out. Not for a stream.
        validation_data : (x, y) or (x, y, sample_weight), or a stream; optional
        shuffle : bool or "batch", default True
            A new order of the rows for each epoch; "batch" moves batches of neighbouring rows. A
            stream whose batches have numbers is shuffled by batches, another one never.
        class_weight : dict, optional
            Class index to a factor of the loss of its rows; 1 for a class that is not in it. It is
            multiplied with `sample_weight`. For class indices, one-hot targets and targets 0 and 1.
        sample_weight : array_like (rows,), or (rows, positions ...) for outputs of higher rank
            Factors of the rows' losses; with several outputs a list or dictionary of them. Not for
            a stream.
        initial_epoch : int, default 0
        steps_per_epoch : int, optional
            Batches of an epoch; a pass over the data goes on in the next epoch. By default an epoch
            is a pass, which a stream without end does not have.
        validation_steps : int, optional
            Batches of a validation; by default all.
        validation_batch_size : int, optional
        validation_freq : int or list of int, default 1
            Epochs between validations, or the epochs (from 1) that one follows.

        Returns
        -------
        History
            Its `history` is a dictionary of lists, one value per epoch.

        Raises
        ------
        ValueError
            Data does not fit the model; nothing is trained then. A stream is checked batch by
            batch, each before it is trained on.
        KeyboardInterrupt
            After Ctrl-C, or SIGTERM where the program does not handle it; the model keeps what was
            trained, `model.history` what was noted.

        Notes
        -----
        On x86-64 the native executor replaces results below the smallest normal number of the float
        type (1.2e-38 for float32) by 0 while it trains: arithmetic with them is many times slower.
        """
        if x is None:
            raise ValueError("fit: x is missing")
        epochs = data.whole(epochs, "epochs")
        initial_epoch = data.whole(initial_epoch, "initial_epoch", least=0)
        is_validated = _validated(validation_freq)
        steps = _optional(steps_per_epoch, "steps_per_epoch")
        check_steps = _optional(validation_steps, "validation_steps")
        if not isinstance(shuffle, (bool, np.bool_)) and shuffle != "batch":
            raise ValueError(f"shuffle must be True, False or 'batch', got {shuffle!r}")
        size = data.whole(32 if batch_size is None else batch_size, "batch_size")
        check_size = _optional(validation_batch_size, "validation_batch_size")
        shown = _verbosity(verbose)
        hooks = _callbacks(callbacks)
        run: Fit
        held_out: Any = None
        if is_stream(x):
            alone = {"y": y, "batch_size": batch_size, "sample_weight": sample_weight}
            stream = self._stream(x, "x", bool(shuffle), **alone)
            if validation_split:
                raise ValueError("validation_split is for arrays; give validation_data instead")
            heads = self._require_compiled("fit", None if self.built else self._first(stream))
            self._first(stream)
            run = StreamFit(
                self, heads, hooks, initial_epoch, stream, max(epochs - initial_epoch, 0), steps,
                lambda batch: self._prepare(heads, "train", stream, batch, class_weight),
            )  # fmt: skip
            total = steps or stream.batches
        else:
            heads = self._require_compiled("fit", x)
            feeds, weighted = self._feeds(heads, x, y, sample_weight, class_weight=class_weight)
            if validation_data is None:
                feeds, held_out = data.split_last(feeds, validation_split)
            rows = len(feeds[0])
            if self.optimizer.full_batch:
                size = rows
            executor, sums = self._executor("train", min(size, rows), weighted)
            job = Job(
                feeds=feeds,
                rows=rows,
                batch_size=size,
                epochs=max(epochs - initial_epoch, 0),
                shuffle=shuffle is not False and shuffle != "batch",
                sums=np.zeros((min(epochs, EPOCHS_AT_ONCE), executor.plan.accumulator_count)),
                past_epochs=self._past_epochs,
                steps=steps or 0,
            )
            run = ArrayFit(
                self, heads, hooks, initial_epoch, executor, sums, job, shuffle == "batch", steps
            )
            total = job.steps
        check_size = check_size or min(size, ROWS_AT_ONCE)
        if validation_data is not None:
            run.validate = self._validation(heads, validation_data, check_size, check_steps, hooks)
        elif held_out:
            held_out = [a[: _limit(check_steps, check_size)] for a in held_out]
            run.validate = lambda: self._evaluate(heads, held_out, weighted, check_size, hooks)
        run.is_validated = is_validated
        run.progress = Progress(shown, epochs, total)
        self.stop_training = False
        self._introduce(
            hooks, {"epochs": epochs, "steps": total, "batch_size": size, "verbose": shown}
        )
        run.run()
        return run.history

    def _introduce(self, hooks: Sequence[Callback], params: dict[str, Any]) -> None:
        for callback in hooks:
            callback.set_model(self)
            callback.set_params(params)

    def _validation(
        self, heads: Heads, given: Any, size: int, steps: int | None, hooks: list[Callback]
    ) -> Any:
        """A function that evaluates validation_data."""
        if is_stream(given):
            stream = self._stream(given, "validation_data")

            def validate() -> dict[str, Any] | None:
                if steps is None or stream.peek() is None:
                    stream.begin()
                return forward.evaluate_stream(
                    heads, stream, steps,
                    lambda batch: self._prepare(heads, "evaluate", stream, batch), hooks,
                )  # fmt: skip

            return validate
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            got = f"{len(given)} of them" if isinstance(given, (tuple, list)) else type(given)
            raise ValueError(f"validation_data must be (x, y) or (x, y, sample_weight), got {got}")
        x, y, weight = (*given, None)[:3]
        feeds, weighted = self._feeds(heads, x, y, weight, "validation_")
        feeds = [a[: _limit(steps, size)] for a in feeds]
        return lambda: self._evaluate(heads, feeds, weighted, size, hooks)

    def partial_fit(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        batch_size: int | None = None,
        shuffle: bool = True,
    ) -> Any:
        """Train once over this data; call it again with more data as it comes.

        Optimizer state, learning-rate schedule and random numbers go on where the call before
        ended. `model.history` holds loss and metrics of this call.

        Parameters
        ----------
        x, y, sample_weight, class_weight, batch_size, shuffle
            As for `fit`.

        Returns
        -------
        Model
            Itself.
        """
        self.fit(
            x, y, batch_size, verbose=0, shuffle=shuffle, class_weight=class_weight,
            sample_weight=sample_weight,
        )  # fmt: skip
        return self

    # --- evaluate, predict -----------------------------------------------------------------------

    def _evaluate(
        self,
        heads: Heads,
        feeds: list[np.ndarray],
        weighted: Sequence[Kind],
        batch_size: int,
        hooks: list[Callback],
    ) -> dict[str, Any]:
        rows = min(batch_size, len(feeds[0]))
        executor, sums = self._executor("evaluate", rows, weighted, at_least=True)
        return forward.evaluate_arrays(heads, executor, sums, feeds, batch_size, hooks)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over all rows.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`; x can be a stream.
        batch_size : int, default 256
            Rows at once; the result does not depend on it, beyond rounding.
        verbose
            Accepted, without effect.
        steps : int, optional
            Batches to stop after; by default all of the data.
        callbacks : list of Callback, optional
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            The loss; with metrics a list in the order of `metrics_names`, or a dictionary.

        Raises
        ------
        ValueError
            Data does not fit the model.
        """
        steps = _optional(steps, "steps")
        size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        hooks = _callbacks(callbacks)
        if is_stream(x):
            alone = {"y": y, "batch_size": batch_size, "sample_weight": sample_weight}
            stream = self._stream(x, "x", **alone)
            heads = self._require_compiled("evaluate", self._first(stream))
            self._introduce(hooks, {"steps": steps or stream.batches})
            logs = forward.evaluate_stream(
                heads, stream, steps,
                lambda batch: self._prepare(heads, "evaluate", stream, batch), hooks,
            )  # fmt: skip
            assert logs is not None
        else:
            heads = self._require_compiled("evaluate", x)
            feeds, weighted = self._feeds(heads, x, y, sample_weight)
            feeds = [a[: _limit(steps, size)] for a in feeds]
            self._introduce(hooks, {"steps": -(-len(feeds[0]) // size)})
            logs = self._evaluate(heads, feeds, weighted, size, hooks)
        return logs if return_dict else unlist(logs.values())

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for each row of x.

        Parameters
        ----------
        x : array_like; a list or dictionary for several inputs; or a stream
            Of what a stream yields only x is used.
        batch_size : int, default 256
            Rows at once; the result does not depend on it.
        verbose
            Accepted, without effect.
        steps : int, optional
            Batches to stop after; by default all of the data.
        callbacks : list of Callback, optional

        Returns
        -------
        ndarray, or a list of them for several outputs

        Raises
        ------
        ValueError
            x does not fit the model, or the model is not built.
        """
        if batch_size is None and steps is None and callbacks is None:
            made = self._executors.predict_at_once(self.store, x)
            if made is not None:
                return made
        steps = _optional(steps, "steps")
        size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        hooks = _callbacks(callbacks)
        self._require_built("predict")
        if is_stream(x):
            stream = self._stream(x, "x", batch_size=batch_size)
            self._introduce(hooks, {"steps": steps or stream.batches})

            def prepare(batch: Batch) -> tuple[list[np.ndarray], Executor]:
                try:
                    feeds = self._input_feeds(batch[0])
                except ValueError as error:
                    raise ValueError(stream.named(error)) from None
                return feeds, self._executor("predict", len(feeds[0]), (), at_least=True)[0]

            return forward.predict_stream(stream, steps, prepare, hooks)
        feeds = [a[: _limit(steps, size)] for a in self._input_feeds(x)]
        rows = len(feeds[0])
        executor, _ = self._executor("predict", min(size, rows), (), at_least=True)
        self._introduce(hooks, {"steps": -(-rows // size)})
        return forward.predict_arrays(executor, feeds, size, hooks)

    # --- one batch -------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch; returns its loss and metrics from before the update.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, but no stream.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            As `evaluate`.
        """
        heads = self._require_compiled("train_on_batch", x)
        feeds, weighted = self._feeds(heads, x, y, sample_weight, class_weight=class_weight)
        rows = len(feeds[0])
        executor, sums = self._executor("train", rows, weighted, at_least=True)
        totals = np.zeros((1, executor.plan.accumulator_count))
        train(self.optimizer, executor, Job(feeds, rows, rows, 1, False, totals))
        logs = heads.results(sums, totals[0])
        return logs if return_dict else unlist(logs.values())

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`, but no stream.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            As `evaluate`.
        """
        heads = self._require_compiled("test_on_batch", x)
        feeds, weighted = self._feeds(heads, x, y, sample_weight)
        rows = len(feeds[0])
        executor, sums = self._executor("evaluate", rows, weighted, at_least=True)
        logs = heads.results(sums, executor.evaluate(feeds, rows))
        return logs if return_dict else unlist(logs.values())

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch.

        Parameters
        ----------
        x : array_like; a list or dictionary for several inputs

        Returns
        -------
        ndarray, or a list of them for several outputs
        """
        made = self._executors.predict_at_once(self.store, x)
        if made is not None:
            return made
        self._require_built("predict_on_batch")
        feeds = self._input_feeds(x)
        rows = len(feeds[0])
        executor, _ = self._executor("predict", rows, (), at_least=True)
        return forward.predict_arrays(executor, feeds, rows, [])


def _optional(value: Any, name: str) -> int | None:
    return None if value is None else data.whole(value, name)


def _limit(steps: int | None, size: int) -> int | None:
    """The rows of so many batches."""
    return None if steps is None else steps * size


def _validated(freq: Any) -> Any:
    """Whether validation follows an epoch, as a function of its number from 1."""
    if isinstance(freq, collections.abc.Collection) and not isinstance(freq, (str, bytes)):
        epochs = [data.whole(epoch, "validation_freq") for epoch in freq]
        return lambda epoch: epoch in epochs
    every = data.whole(freq, "validation_freq")
    return lambda epoch: epoch % every == 0


def _verbosity(verbose: Any) -> int:
    if isinstance(verbose, (str, numbers.Integral)) and verbose in ("auto", 0, 1, 2):
        return 1 if verbose == "auto" else int(verbose)
    raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")


def _callbacks(callbacks: Any) -> list[Callback]:
    hooks = as_list(callbacks)
    for callback in hooks:
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks must be a list of fastnn.callbacks.Callback, got {callback!r}"
            )
    return hooks
