"""Optimizers, schedules, constraints and L-BFGS, where Keras' figures (test_parity) do not reach.

What is compared is compared with float64 programs in NumPy, which stand here and in `api_tools`.
"""

import numpy as np
import pytest
from api_tools import CLOSE, ROWS, X, Y, adam, assert_same, mlp, train, twins

from fastnn import Sequential, backends, config, constraints, ops, optimizers, utils
from fastnn.layers import Dense, Dropout, Layer
from fastnn.optimizers import lbfgs, schedules

BACKENDS = backends.available()
on_each = pytest.mark.parametrize("backend", BACKENDS)

ALL = {
    "sgd": ("sgd", []),
    "rmsprop": ("rmsprop", ["mean_square"]),
    "adagrad": ("adagrad", ["square_sum"]),
    "adadelta": ("adadelta", ["mean_square", "mean_square_step"]),
    "adam": ("adam", ["m", "v"]),
    "adamw": ("adam", ["m", "v"]),
    "adamax": ("adamax", ["m", "u"]),
    "nadam": ("nadam", ["m", "v"]),
    "lion": ("lion", ["m"]),
}


@pytest.fixture(params=["float32", "float64"])
def floatx(request):
    config.set_floatx(request.param)
    yield request.param
    config.set_floatx("float32")


def close(model, weights, floatx):
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[floatx])


def fit(model, epochs=2, batch_size=16, **settings):
    return model.fit(X, Y, batch_size, epochs, verbose=0, shuffle=False, **settings)


def updates(model):
    return [step.op.name for group in model.plan.groups for step in group.updates]


# --- the update table ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_an_optimizer_is_one_step_over_all_parameters(name):
    model = mlp(name)
    fit(model, 1)
    op, slots = ALL[name]
    assert updates(model) == [op]
    (step,) = model.plan.groups[0].updates
    assert step.outputs[0].nbytes == model.plan.sizes["parameters"]
    assert list(model._executors.slots()) == [f"0/{slot}" for slot in slots]


def test_the_list_of_names_is_that_of_the_classes():
    classes = {
        cls.__name__.lower()
        for cls in vars(optimizers).values()
        if isinstance(cls, type) and issubclass(cls, optimizers.Optimizer)
    }
    assert classes - {"optimizer", "lbfgs"} == set(ALL)
    for name in ALL:
        assert type(optimizers.get(name)).__name__.lower() == name


@on_each
def test_a_rate_per_layer(backend, floatx):
    rates = {"dense": 0.25, "dense_1/bias": 0.0, "*_1": 3.0}
    model = mlp(optimizers.SGD(0.1, weight_decay=0.01, layer_rates=rates), backend=backend)
    start = model.get_weights()
    fit(model)

    def step(grads, weights):
        for i, factor in enumerate((0.25, 0.25, 3.0, 0.0)):
            rate = 0.1 * factor
            weights[i] -= weights[i] * 0.01 * rate + rate * grads[i]

    close(model, train(start, X, Y, step, 16, 2)[0], floatx)
    assert updates(model) == ["sgd", "sgd"]


@on_each
@pytest.mark.parametrize("freeze", ["trainable", "layer_rates"])
def test_what_is_frozen_has_no_part_in_decay_clipping_constraints_and_averages(
    freeze, backend, floatx
):
    class Kept(Dense):
        def build(self, shape):
            super().build(shape)
            self._variables[0].constraint = constraints.UnitNorm()

    kept = Kept(8, "tanh", input_shape=(4,))
    model = Sequential([kept, Dense(2)])
    rates = {}
    if freeze == "trainable":
        kept.trainable = False
    else:
        rates = {kept.name: 0}
    optimizer = optimizers.SGD(
        0.1, weight_decay=0.1, global_clipnorm=0.2, use_ema=True, layer_rates=rates
    )
    model.compile(optimizer, "mse", backend=backend)
    start = model.get_weights()
    averages = {}

    def step(grads, weights):
        norm = np.sqrt(sum((grads[i] ** 2).sum() for i in (2, 3)))
        for i in (2, 3):
            g = grads[i] * 0.2 / max(norm, 0.2)
            weights[i] -= 0.1 * 0.1 * weights[i] + 0.1 * g
            old = averages.get(i)
            averages[i] = weights[i].copy() if old is None else 0.99 * old + 0.01 * weights[i]

    fit(model)
    weights, _ = train(start, X, Y, step, 16, 2, frozen=(0, 1))
    assert_same(model.get_weights()[:2], start[:2])
    close(model, [*weights[:2], averages[2], averages[3]], floatx)


@on_each
def test_accumulation_schedule_clipping_and_average_together(backend, floatx):
    rate = schedules.ExponentialDecay(0.2, 3, 0.5)
    optimizer = optimizers.SGD(
        rate, clipnorm=0.1, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2
    )
    model = mlp(optimizer, backend=backend)
    start = model.get_weights()
    done, averages, now = [0], [None] * 4, [None] * 4

    def step(grads, weights):
        done[0] += 1
        for i, g in enumerate(grads):
            g = g * 0.1 / max(np.sqrt((g**2).sum()), 0.1)
            if done[0] > 1:  # the batch between two updates
                averages[i] = 0.5 * averages[i] + 0.5 * weights[i]
            weights[i] -= 0.2 * 0.5 ** ((2 * done[0] - 1) / 3) * g
            now[i] = weights[i].copy()
            averages[i] = now[i] if done[0] == 1 else 0.5 * averages[i] + 0.5 * now[i]

    fit(model, 2)  # four batches of 16, 16, 16 and 2 rows an epoch: four updates
    train(start, X, Y, step, 16, 2, every=2)
    assert done == [4]
    close(model, averages, floatx)
    assert optimizer.iterations == 4
    assert optimizer.learning_rate == pytest.approx(0.2 * 0.5 ** (8 / 3))


@on_each
def test_exclude_from_weight_decay(backend, floatx):
    optimizer = optimizers.AdamW(0.01, weight_decay=0.5)
    model = mlp(optimizer, backend=backend)
    optimizer.exclude_from_weight_decay([model.layers[0].kernel], ["bias"])
    start, inner = model.get_weights(), adam(0.01)

    def step(grads, weights):
        weights[2] = weights[2] * (1 - 0.5 * 0.01)
        inner(grads, weights)

    fit(model)
    close(model, train(start, X, Y, step, 16, 2)[0], floatx)


# --- settings that change ------------------------------------------------------------------------


@on_each
def test_a_setting_that_changes_takes_effect_and_the_state_is_kept(backend, floatx):
    model = mlp(optimizers.SGD(0.05, momentum=0.9), backend=backend)
    start, velocity = model.get_weights(), [0.0] * 4
    momentum = [0.9]

    def step(grads, weights):
        for i, g in enumerate(grads):
            velocity[i] = momentum[0] * velocity[i] - 0.05 * g
            weights[i] += velocity[i]

    fit(model)
    model.optimizer.momentum = momentum[0] = 0.9
    weights, _ = train(start, X, Y, step, 16, 2)
    model.optimizer.momentum = momentum[0] = 0.5
    fit(model)
    weights, _ = train(weights, X, Y, step, 16, 2)
    close(model, weights, floatx)
    model.optimizer.momentum = momentum[0] = 0.9  # a plan for it was made before
    fit(model)
    close(model, train(weights, X, Y, step, 16, 2)[0], floatx)


@on_each
def test_slots_that_come_later_leave_the_others_alone(backend, floatx):
    model = mlp(optimizers.Adam(0.01), backend=backend)
    start, inner = model.get_weights(), adam(0.01)
    fit(model)
    weights, _ = train(start, X, Y, inner, 16, 2)
    averages = [w.copy() for w in weights]
    model.optimizer.use_ema = True

    def step(grads, weights):
        inner(grads, weights)
        for i, w in enumerate(weights):
            averages[i] = 0.99 * averages[i] + 0.01 * w

    fit(model)
    train(weights, X, Y, step, 16, 2)
    close(model, averages, floatx)
    assert list(model._executors.slots()) == ["0/m", "0/v", "0/average"]


# --- the state of training -----------------------------------------------------------------------


@on_each
@pytest.mark.parametrize("name", ALL)
def test_state_can_be_taken_out_and_put_back_before_the_first_plan(name, backend):
    whole, first = twins(name, backend=backend)
    fit(whole, 2)
    fit(whole, 1)
    fit(first, 2)
    second = mlp(name, backend=backend)
    second.set_weights(first.get_weights())
    second._executors.restore(first._executors.slots(), first._executors.control)
    assert list(second._executors.slots()) == list(first._executors.slots())
    assert int(second._executors.control[0]["iteration"]) == 8
    fit(second, 1)
    assert_same(second.get_weights(), whole.get_weights())
    assert second.optimizer.iterations == 12


def test_slots_are_live_views_by_path():
    model = mlp(optimizers.SGD(0.1, momentum=0.5))
    assert model._executors.slots() == {} and model._executors.control is None
    fit(model, 1)
    velocity = model._executors.slots()["0/velocity"]
    assert {path: part.shape for path, part in velocity.items()} == {
        v.path: v.value.shape for v in model.trainable_variables
    }
    before = velocity["dense/kernel"].copy()
    fit(model, 1)
    assert (velocity["dense/kernel"] != before).any()


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ({"0/m": {"dense_9/kernel": np.zeros(3)}}, "is of 'dense_9/kernel', which this model"),
        ({"0/m": {"dense/kernel": np.zeros(3)}}, r"'dense/kernel' has shape \(3,\), expected"),
    ],
)
def test_state_of_another_model_is_refused(slots, message):
    model = mlp("adam")
    fit(model, 1)
    with pytest.raises(ValueError, match=message):
        model._executors.restore(slots, None)


# --- schedules -----------------------------------------------------------------------------------

# PyTorch 2.14: OneCycleLR(optimizer, max_lr=0.5, cycle_momentum=False, ...), its rates in order.
ONE_CYCLE = [
    (
        {"total_steps": 10},
        [0.02, 0.26, 0.5, 0.475242316, 0.405872827, 0.305631011, 0.194370989, 0.09412917303,
         0.02475968399, 2e-06],
    ),
    (
        {"total_steps": 12, "pct_start": 0.25, "anneal_strategy": "linear", "div_factor": 10,
         "final_div_factor": 100},
        [0.05, 0.275, 0.5, 0.4445, 0.389, 0.3335, 0.278, 0.2225, 0.167, 0.1115, 0.056, 0.0005],
    ),
    (
        {"total_steps": 11, "pct_start": 0.4, "three_phase": True},
        [0.02, 0.1153676873, 0.3256791176, 0.4837933351, 0.4640521126, 0.2821444063, 0.08263785987,
         0.01980787202, 0.01382745164, 0.00444585324, 2e-06],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "rates"), ONE_CYCLE)
def test_one_cycle_is_that_of_pytorch(settings, rates):
    schedule = schedules.OneCycle(0.5, **settings)
    np.testing.assert_allclose(schedule.table(0, len(rates)), rates, rtol=1e-8)
    assert schedule.table(len(rates), 3).tolist() == pytest.approx([rates[-1]] * 3)


def test_warm_up():
    decay = schedules.ExponentialDecay(0.1, 5, 0.5)
    rates = schedules.WarmUp(decay, 4, 0.02).table(0, 8)
    np.testing.assert_allclose(rates[:5], [0.02, 0.04, 0.06, 0.08, 0.1])
    np.testing.assert_allclose(rates[4:], decay.table(0, 4))
    assert schedules.WarmUp(0.3, 2)(1) == pytest.approx(0.15)
    assert schedules.WarmUp(0.3, 2)(7) == pytest.approx(0.3)


SCHEDULES = [
    schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True),
    schedules.PiecewiseConstantDecay([5, 11], [0.1, 0.03, 0.01]),
    schedules.PolynomialDecay(0.1, 9, 0.01, power=0.5, cycle=True),
    schedules.InverseTimeDecay(0.1, 7, 0.5),
    schedules.CosineDecay(0.01, 12, 0.1, warmup_target=0.1, warmup_steps=6),
    schedules.CosineDecayRestarts(0.1, 5, t_mul=1.5, m_mul=0.7, alpha=0.1),
    schedules.OneCycle(0.5, 20),
    schedules.WarmUp(schedules.CosineDecay(0.1, 9), 3),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_a_table_is_what_single_steps_give(schedule):
    np.testing.assert_allclose(
        schedule.table(3, 30), [float(schedule(step)) for step in range(3, 33)], rtol=1e-14
    )
    again = schedules.get(utils.describe(schedule))
    assert type(again) is type(schedule)
    np.testing.assert_array_equal(again.table(0, 30), schedule.table(0, 30))


def test_every_schedule_is_tried():
    assert {type(s) for s in SCHEDULES} == set(schedules._CLASSES.values())


class Scalar(schedules.LearningRateSchedule):
    """Knows nothing of arrays."""

    def __call__(self, step):
        return 0.1 if step < 3 else 0.02


@on_each
def test_a_schedule_of_ones_own_for_single_steps(backend, floatx):
    model = mlp(optimizers.SGD(Scalar()), backend=backend)
    start, rates = model.get_weights(), iter([0.1] * 3 + [0.02] * 9)

    def step(grads, weights):
        rate = next(rates)
        for i, g in enumerate(grads):
            weights[i] -= rate * g

    fit(model, 2)
    fit(model, 1)  # goes on where the first one ended
    close(model, train(start, X, Y, step, 16, 3)[0], floatx)
    assert next(rates, None) is None


class Bad(schedules.LearningRateSchedule):
    def __init__(self, value):
        self.value = value

    def __call__(self, step):
        return 0.1 if step < 5 else self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "0.1", None, [0.1, 0.2]])
def test_a_schedule_that_gives_no_rate_names_the_step(value):
    model = mlp(optimizers.SGD(Bad(value)))
    before = model.get_weights()
    with pytest.raises(ValueError, match="Bad gave .* as the learning rate of step 5; expected"):
        fit(model)
    assert_same(model.get_weights(), before)


def test_setting_the_rate_of_an_optimizer_with_a_schedule():
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 7, 0.5))
    with pytest.raises(TypeError, match="SGD: the learning rate follows ExponentialDecay"):
        optimizer.learning_rate = 0.5
    optimizer.learning_rate = schedules.CosineDecay(0.3, 5)
    assert optimizer.learning_rate == pytest.approx(0.3)
    assert type(optimizer.schedule) is schedules.CosineDecay
    assert optimizers.SGD(0.1).schedule is None
    assert optimizers.SGD(0.1).rates(0, 0, 5) is None


def test_an_optimizer_with_a_schedule_is_described():
    optimizer = optimizers.AdamW(SCHEDULES[5], clipnorm=2.0, layer_rates={"a": 0.5})
    again = optimizers.get(utils.describe(optimizer))
    assert again.get_config() == optimizer.get_config()
    np.testing.assert_array_equal(again.rates(0, 3, 9), SCHEDULES[5].table(3, 9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(-1, 5, 0.5), "initial_learning_rate must be a finite"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps must be above 0, got 0"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), "one entry more than boundaries"),
        (lambda: schedules.PiecewiseConstantDecay([2, 2], [1, 1, 1]), "boundaries must increase"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5), "t_mul must be a finite number"),
        (lambda: schedules.OneCycle(0.1, 1), "total_steps must be a finite number of 2 or more"),
        (lambda: schedules.OneCycle(0.1, 9, anneal_strategy="up"), "must be 'cos' or 'linear'"),
        (lambda: schedules.OneCycle(0.1, 9, 0.6, three_phase=True), "leaves no room"),
        (lambda: schedules.WarmUp("fast", 3), "unknown schedule 'fast'; choose one of"),
        (lambda: schedules.get("cosine"), "choose one of: CosineDecay, CosineDecayRestarts"),
    ],
)
def test_arguments_of_schedules(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- constraints ---------------------------------------------------------------------------------


class Weight(Layer):
    """y = x w, with a constraint on w."""

    def __init__(self, constraint, **settings):
        super().__init__(**settings)
        self.constraint = constraint

    def build(self, shape):
        self.w = self.add_weight((shape[-1], 2), constraint=self.constraint, name="w")

    def call(self, x):
        return ops.matmul(x, self.w)


class Halved(constraints.Constraint):
    """One that a user writes."""

    def __call__(self, w):
        return ops.multiply(ops.affine(w, 0.5), ops.affine(w, 0.0, 1.0))


@on_each
@pytest.mark.parametrize("name", ["max_norm", "min_max_norm", "non_neg", "unit_norm", "own"])
def test_a_constraint_holds_after_each_update(name, backend, floatx):
    own = Halved() if name == "own" else name
    model = Sequential([Weight(own, input_shape=(4,))])
    model.compile(optimizers.SGD(0.5), "mse", backend=backend)
    (w,) = model.get_weights()
    w = w.astype(float)
    fit(model, 1, batch_size=ROWS)
    w -= 0.5 * X.T @ (2 * (X @ w - Y) / Y.size)
    norm = np.sqrt((w**2).sum(axis=0))
    expected = {
        "max_norm": w * np.minimum(norm, 2) / (norm + 1e-7),
        "min_max_norm": w * np.minimum(norm, 1) / (norm + 1e-7),
        "non_neg": np.maximum(w, 0),
        "unit_norm": w / (norm + 1e-7),
        "own": 0.5 * w,
    }[name]
    close(model, [expected], floatx)


def test_a_constraint_can_be_called_on_an_array():
    w = np.array([[3.0, -0.1], [4.0, 0.2]])
    np.testing.assert_allclose(constraints.UnitNorm()(w)[:, 0], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(constraints.MaxNorm(2)(w)[:, 1], [-0.1, 0.2], rtol=1e-5)
    assert constraints.get("NonNeg")(w)[0, 1] == 0
    assert constraints.get(None) is None
    again = constraints.get(utils.describe(constraints.MaxNorm(3, axis=[0, 1])))
    assert (again.max_value, again.axis) == (3.0, [0, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constraints.MaxNorm(-1), "MaxNorm: max_value must be a finite number of 0"),
        (lambda: constraints.MaxNorm(axis="rows"), "MaxNorm: axis must be an integer or a list"),
        (lambda: constraints.UnitNorm(axis=[]), "UnitNorm: axis must be an integer or a list"),
        (lambda: constraints.MinMaxNorm(2, 1), "MinMaxNorm: max_value must be a finite number of"),
        (lambda: constraints.MinMaxNorm(rate=1.5), "MinMaxNorm: rate must be a number from 0 to 1"),
        (lambda: constraints.get("maxnorm"), "unknown constraint 'maxnorm'; choose one of: max_no"),
    ],
)
def test_arguments_of_constraints(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_axis_that_the_weight_does_not_have():
    model = Sequential([Weight(constraints.MaxNorm(axis=2), input_shape=(4,))])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"cannot be taken along axis \[2\]: name one of its 2"):
        fit(model)


# --- L-BFGS --------------------------------------------------------------------------------------


def rosenbrock(w):
    a, b = w[1:] - w[:-1] ** 2, 1 - w[:-1]
    g = np.zeros_like(w)
    g[1:] += 200 * a
    g[:-1] += -400 * a * w[:-1] - 2 * b
    return float((100 * a**2 + b**2).sum()), g


def test_lbfgs_finds_the_minimum_of_rosenbrocks_function():
    w = np.array([-1.2, 1.0] * 5)
    loss, g = rosenbrock(w)
    pairs, evaluations = [], [0]

    def evaluate(w):
        evaluations[0] += 1
        return rosenbrock(w)

    for _ in range(100):
        new, loss, new_g = lbfgs.iterate(evaluate, w, loss, g, pairs, 1.0, 25)
        pairs = [(new - w, new_g - g), *pairs[:9]]
        w, g = new, new_g
        if np.abs(g).max() < 1e-8:
            break
    np.testing.assert_allclose(w, np.ones(10), atol=1e-6)
    assert evaluations[0] < 120  # SciPy's needs about 80


def test_the_line_search_fulfils_the_wolfe_conditions():
    rng = np.random.default_rng(3)
    for _ in range(20):
        w = rng.normal(size=6)
        loss, g = rosenbrock(w)
        d = -g * rng.uniform(0.1, 3)

        def at(t, w=w, d=d):
            there, gradient = rosenbrock(w + t * d)
            return lbfgs.Point(t, there, gradient, float(gradient @ d))

        start = lbfgs.Point(0.0, loss, g, float(g @ d))
        found = lbfgs.line_search(at, start, rng.choice([1e-6, 1e-3, 1.0, 50.0]), 60)
        assert found.loss <= loss + 1e-4 * found.at * start.slope
        assert abs(found.slope) <= 0.9 * abs(start.slope)


@on_each
def test_lbfgs_solves_least_squares(backend, floatx):
    model = Sequential([Dense(2, input_shape=(4,))])
    model.compile(optimizers.LBFGS(), "mse", backend=backend)
    history = model.fit(X, Y, epochs=60, verbose=0)
    ones = np.hstack([X, np.ones((ROWS, 1))])
    best = np.linalg.lstsq(ones, Y, rcond=None)[0]
    lowest = ((ones @ best - Y) ** 2).mean()
    assert len(history.epoch) < 25  # a tolerance was reached
    assert history.history["loss"][-1] == pytest.approx(lowest, rel=1e-6)
    atol = {"float32": 1e-3, "float64": 1e-4}[floatx]
    np.testing.assert_allclose(np.vstack(model.get_weights()), best, atol=atol)
    assert model.evaluate(X, Y) == pytest.approx(history.history["loss"][-1], rel=1e-5)


@on_each
def test_lbfgs_beats_adam_on_a_small_regression(backend):
    x = np.linspace(-2, 2, 100)[:, None]
    y = np.sin(3 * x) + 0.3 * x
    reached = {}
    for optimizer in (optimizers.LBFGS(), optimizers.Adam(0.01)):
        utils.set_random_seed(2)
        model = Sequential([Dense(16, "tanh", input_shape=(1,)), Dense(1)])
        model.compile(optimizer, "mse", backend=backend)
        losses = model.fit(x, y, batch_size=100, epochs=150, verbose=0).history["loss"]
        reached[optimizer.name] = losses[-1]
        if optimizer.name == "lbfgs":
            assert all(b <= a for a, b in zip(losses, losses[1:], strict=False))
    assert reached["lbfgs"] < 0.25 * reached["adam"]


def test_lbfgs_trains_what_is_not_frozen_and_penalties_count():
    first = Dense(8, "tanh", input_shape=(4,))
    first.trainable = False
    model = Sequential([first, Dense(2, kernel_regularizer="l2")])
    model.compile(optimizers.LBFGS(), "mse")
    start = model.get_weights()
    model.fit(X, Y, epochs=60, verbose=0)
    w1, b1, w2, b2 = model.get_weights()
    assert_same([w1, b1], start[:2])
    hidden = np.tanh(X @ w1 + b1)
    error = hidden @ w2 + b2 - Y
    slope = 2 * hidden.T @ error / error.size + 2 * 0.01 * w2
    assert np.abs(slope).max() < 1e-3
    assert model.optimizer.iterations > 3


def test_lbfgs_refuses_what_is_random():
    model = Sequential([Dense(8, input_shape=(4,)), Dropout(0.5), Dense(2)])
    model.compile(optimizers.LBFGS(), "mse")
    before = model.get_weights()
    with pytest.raises(ValueError, match="LBFGS: the loss must be the same .*draws random numbers"):
        model.fit(X, Y, verbose=0)
    assert_same(model.get_weights(), before)


def test_lbfgs_needs_all_rows():
    model = mlp(optimizers.LBFGS())
    with pytest.raises(ValueError, match="LBFGS trains with fit on arrays"):
        model.train_on_batch(X, Y)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"history_size": 0}, ValueError),
        ({"max_line_search": None}, ValueError),
        ({"tolerance_grad": -1}, ValueError),
        ({"learning_rate": 0}, ValueError),
        ({"weight_decay": 0.1}, TypeError),
    ],
)
def test_arguments_of_lbfgs(settings, error):
    (name,) = settings
    with pytest.raises(error, match=name):
        optimizers.LBFGS(**settings)
