"""compile, fit, evaluate, predict: the way from a model and data to an executor.

`Trainable` is the half of `Model` that runs: it traces and builds plans, keeps their executors,
and is the only caller of a backend. `fit` calls the executor's `train` once per slice of about a
tenth of a second; between slices it shows progress, runs the user's callbacks and lets Ctrl-C in.
"""

from __future__ import annotations

import numbers
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import backends, config, data, losses, metrics, optimizers
from fastnn.backends import Executor, Job
from fastnn.callbacks import Callback, History, Progress, overrides
from fastnn.engine.build import build
from fastnn.engine.memory import aligned, zeros
from fastnn.engine.plan import CONTROL, Plan
from fastnn.engine.trace import Head, Sum, trace
from fastnn.ops.tensor import at_rows, concrete, count
from fastnn.utils import as_list, number, unlist

PLANS_KEPT = 8  # executors of recent shapes and modes; each has a scratch block of its own
ROWS_AT_ONCE = 256  # of evaluate and predict, unless batch_size says otherwise

BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
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
        self._heads: Any = None
        self._settings: dict[str, Any] = {}
        self._backend: str | None = None
        self._training: np.ndarray | None = None  # the TRAINING block, and the store it fits
        self._training_store: Any = None
        self._past_epochs = 0
        self._reset_plans()

    def _reset_plans(self) -> None:
        self._plans_lock = threading.RLock()  # several threads may predict
        self._executors: dict[Any, tuple[Executor, list[Sum]]] = {}

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
        if loss is None:
            raise ValueError("compile: a loss is needed, for example loss='mse'")
        if backend is not None and backend not in backends.NAMES:
            raise ValueError(
                f"unknown backend {backend!r}; choose one of: {', '.join(backends.NAMES)}"
            )
        settings = {
            "loss": _each(loss, losses.get),
            "loss_weights": loss_weights,
            "metrics": _each(metrics, _metric),
            "weighted_metrics": _each(weighted_metrics, _metric),
        }
        self._reset_training()
        self.optimizer, self._settings, self._backend = chosen, settings, backend
        self._seed = config.next_seed()
        if self.built:
            self._heads = self._make_heads()

    def _make_heads(self) -> list[Head]:
        """One head per output from the settings of compile."""
        names = [t.call.layer.name for t in self.outputs]
        names = [f"{n}_{names[:i].count(n)}" if n in names[:i] else n for i, n in enumerate(names)]
        several = len(names) > 1
        settings = self._settings
        loss = settings["loss"]
        if isinstance(loss, losses.Loss):
            loss = [loss] * len(names)
        loss = data.per_output(loss, names, "loss")
        factors = data.per_output(settings["loss_weights"], names, "loss_weights")
        lists = {}
        for key in ("metrics", "weighted_metrics"):
            value = settings[key]
            if not several and value is not None and not isinstance(value, dict):
                value = [as_list(value)]
            elif (
                several
                and isinstance(value, list)
                and not any(isinstance(v, list) or v is None for v in value)
            ):
                value = [[v] for v in value] if len(value) == len(names) else [value] * len(names)
            lists[key] = [as_list(v) for v in data.per_output(value, names, key)]
        heads = []
        for i, name in enumerate(names):
            if loss[i] is None:
                raise ValueError(f"compile: output {name!r} has no loss")
            shape = self.outputs[i].shape
            loss[i].check(self.outputs[i])
            heads.append(
                Head(
                    name,
                    loss[i],
                    1.0 if factors[i] is None else _factor(factors[i]),
                    [_resolve(m, loss[i], shape) for m in lists["metrics"][i]],
                    [_resolve(m, loss[i], shape) for m in lists["weighted_metrics"][i]],
                )
            )
        self._metric_keys = _metric_keys(heads)
        return heads

    # --- plans -----------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan that was used last, or the one that training in batches of 32 would use."""
        if self._executors:
            return list(self._executors.values())[-1][0].plan
        self._require_ready("plan", compiled=False)
        mode = "predict" if self._heads is None else "train"
        return self._executor(mode, 32, (False,) * len(self._heads or ()))[0].plan

    @property
    def metrics_names(self) -> list[str]:
        """The keys of what `evaluate` returns, in its order."""
        self._require_ready("metrics_names")
        names = ["loss"]
        several = len(self._heads) > 1
        names += [f"{h.name}_loss" for h in self._heads] if several else []
        return [*names, *self._metric_keys]

    def _require_ready(self, what: str, compiled: bool = True, x: Any = None) -> None:
        """Build from data if that is possible; raise if the model cannot do `what` yet."""
        if compiled and self.optimizer is None:
            raise RuntimeError(f"{what}: compile the model first, with model.compile(...)")
        if not self.built and x is not None:
            array = data.as_inputs(x, ["input_layer"])[0]
            data.check_finite(array, "x")
            self.build((None, *array.shape[1:]) if array.ndim > 1 else (None, 1))
        if not self.built:
            raise ValueError(
                f"{what}: this model is not built yet; give its first layer an input_shape, call "
                "model.build((None, features)), or fit it first"
            )
        if self.optimizer is not None and self._heads is None:
            self._heads = self._make_heads()

    def _executor(
        self, mode: str, capacity: int, weighted: Sequence[bool]
    ) -> tuple[Executor, list[Sum]]:
        """The executor for a mode, row capacity and kind of data; made once, kept for a while."""
        store = self.store
        trained = tuple(self.trainable_variables) if mode == "train" else ()
        key = (mode, capacity, tuple(weighted), store, trained)
        with self._plans_lock:
            found = self._executors.pop(key, None)
            if found is None:
                found = self._make_executor(mode, capacity, weighted, store)
            self._executors[key] = found  # the most recent one is last
            for old in list(self._executors)[:-PLANS_KEPT]:
                del self._executors[old]
        return found

    def _make_executor(
        self, mode: str, capacity: int, weighted: Sequence[bool], store: Any
    ) -> tuple[Executor, list[Sum]]:
        cls = backends.get(self._backend)
        heads = [
            Head(h.name, h.loss, h.factor, h.metrics, h.weighted_metrics, w)
            for h, w in zip(self._heads or [], weighted, strict=mode != "predict")
        ]
        program, sums = trace(self, mode, heads, self.optimizer)
        plan = build(program, store.layout, capacity)
        training = self._training_block(plan) if mode == "train" else None
        return cls(plan, store.block, training), sums

    def _training_block(self, plan: Plan) -> np.ndarray:
        """The block of gradients and optimizer state, kept over plans.

        When the model shares layers with a newer one its variables have moved: their optimizer
        state moves along.
        """
        updated = any(group.updates for group in plan.groups)
        if updated and self._training is not None and self._training_store is self.store:
            return self._training
        block = zeros(plan.sizes["training"])
        control = np.ndarray(1, CONTROL, block.data, plan.control_offset)
        control["seed"] = self._seed
        if not updated:  # all is frozen: such a plan has no optimizer state, the model's own rests
            return block
        if self._training is not None:
            old, new = self._training_store, self.store
            old_size, new_size = aligned(old.layout.parameters), aligned(new.layout.parameters)
            sections = plan.control_offset // new_size if new_size else 0
            for section in range(sections):
                for variable, start in old.offsets.items():
                    if variable.storage != "parameter":
                        continue
                    source = section * old_size + start
                    target = section * new_size + new.offsets[variable]
                    n = variable.value.nbytes
                    block[target : target + n] = self._training[source : source + n]
            source = sections * old_size
            n = CONTROL.itemsize
            block[plan.control_offset : plan.control_offset + n] = self._training[
                source : source + n
            ]
        self._training, self._training_store = block, self.store
        return block

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
        self, x: Any, y: Any, sample_weight: Any, prefix: str = ""
    ) -> tuple[list[np.ndarray], tuple[bool, ...]]:
        """Arrays for all feeds of a train or evaluate plan, and which outputs have weights."""
        feeds = self._input_feeds(x, f"{prefix}x")
        rows = len(feeds[0])
        if y is None:
            raise ValueError(f"{prefix}y is missing; the loss needs targets")
        names = [h.name for h in self._heads]
        several = len(names) > 1
        if several or isinstance(y, dict):
            ys = data.per_output(y, names, f"{prefix}y")
        else:
            ys = [data.alone(y, rows)]
        if isinstance(sample_weight, dict if not several else (list, tuple, dict)):
            ws = data.per_output(sample_weight, names, f"{prefix}sample_weight")
        else:
            ws = [data.alone(sample_weight, rows)] * len(names)
        weighted = []
        dtype = self.store.dtype
        for i, head in enumerate(self._heads):
            suffix = f"[{i}]" if several else ""
            if ys[i] is None:
                raise ValueError(f"{prefix}y is missing for output {head.name!r}")
            what = f"{prefix}y{suffix}"
            array = data.array_of(ys[i], what)
            data.same_length([(f"{prefix}x", feeds[0]), (what, array)])
            shape = self.outputs[i].shape
            if head.loss.target == "labels":
                feeds.append(data.labels(array, shape, what, head.loss.name))
            else:
                feeds.append(data.targets(array, shape, dtype, what, head.loss))
            weighted.append(ws[i] is not None)
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
        self._require_ready("fit", x=x)
        feeds, weighted = self._feeds(x, y, sample_weight)
        feeds, validation = self._validation(feeds, weighted, validation_split, validation_data)
        rows = len(feeds[0])
        executor, sums = self._executor("train", min(batch_size, rows), weighted)
        history = self.history = History()
        job = Job(
            feeds=feeds,
            rows=rows,
            batch_size=batch_size,
            epochs=max(epochs - initial_epoch, 0),
            shuffle=bool(shuffle),
            sums=np.zeros((max(epochs - initial_epoch, 0), executor.plan.accumulator_count)),
            past_epochs=self._past_epochs,
        )
        if validation is not None or any(overrides(c, *EPOCH_HOOKS) for c in hooks):
            job.max_epochs = 1
        if any(overrides(c, *BATCH_HOOKS) for c in hooks):
            job.max_batches = 1

        def finish(epoch: int) -> dict[str, Any]:
            """The values of an epoch that has ended, noted and shown."""
            logs = self._results(sums, job.sums[epoch])
            shown_epoch = epoch + initial_epoch
            if validation is not None and (shown_epoch + 1) % validation_freq == 0:
                feeds_, weighted_ = validation
                _call(hooks, "on_test_begin", {})
                checked = self._evaluate(feeds_, weighted_, check_batch)
                _call(hooks, "on_test_end", checked)
                logs |= {f"val_{key}": value for key, value in checked.items()}
            history.add(shown_epoch, logs)
            progress.end_epoch(shown_epoch, logs)
            return logs

        progress = Progress(shown, epochs, job.batches)
        self.stop_training = False
        for callback in hooks:
            callback.set_model(self)
            callback.set_params(
                {"epochs": epochs, "steps": job.batches, "batch_size": batch_size, "verbose": shown}
            )
        _call(hooks, "on_train_begin", {})
        try:
            logs = self._loop(executor, sums, job, hooks, progress, finish, initial_epoch)
        except KeyboardInterrupt:
            # It comes out of a slice that may have finished epochs: they are noted as well.
            if validation is None:
                for done in range(len(history.epoch), job.epoch):
                    history.add(done + initial_epoch, self._results(sums, job.sums[done]))
            raise
        finally:
            self._past_epochs += job.epoch + (job.batch > 0)  # the next order is a new one
            progress.close()
        _call(hooks, "on_train_end", logs)
        return history

    def _loop(
        self,
        executor: Executor,
        sums: list[Sum],
        job: Job,
        hooks: list[Callback],
        progress: Progress,
        finish: Any,
        initial_epoch: int,
    ) -> dict[str, Any]:
        """Run a job slice by slice, calling hooks between; returns the last epoch's values."""
        logs: dict[str, Any] = {}
        while job.epoch < job.epochs and not self.stop_training:
            epoch, batch = job.epoch, job.batch
            if batch == 0:
                _call(hooks, "on_epoch_begin", epoch + initial_epoch, {})
            _call(hooks, "on_train_batch_begin", batch, {})
            executor.control["rate"] = self.optimizer.learning_rate
            executor.train(job)
            if job.max_batches == 1:
                last = job.sums[epoch] if job.epoch > epoch else executor.accumulators
                _call(hooks, "on_train_batch_end", batch, self._results(sums, last))
            for done in range(epoch, job.epoch):
                logs = finish(done)
                _call(hooks, "on_epoch_end", done + initial_epoch, logs)
            if job.batch:
                progress.update(job.epoch + initial_epoch, job.batch)
        if job.batch:  # stopped within an epoch: it ends here
            job.sums[job.epoch] = executor.accumulators
            logs = finish(job.epoch)
            _call(hooks, "on_epoch_end", job.epoch + initial_epoch, logs)
        return logs

    def _validation(
        self, feeds: list[np.ndarray], weighted: tuple[bool, ...], split: float, given: Any
    ) -> tuple[list[np.ndarray], Any]:
        """What remains to train on, and (feeds, weighted) to validate on or None."""
        if given is not None:
            if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
                got = f"{len(given)} of them" if isinstance(given, (tuple, list)) else type(given)
                raise ValueError(
                    f"validation_data must be (x, y) or (x, y, sample_weight), got {got}"
                )
            x, y, weight = (*given, None)[:3]
            return feeds, self._feeds(x, y, weight, "validation_")
        split = number("validation_split", split, low=0, below=1)
        if split == 0:
            return feeds, None
        rows = len(feeds[0])
        kept = int(rows * (1 - split))
        if kept in (0, rows):
            raise ValueError(
                f"validation_split={split!r} of {rows} rows leaves {kept} to train on and "
                f"{rows - kept} to validate on; both must be at least 1"
            )
        return [f[:kept] for f in feeds], ([f[kept:] for f in feeds], weighted)

    # --- evaluate, predict, one batch ------------------------------------------------------------

    def _results(self, sums: Sequence[Sum], values: np.ndarray) -> dict[str, Any]:
        """Losses and metrics from the accumulators."""
        several = len(self._heads) > 1
        logs: dict[str, Any] = {"loss": 0.0}
        if several:
            logs |= {f"{h.name}_loss": 0.0 for h in self._heads}
        rows = 1.0
        keys = iter(self._metric_keys)
        for entry, part in _parts(sums, values):
            head = entry.head
            if entry.kind == "rows":
                rows = float(part[0]) or 1.0
            elif entry.kind == "penalty":
                logs["loss"] += float(part[0] / part[1])
            elif entry.kind == "loss":
                assert head is not None
                value = float(part[0]) / (rows * entry.elements)
                logs["loss"] += head.factor * value
                if several:
                    logs[f"{head.name}_loss"] = value
            else:
                logs[next(keys)] = entry.owner.result(part, entry.shape)
        return logs

    def _evaluate(
        self, feeds: list[np.ndarray], weighted: tuple[bool, ...], batch_size: int
    ) -> dict[str, Any]:
        rows = len(feeds[0])
        executor, sums = self._executor("evaluate", min(batch_size, rows), weighted)
        return self._results(sums, executor.evaluate(feeds, rows))

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: None = None,
        callbacks: None = None,
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
        steps, callbacks : None
            Not supported.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            The loss; with metrics a list in the order of `metrics_names`, or a dictionary.
        """
        for name, value in (("steps", steps), ("callbacks", callbacks)):
            if value is not None:
                raise ValueError(f"evaluate: {name}={value!r} is not supported; leave it out")
        batch_size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        self._require_ready("evaluate", x=x)
        feeds, weighted = self._feeds(x, y, sample_weight)
        logs = self._evaluate(feeds, weighted, batch_size)
        return logs if return_dict else unlist(logs.values())

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: None = None,
        callbacks: None = None,
    ) -> Any:
        """The outputs for each row of x.

        Parameters
        ----------
        x : array_like; a list or dictionary for several inputs
        batch_size : int, optional
            Rows at once; the result does not depend on it.
        verbose
            Accepted, without effect.
        steps, callbacks : None
            Not supported.

        Returns
        -------
        ndarray, or a list of them for several outputs

        Raises
        ------
        ValueError
            x does not fit the model, or the model is not built.
        """
        for name, value in (("steps", steps), ("callbacks", callbacks)):
            if value is not None:
                raise ValueError(f"predict: {name}={value!r} is not supported; leave it out")
        batch_size = data.whole(ROWS_AT_ONCE if batch_size is None else batch_size, "batch_size")
        self._require_ready("predict", compiled=False)
        feeds = self._input_feeds(x)
        rows = len(feeds[0])
        executor, _ = self._executor("predict", min(batch_size, rows), ())
        outputs = [np.empty(concrete(b.shape, rows), b.dtype) for b in executor.plan.outputs]
        executor.predict(feeds, rows, outputs)
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
        self._require_ready("train_on_batch", x=x)
        feeds, weighted = self._feeds(x, y, sample_weight)
        rows = len(feeds[0])
        executor, sums = self._executor("train", rows, weighted)
        executor.control["rate"] = self.optimizer.learning_rate
        totals = np.zeros((1, executor.plan.accumulator_count))
        executor.train(Job(feeds, rows, rows, 1, False, totals))
        logs = self._results(sums, totals[0])
        return logs if return_dict else unlist(logs.values())


def _parts(sums: Sequence[Sum], values: np.ndarray) -> Iterator[tuple[Sum, np.ndarray]]:
    """Each accumulator's share of the flat array of all of them."""
    start = 0
    for entry in sums:
        stop = start + at_rows(count(entry.tensor.shape), 1)
        yield entry, values[start:stop]
        start = stop


def _each(value: Any, convert: Any) -> Any:
    """`convert` applied to the names inside a list or dictionary, or to a single one."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {key: _each(v, convert) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(v, convert) for v in value]
    return convert(value)


def _metric(identifier: Any) -> Any:
    return metrics.get(identifier)


def _resolve(metric: Any, loss: losses.Loss, shape: Any) -> Any:
    if isinstance(metric, metrics.Accuracy):
        metric = metric.resolve(loss, shape)
    metric.check(shape)
    return metric


def _metric_keys(heads: Sequence[Head]) -> list[str]:
    """The keys of all metrics in their order; one name given twice is told apart as in Keras."""
    several = len(heads) > 1
    taken = {"loss", *(f"{h.name}_loss" for h in heads if several)}
    keys: list[str] = []
    for head in heads:
        prefix = f"{head.name}_" if several else ""
        for metric in head.metrics:
            keys.append(_untaken(prefix + metric.name, taken))
        for metric in head.weighted_metrics:
            key = prefix + metric.name
            keys.append(_untaken(f"{prefix}weighted_{metric.name}" if key in taken else key, taken))
    return keys


def _untaken(key: str, taken: set[str]) -> str:
    """`key`, numbered if it is taken; it is taken from then on."""
    found, count_ = key, 0
    while found in taken:
        count_ += 1
        found = f"{key}_{count_}"
    taken.add(found)
    return found


def _factor(value: Any) -> float:
    return number("loss_weights", value)


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
        for hook in ("on_test_batch_begin", "on_test_batch_end"):
            if hasattr(callback, hook):
                raise ValueError(
                    f"{type(callback).__name__} defines {hook}, but validation runs in one native "
                    "call; use on_test_begin or on_test_end"
                )
    return hooks


def _call(hooks: Sequence[Callback], name: str, *args: Any) -> None:
    for callback in hooks:
        getattr(callback, name)(*args)
