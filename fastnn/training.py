"""compile, fit, evaluate, predict: the way from a model and data to an executor.

`Trainable` is the half of `Model` that runs, and the only caller of an executor. `fit` calls the
executor's `train` once per slice of about a tenth of a second; between slices it shows progress,
runs the user's callbacks and lets Ctrl-C in.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import backends, data, optimizers
from fastnn.backends import Executor, Job
from fastnn.callbacks import Callback, History, Progress, overrides
from fastnn.engine.plan import Plan
from fastnn.engine.trace import Sum, losses_among
from fastnn.executors import Executors
from fastnn.heads import Heads, Kind, Settings
from fastnn.ops.tensor import concrete
from fastnn.utils import as_list, unlist

ROWS_AT_ONCE = 256  # of evaluate and predict, unless batch_size says otherwise
EPOCHS_AT_ONCE = 1024  # in one call of the executor
RATES_AT_ONCE = 4096  # entries of the table of a schedule

BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
PREDICT_BATCH_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")
EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")


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
        heads = self._require_compiled("plan")
        return self._executor("train", 32, (Kind(),) * len(heads))[0].plan

    @property
    def metrics_names(self) -> list[str]:
        """The keys of what `evaluate` returns, in its order."""
        heads = self._require_compiled("metrics_names")
        return [*heads.loss_keys, *heads.metric_keys]

    def _executor(
        self, mode: str, capacity: int, weighted: Sequence[Kind]
    ) -> tuple[Executor, list[Sum]]:
        return self._executors.get(self, mode, capacity, self._heads, weighted)

    def _outputs_changed(self) -> None:
        """Layers were added or removed: plans and heads are made anew when they are needed."""
        self._heads = None
        self._executors.forget_plans()

    def _require_built(self, what: str, x: Any = None) -> None:
        """Build from data if there is some; raise if the model cannot do `what` yet."""
        if not self.built and x is not None:
            array = data.as_inputs(x, ["input_layer"])[0]
            data.check_finite(array, "x")
            self.build((None, *array.shape[1:]) if array.ndim > 1 else (None, 1))
        if not self.built:
            raise ValueError(
                f"{what}: this model is not built yet; give its first layer an input_shape, call "
                "model.build((None, features)), or fit it first"
            )

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
        self, heads: Heads, x: Any, y: Any, sample_weight: Any, prefix: str = ""
    ) -> tuple[list[np.ndarray], tuple[Kind, ...]]:
        """Arrays for all feeds of a train or evaluate plan, and the kind of each output's."""
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
            array = data.array_of(ys[i], what)
            data.same_length([(f"{prefix}x", feeds[0]), (what, array)])
            feeds.append(heads.y_true(i, array, self.outputs[i].shape, dtype, what))
            own = (None, *feeds[-1].shape[1:]) if head.target == "any" else None
            weighted.append(Kind(ws[i] is not None, own))
            if ws[i] is not None:
                what = f"{prefix}sample_weight{suffix}"
                feeds.append(data.weights(data.array_of(ws[i], what), rows, dtype, what))
        return feeds, tuple(weighted)

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
        shuffle: bool = True,
        class_weight: None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: None = None,
        validation_steps: None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        x, y : array_like; a list or dictionary for several inputs or outputs
            One row per sample.
        batch_size : int, default 32
        epochs : int, default 1
            The epoch to stop before (see `initial_epoch`).
        verbose : {"auto", 0, 1, 2}
            1 (auto) shows a bar per epoch, 2 a line, 0 nothing.
        callbacks : list of Callback, optional
        validation_split : float, default 0.0
            Fraction of the rows, the last ones, to hold out.
        validation_data : (x, y) or (x, y, sample_weight), optional
        shuffle : bool, default True
            A new order of the rows for each epoch.
        sample_weight : array_like (rows,), optional
        initial_epoch : int, default 0
        validation_batch_size : int, optional
        validation_freq : int, default 1
            Epochs between validations.
        class_weight, steps_per_epoch, validation_steps : None
            Not supported.

        Returns
        -------
        History
            Its `history` is a dictionary of lists, one value per epoch.

        Raises
        ------
        ValueError
            Data does not fit the model; nothing is trained then.
        KeyboardInterrupt
            After Ctrl-C; the model keeps what was trained, `model.history` what was noted.
        """
        for name, value in (
            ("class_weight", class_weight),
            ("steps_per_epoch", steps_per_epoch),
            ("validation_steps", validation_steps),
        ):
            if value is not None:
                raise ValueError(f"fit: {name}={value!r} is not supported; leave it out")
        if x is None:
            raise ValueError("fit: x is missing")
        batch_size = data.whole(32 if batch_size is None else batch_size, "batch_size")
        epochs = data.whole(epochs, "epochs")
        initial_epoch = data.whole(initial_epoch, "initial_epoch", least=0)
        validation_freq = data.whole(validation_freq, "validation_freq")
        if validation_batch_size is None:
            validation_batch_size = min(batch_size, ROWS_AT_ONCE)
        check_batch = data.whole(validation_batch_size, "validation_batch_size")
        shown = _verbosity(verbose)
        hooks = _callbacks(callbacks)
        heads = self._require_compiled("fit", x)
        feeds, weighted = self._feeds(heads, x, y, sample_weight)
        if validation_data is not None:
            held_out, held_weighted = self._validation_feeds(heads, validation_data)
        else:
            feeds, held_out = data.split_last(feeds, validation_split)
            held_weighted = weighted
        rows = len(feeds[0])
        executor, sums = self._executor("train", min(batch_size, rows), weighted)
        job = Job(
            feeds=feeds,
            rows=rows,
            batch_size=batch_size,
            epochs=max(epochs - initial_epoch, 0),
            shuffle=bool(shuffle),
            sums=np.zeros((min(epochs, EPOCHS_AT_ONCE), executor.plan.accumulator_count)),
            past_epochs=self._past_epochs,
        )
        if held_out or any(overrides(c, *EPOCH_HOOKS) for c in hooks):
            job.max_epochs = 1
        if any(overrides(c, *BATCH_HOOKS) for c in hooks):
            job.max_batches = 1
        job.stop_on_nan = any(c.stop_on_nan for c in hooks)
        job.watched = losses_among(sums)
        run = _Run(self, heads, executor, sums, job, hooks, initial_epoch)
        run.progress = Progress(shown, epochs, job.batches)
        if held_out:
            run.validate = lambda: self._evaluate(
                heads, held_out, held_weighted, check_batch, hooks
            )
            run.validation_freq = validation_freq
        self.stop_training = False
        self._introduce(
            hooks,
            {"epochs": epochs, "steps": job.batches, "batch_size": batch_size, "verbose": shown},
        )
        try:
            run.all_epochs()
        finally:
            # The next order of the rows is a new one.
            self._past_epochs = job.past_epochs + job.passes + (job.batch > 0)
            run.progress.close()
        return run.history

    def _introduce(self, hooks: Sequence[Callback], params: dict[str, Any]) -> None:
        for callback in hooks:
            callback.set_model(self)
            callback.set_params(params)

    def _validation_feeds(
        self, heads: Heads, given: Any
    ) -> tuple[list[np.ndarray], tuple[Kind, ...]]:
        """The feeds of validation_data."""
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            got = f"{len(given)} of them" if isinstance(given, (tuple, list)) else type(given)
            raise ValueError(f"validation_data must be (x, y) or (x, y, sample_weight), got {got}")
        x, y, weight = (*given, None)[:3]
        return self._feeds(heads, x, y, weight, "validation_")

    # --- evaluate, predict, one batch ------------------------------------------------------------

    def _evaluate(
        self,
        heads: Heads,
        feeds: list[np.ndarray],
        weighted: Sequence[Kind],
        batch_size: int,
        hooks: list[Callback],
    ) -> dict[str, Any]:
        rows = len(feeds[0])
        executor, sums = self._executor("evaluate", min(batch_size, rows), weighted)
        _call(hooks, "on_test_begin", {})
        if any(overrides(c, *TEST_BATCH_HOOKS) for c in hooks):
            totals = np.zeros(executor.plan.accumulator_count)
            for number, start in enumerate(range(0, rows, batch_size)):
                batch = [a[start : start + batch_size] for a in feeds]
                _call(hooks, "on_test_batch_begin", number, {})
                totals += executor.evaluate(batch, len(batch[0]))
                _call(hooks, "on_test_batch_end", number, heads.results(sums, totals))
        else:
            totals = executor.evaluate(feeds, rows)
        logs = heads.results(sums, totals)
        _call(hooks, "on_test_end", logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over all rows.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        batch_size : int, optional
            Rows at once; the result does not depend on it, beyond rounding.
        verbose
            Accepted, without effect.
        steps : None
            Not supported.
        callbacks : list of Callback, optional
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            The loss; with metrics a list in the order of `metrics_names`, or a dictionary.
        """
        if steps is not None:
            raise ValueError(f"evaluate: steps={steps!r} is not supported; leave it out")
        hooks = _callbacks(callbacks)
        batch_size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        heads = self._require_compiled("evaluate", x)
        feeds, weighted = self._feeds(heads, x, y, sample_weight)
        self._introduce(hooks, {"steps": -(-len(feeds[0]) // batch_size)})
        logs = self._evaluate(heads, feeds, weighted, batch_size, hooks)
        return logs if return_dict else unlist(logs.values())

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for each row of x.

        Parameters
        ----------
        x : array_like; a list or dictionary for several inputs
        batch_size : int, optional
            Rows at once; the result does not depend on it.
        verbose
            Accepted, without effect.
        steps : None
            Not supported.
        callbacks : list of Callback, optional

        Returns
        -------
        ndarray, or a list of them for several outputs

        Raises
        ------
        ValueError
            x does not fit the model, or the model is not built.
        """
        if steps is not None:
            raise ValueError(f"predict: steps={steps!r} is not supported; leave it out")
        hooks = _callbacks(callbacks)
        batch_size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        self._require_built("predict")
        feeds = self._input_feeds(x)
        rows = len(feeds[0])
        executor, _ = self._executor("predict", min(batch_size, rows), ())
        outputs = [np.empty(concrete(b.shape, rows), b.dtype) for b in executor.plan.outputs]
        self._introduce(hooks, {"steps": -(-rows // batch_size)})
        _call(hooks, "on_predict_begin", {})
        if any(overrides(c, *PREDICT_BATCH_HOOKS) for c in hooks):
            for number, start in enumerate(range(0, rows, batch_size)):
                batch, made = ([a[start : start + batch_size] for a in s] for s in (feeds, outputs))
                _call(hooks, "on_predict_batch_begin", number, {})
                executor.predict(batch, len(batch[0]), made)
                _call(hooks, "on_predict_batch_end", number, {"outputs": unlist(made)})
        else:
            executor.predict(feeds, rows, outputs)
        _call(hooks, "on_predict_end", {})
        return unlist(outputs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch; returns its loss and metrics from before the update.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        class_weight : None
            Not supported.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            As `evaluate`.
        """
        if class_weight is not None:
            raise ValueError(f"train_on_batch: class_weight={class_weight!r} is not supported")
        heads = self._require_compiled("train_on_batch", x)
        feeds, weighted = self._feeds(heads, x, y, sample_weight)
        rows = len(feeds[0])
        executor, sums = self._executor("train", rows, weighted)
        totals = np.zeros((1, executor.plan.accumulator_count))
        _train(self.optimizer, executor, Job(feeds, rows, rows, 1, False, totals))
        logs = heads.results(sums, totals[0])
        return logs if return_dict else unlist(logs.values())


class _Run:
    """One call of `fit`: the slices of a job, and what happens between them."""

    progress: Progress
    validate: Any = None  # returns losses and metrics on the validation data
    validation_freq = 1

    def __init__(
        self,
        model: Any,
        heads: Heads,
        executor: Executor,
        sums: list[Sum],
        job: Job,
        hooks: list[Callback],
        first_epoch: int,
    ) -> None:
        self.model, self.heads, self.executor, self.sums = model, heads, executor, sums
        self.job, self.hooks, self.first_epoch = job, hooks, first_epoch
        self.history = model.history = History()
        self.logs: dict[str, Any] = {}  # of the last epoch

    def all_epochs(self) -> None:
        """Run until the job is done or the user stops it."""
        self.call("prepare", self)  # which can restore a state
        self.call("on_train_begin", {})
        self.job.past_epochs = self.model._past_epochs
        restored = len(self.history.epoch)
        try:
            self.slices()
        except KeyboardInterrupt:
            # It can come between any two lines, after a slice that finished epochs: they are
            # noted as well, so that the history tells what the weights have seen.
            if self.validate is None:
                self.history.forget_unfinished()
                for number in range(len(self.history.epoch) - restored, self.job.epoch):
                    logs = self.results(self.job.sums_of(number))
                    self.history.add(number + self.first_epoch, logs)
            raise
        model, optimizer = self.model, self.model.optimizer
        if optimizer.use_ema and optimizer.iterations:
            trained = [v for v in model.trainable_variables if optimizer.factor_of(v)]
            model._executors.take_averages(trained)
        self.call("on_train_end", self.logs)

    def slices(self) -> None:
        """Train slice by slice, with hooks and progress between."""
        job, executor = self.job, self.executor
        while job.epoch < job.epochs and not self.model.stop_training:
            epoch, batch = job.epoch, job.batch
            if batch == 0:
                self.call("on_epoch_begin", epoch + self.first_epoch, {})
            self.call("on_train_batch_begin", batch, {})
            _train(self.model.optimizer, executor, job)
            self.model._past_epochs = job.past_epochs + job.passes + (job.batch > 0)
            if job.stopped_on_nan:
                at = job.batch or job.batches
                self.call("on_nan", at - 1, self.results(executor.accumulators))
                self.model.stop_training = True
            if job.max_batches == 1:
                sums = job.sums_of(epoch) if job.epoch > epoch else executor.accumulators
                self.call("on_train_batch_end", batch, self.results(sums))
            for done in range(epoch, job.epoch):
                self.finish(done)
            if job.batch:
                self.progress.update(job.epoch + self.first_epoch, job.batch)
        if job.batch:  # stopped within an epoch: it ends here
            job.sums_of(job.epoch)[:] = executor.accumulators
            self.finish(job.epoch)

    def finish(self, number: int) -> None:
        """Validate, note and show an epoch that has ended."""
        epoch = number + self.first_epoch
        self.logs = self.results(self.job.sums_of(number))
        if self.validate is not None and (epoch + 1) % self.validation_freq == 0:
            checked = self.validate()
            self.logs |= {f"val_{key}": value for key, value in checked.items()}
        try:
            self.call("on_epoch_end", epoch, self.logs)  # which can add to the logs
        finally:
            self.history.add(epoch, self.logs)
            self.progress.end_epoch(epoch, self.logs)

    def results(self, sums: np.ndarray) -> dict[str, Any]:
        """Losses and metrics of an epoch so far."""
        return self.heads.results(self.sums, sums)

    def call(self, hook: str, *args: Any) -> None:
        _call(self.hooks, hook, *args)


def _call(hooks: Sequence[Callback], hook: str, *args: Any) -> None:
    """Call a hook of each callback."""
    for callback in hooks:
        getattr(callback, hook)(*args)


def _train(optimizer: Any, executor: Executor, job: Job) -> None:
    """One slice, with the optimizer's rate or the table of its schedule."""
    control = executor.control[0]
    left = min((job.epochs - job.epoch) * job.steps - job.step, job.max_batches, RATES_AT_ONCE)
    job.rates = optimizer.rates(int(control["iteration"]), int(control["step"]), left)
    if job.rates is None:
        executor.control["rate"] = optimizer.learning_rate
    try:
        executor.train(job)
    finally:
        _note(optimizer, executor)


def _note(optimizer: Any, executor: Executor) -> None:
    """Tell the optimizer where the executor is."""
    control = executor.control[0]
    optimizer.reached(int(control["iteration"]), int(control["step"]))


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
