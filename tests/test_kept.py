"""Plans that models share: a network that was compiled before is not compiled again."""

import dataclasses
import threading

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, executors, layers, ops, regularizers
from fastnn.engine.build import build
from fastnn.engine.kept import Kept
from fastnn.engine.trace import trace

ROWS = 6
X = np.random.default_rng(1).normal(size=(ROWS, 4)).astype("float32")
Y = np.arange(ROWS) % 3


@pytest.fixture(autouse=True)
def none_so_far(monkeypatch):
    monkeypatch.setattr(executors, "_plans", Kept())


def network(*inside, units=5, activation="tanh", **dense):
    first = layers.Dense(units, activation, input_shape=(4,), **dense)
    return Sequential([first, *inside, layers.Dense(3, "softmax")])


def compiled(model, optimizer="adam", loss="sparse_categorical_crossentropy", **settings):
    model.compile(optimizer, loss, **settings)
    return model


def plan_of(model):
    return model.make_plan(ROWS)


class Scaled(layers.Layer):
    """A layer of a user: its factor is known to nobody but itself."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


class Shifted(layers.Layer):
    def call(self, inputs):
        return inputs + 1.0


Shifted.__name__ = "Scaled"


def adam(**settings):
    return fastnn.optimizers.Adam(**settings)


def frozen():
    model = network()
    model.layers[0].trainable = False
    return model


def without_decay_of_biases():
    optimizer = fastnn.optimizers.AdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


NORM = fastnn.constraints.MaxNorm

# Each makes another plan than all others.
DIFFERENT = {
    "plain": lambda: compiled(network()),
    "units": lambda: compiled(network(units=6)),
    "activation": lambda: compiled(network(activation="relu")),
    "no bias": lambda: compiled(network(use_bias=False)),
    "penalty": lambda: compiled(network(kernel_regularizer="l2")),
    "smaller penalty": lambda: compiled(network(kernel_regularizer=regularizers.L2(0.001))),
    "constraint": lambda: compiled(network(kernel_constraint=NORM(1.0))),
    "other constraint": lambda: compiled(network(kernel_constraint=NORM(1.5))),
    "frozen": lambda: compiled(frozen()),
    "name": lambda: compiled(network(name="first")),
    "float64": lambda: compiled(
        Sequential([
            layers.Dense(5, "tanh", input_shape=(4,), dtype="float64"),
            layers.Dense(3, "softmax", dtype="float64"),
        ])
    ),
    "dropout": lambda: compiled(network(layers.Dropout(0.5))),
    "less dropout": lambda: compiled(network(layers.Dropout(0.25))),
    "slope": lambda: compiled(network(layers.LeakyReLU(0.25))),
    "no slope": lambda: compiled(network(layers.LeakyReLU(0.0))),
    "own": lambda: compiled(network(Scaled(2.0))),
    "own, other factor": lambda: compiled(network(Scaled(3.0))),
    "own of the same name": lambda: compiled(network(Shifted())),
    "optimizer": lambda: compiled(network(), "sgd"),
    "beta_1": lambda: compiled(network(), adam(beta_1=0.8)),
    "clipnorm": lambda: compiled(network(), adam(clipnorm=1.0)),
    "clipvalue": lambda: compiled(network(), adam(clipvalue=1.0)),
    "ema": lambda: compiled(network(), adam(use_ema=True)),
    "accumulation": lambda: compiled(network(), adam(gradient_accumulation_steps=2)),
    "more accumulation": lambda: compiled(network(), adam(gradient_accumulation_steps=3)),
    "decay": lambda: compiled(network(), fastnn.optimizers.AdamW(weight_decay=0.1)),
    "decay without biases": lambda: compiled(network(), without_decay_of_biases()),
    "layer rates": lambda: compiled(network(), adam(layer_rates={"dense": 0.5})),
    "metric": lambda: compiled(network(), metrics=["accuracy"]),
    "top 2": lambda: compiled(network(), metrics=[fastnn.metrics.SparseTopKCategoricalAccuracy(2)]),
    "loss weight": lambda: compiled(network(), loss_weights=[0.5]),
}


def compiled_anew(model):
    """The plan as it would be without those that are kept."""
    heads = model._require_compiled("test").for_data([fastnn.heads.Kind()])
    program, _ = trace(model, "train", heads, model.optimizer)
    return build(program, model.store.layout, ROWS)


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_second_model_of_the_same_layers_has_the_same_plan(name):
    first, second = DIFFERENT[name](), DIFFERENT[name]()
    shared = plan_of(first)
    assert plan_of(second) is shared
    assert compiled_anew(second) == shared
    assert str(compiled_anew(second)) == str(shared)


def test_models_that_differ_have_plans_that_differ():
    plans = {name: plan_of(make()) for name, make in DIFFERENT.items()}
    same = [
        {a, b} for a, first in plans.items() for b, second in plans.items()
        if a < b and first is second
    ]  # fmt: skip
    assert same == []
    for name, make in DIFFERENT.items():
        assert plan_of(make()) is plans[name]
        assert plan_of(make()) == compiled_anew(make())


def test_what_is_the_same_in_the_end_shares_a_plan():
    shared = plan_of(DIFFERENT["frozen"]())
    assert plan_of(compiled(network(), adam(layer_rates={"dense": 0}))) is shared


@pytest.mark.parametrize("name", ["dropout", "ema", "frozen", "float64", "accumulation"])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_models_with_one_plan_train_as_if_alone(name, backend, monkeypatch):
    if backend not in fastnn.backends.available():
        pytest.skip("no native executor")

    def trained(kept):
        monkeypatch.setattr(executors, "_plans", kept)
        fastnn.utils.set_random_seed(7)
        models = [DIFFERENT[name]() for _ in range(2)]
        for model in models:
            model._executors.backend = backend
        for _ in range(2):  # turn by turn: neither may touch what is the other's
            for model in models:
                model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        return [w for model in models for w in (*model.get_weights(), model.predict(X))]

    class Nothing(Kept):
        def find(self, key):
            return None

    for ours, alone in zip(trained(Kept()), trained(Nothing()), strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_a_layer_that_changes_what_it_computes_gets_another_plan():
    first, second = compiled(network(Scaled(2.0))), compiled(network(Scaled(2.0)))
    shared = plan_of(first)
    second.layers[1].factor = 5.0
    assert plan_of(second) is not shared
    second.set_weights(first.get_weights())
    first.layers[1].factor = 5.0
    first._executors.forget_plans()
    np.testing.assert_array_equal(first.predict(X), second.predict(X))


def test_a_plan_with_an_attribute_that_can_change_is_not_kept():
    class Table(ops.contract.Op):
        name = "table"

        def define(self, x, *, table):
            return x * table[0]

    op, table = Table(), [2.0]

    class Own(layers.Layer):
        def call(self, inputs):
            return ops.contract.emit(op, inputs, table=table)

    model = Sequential([Own(input_shape=(4,))])
    model.compile("sgd", "mse", backend="reference")
    program, _ = trace(model, "predict")
    kept = Kept()
    first = build(program, model.store.layout, ROWS, kept=kept)
    program, _ = trace(model, "predict")
    assert build(program, model.store.layout, ROWS, kept=kept) is not first
    assert kept._plans == {}


def test_ops_of_one_name_are_told_apart():
    class Once(ops.contract.Op):
        name = "own"

    plans = []
    kept = Kept()
    for op in (Once(), Once()):
        graph = ops.contract.Graph()
        x = ops.tensor.Tensor((None, 2), "real", "x", "feed")
        with graph:
            y = ops.contract.emit(op, x)
        section = fastnn.engine.build.Section(graph)
        program = fastnn.engine.build.Program("predict", [section], [x], [y])
        plans.append(build(program, fastnn.engine.memory.Layout(0, 0, "float32"), 2, kept=kept))
        assert plans[-1].steps[0].op is op


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_plan_that_is_made_from_another_one_runs_its_own_steps(executor):
    if executor not in fastnn.backends.available():
        pytest.skip("no native executor")
    make, plan = fastnn.backends.get(executor), plan_of(compiled(network()))
    assert make(plan, np.zeros(plan.sizes["model"], np.uint8)).plan is plan  # it was lowered
    nothing = dataclasses.replace(plan, groups=(plan.groups[0]._replace(updates=()),))
    model = np.zeros(plan.sizes["model"], np.uint8)
    model.view("float32")[:] = 0.5
    before = model.copy()
    machine = make(nothing, model)
    job = fastnn.backends.Job([X, Y], ROWS, ROWS, 1, False, np.zeros((1, plan.accumulator_count)))
    machine.control["rate"] = 1.0
    machine.train(job)
    np.testing.assert_array_equal(model, before)


def test_the_plans_used_last_are_kept(monkeypatch):
    kept = Kept(room=2)
    monkeypatch.setattr(executors, "_plans", kept)
    first, second = plan_of(compiled(network())), plan_of(compiled(network(units=6)))
    assert plan_of(compiled(network())) is first  # which makes it the most recent
    plan_of(compiled(network(units=7)))
    assert plan_of(compiled(network())) is first
    assert plan_of(compiled(network(units=6))) is not second


def test_threads_that_make_the_same_plan():
    models = [compiled(network()) for _ in range(8)]
    weights = models[0].get_weights()
    for model in models:
        model.set_weights(weights)
    start = threading.Barrier(len(models))

    def train(model):
        start.wait()
        model.fit(X, Y, batch_size=ROWS, epochs=3, shuffle=False, verbose=0)

    threads = [threading.Thread(target=train, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        for ours, theirs in zip(model.get_weights(), models[0].get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
