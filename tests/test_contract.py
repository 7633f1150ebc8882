"""Proofs that the contract carries what later layers need, each against numbers of its own.

Plans are built by hand or through the API and trained on the reference executor (on the native one
too where it has the ops): shared layers with two losses, batch normalisation with moving
statistics, a stateful and masked LSTM over batches of different length, a GAN as two groups,
contrastive divergence, gradient accumulation, and two machines that share a batch.
"""

import itertools

import numpy as np
import pytest
from api_tools import native_only

from fastnn import Input, Model, Sequential, backends, layers, ops, optimizers, utils
from fastnn.backends.base import Job
from fastnn.engine.backward import gradient_of
from fastnn.engine.build import Program, Section, build
from fastnn.engine.memory import zeros
from fastnn.heads import Kind
from fastnn.layers import Dense, Dropout, Layer
from fastnn.model import Store
from fastnn.ops.contract import Graph, Op, emit
from fastnn.ops.random import draws
from fastnn.ops.tensor import Tensor, Variable

EXECUTORS = [pytest.param("native", marks=native_only), "reference"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def feed(shape, name, dtype="real"):
    return Tensor(shape, dtype, name, "feed")


def executor_of(program, store, capacity, executor="reference", training=None):
    """An executor for a program built by hand, in float64."""
    plan = build(program, store.layout, capacity)
    if training is None:
        training = zeros(plan.sizes["training"])
    return backends.get(executor)(plan, store.block, training)


# --- a shared layer that feeds two outputs with two losses ---


@pytest.mark.parametrize("backend", EXECUTORS)
def test_shared_layer_with_two_losses(backend):
    rng = np.random.default_rng(0)
    a, b = Input((3,), name="a", dtype="float64"), Input((3,), name="b")
    shared = Dense(4, activation="tanh", dtype="float64")
    out_a = Dense(2, name="left", dtype="float64")(shared(a))
    out_b = Dense(1, activation="sigmoid", name="right", dtype="float64")(shared(b))
    model = Model([a, b], [out_a, out_b])
    model.compile(
        optimizers.SGD(0.1),
        loss=["mse", "binary_crossentropy"],
        loss_weights=[0.7, 2.0],
        backend=backend,
    )
    xa, xb = rng.normal(size=(2, 5, 3))
    ya, yb = rng.normal(size=(5, 2)), rng.integers(0, 2, (5, 1)).astype(float)

    start = model.get_weights()

    def loss_of(weights):
        w, c, wl, cl, wr, cr = weights
        left = np.tanh(xa @ w + c) @ wl + cl
        right = sigmoid(np.tanh(xb @ w + c) @ wr + cr)
        cross = -(yb * np.log(right) + (1 - yb) * np.log(1 - right))
        return 0.7 * np.mean((left - ya) ** 2) + 2.0 * np.mean(cross)

    loss = model.train_on_batch([xa, xb], [ya, yb], return_dict=True)
    assert loss["loss"] == pytest.approx(loss_of(start), rel=1e-12)
    assert loss["loss"] == pytest.approx(0.7 * loss["left_loss"] + 2.0 * loss["right_loss"])
    for i, (before, after) in enumerate(zip(start, model.get_weights(), strict=True)):
        expected = np.empty_like(before)
        for index in np.ndindex(before.shape):  # central differences
            shifted = [w.copy() for w in start]
            shifted[i][index] += 1e-6
            above = loss_of(shifted)
            shifted[i][index] -= 2e-6
            expected[index] = (above - loss_of(shifted)) / 2e-6
        np.testing.assert_allclose((before - after) / 0.1, expected, rtol=1e-6, atol=1e-8)


# --- batch normalisation ---


class BatchNorm(Layer):
    """Batch normalisation from elementary ops, as a user would write it."""

    momentum, epsilon = 0.99, 1e-3

    def build(self, input_shape):
        width = input_shape[-1]
        self.gamma = self.add_weight((width,), "ones", name="gamma")
        self.beta = self.add_weight((width,), "zeros", name="beta")
        self.mean = self.add_weight((width,), "zeros", name="mean", trainable=False)
        self.variance = self.add_weight((width,), "ones", name="variance", trainable=False)

    def call(self, inputs, training=False):
        mean, variance = self.mean, self.variance
        if training:
            mean = ops.reduce("mean", inputs, 0)
            variance = ops.reduce("mean", ops.unary("square", ops.subtract(inputs, mean)), 0)
            for moving, batch in ((self.mean, mean), (self.variance, variance)):
                kept = ops.affine(moving, self.momentum)
                ops.assign(moving, ops.add(kept, ops.affine(batch, 1 - self.momentum)))
        scale = ops.unary("reciprocal", ops.unary("sqrt", ops.add(variance, self.epsilon)))
        normal = ops.multiply(ops.subtract(inputs, mean), scale)
        return ops.add(ops.multiply(normal, self.gamma), self.beta)


@pytest.mark.parametrize("backend", EXECUTORS)
def test_batch_normalisation_and_its_moving_statistics(backend):
    rng = np.random.default_rng(1)
    x, y = rng.normal(2, 3, (7, 4)), rng.normal(size=(7, 4))
    model = Sequential([BatchNorm(dtype="float64", input_shape=(4,))])
    model.compile(optimizers.SGD(0.5), loss="mse", backend=backend)
    gamma, beta = rng.normal(size=(2, 4))
    model.set_weights([gamma, beta, np.zeros(4), np.ones(4)])
    moving_mean, moving_variance = np.zeros(4), np.ones(4)
    for _ in range(3):
        mean, variance = x.mean(0), x.var(0)  # biased, as Keras
        normal = (x - mean) / np.sqrt(variance + 1e-3)
        d = 2 * (normal * gamma + beta - y) / y.size
        model.train_on_batch(x, y)
        gamma, beta = gamma - 0.5 * (d * normal).sum(0), beta - 0.5 * d.sum(0)
        moving_mean = 0.99 * moving_mean + 0.01 * mean
        moving_variance = 0.99 * moving_variance + 0.01 * variance
        expected = [gamma, beta, moving_mean, moving_variance]
        for got, wanted in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13)
    inference = (x - moving_mean) / np.sqrt(moving_variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(model.predict(x), inference, rtol=1e-11)


@pytest.mark.parametrize("backend", EXECUTORS)
def test_gradient_through_batch_statistics(backend):
    """The gradient of the layer below goes through mean and variance of the batch."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    model = Sequential([Dense(4, dtype="float64", input_shape=(3,)), BatchNorm(dtype="float64")])
    model.compile(optimizers.SGD(1.0), loss="mse", backend=backend)
    start = model.get_weights()
    model.train_on_batch(x, y)
    step = start[0] - model.get_weights()[0]

    def loss_of(w):
        z = x @ w + start[1]
        normal = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3)
        return np.mean((normal * start[2] + start[3] - y) ** 2)

    for index in np.ndindex(step.shape):
        above, below = start[0].copy(), start[0].copy()
        above[index] += 1e-5
        below[index] -= 1e-5
        slope = (loss_of(above) - loss_of(below)) / 2e-5
        assert step[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


# --- a stateful, masked LSTM over batches of different length ---

UNITS, FEATURES, ROWS = 3, 2, 4


def lstm_variables(rng):
    shapes = {
        "kernel": (FEATURES, 4 * UNITS),
        "recurrent": (UNITS, 4 * UNITS),
        "bias": (4 * UNITS,),
    }
    made = {name: Variable(rng.normal(size=shape), name) for name, shape in shapes.items()}
    for name in ("h", "c"):
        made[name] = Variable(np.zeros((ROWS, UNITS)), name, trainable=False, storage="state")
    return made


def lstm_program(made, steps):
    """One plan for sequences of `steps`: gates i, f, c, o, masked steps keep the state."""
    graph = Graph()
    x, mask = feed((None, steps, FEATURES), "x"), feed((None, steps), "mask")
    target = feed((None, steps, UNITS), "target")
    with graph:
        h, c = (ops.take_rows(made[name], x) for name in ("h", "c"))
        outputs = []
        for t in range(steps):
            now = ops.reshape(ops.slice_(x, [None, (t, t + 1), None]), (None, FEATURES))
            on = ops.slice_(mask, [None, (t, t + 1)])
            gates = ops.linear(now, made["kernel"], made["bias"])
            gates = ops.add(gates, ops.matmul(h, made["recurrent"]))
            i, f, g, o = (ops.slice_(gates, [None, (k * UNITS, (k + 1) * UNITS)]) for k in range(4))
            i, f, o = (ops.apply_activation("sigmoid", part) for part in (i, f, o))
            g = ops.apply_activation("tanh", g)
            fresh_c = ops.add(ops.multiply(f, c), ops.multiply(i, g))
            fresh_h = ops.multiply(o, ops.apply_activation("tanh", fresh_c))
            h, c = ops.where(on, fresh_h, h), ops.where(on, fresh_c, c)
            outputs.append(ops.reshape(h, (None, 1, UNITS)))
        ops.assign(made["h"], h)
        ops.assign(made["c"], c)
        y = ops.concatenate(outputs, axis=1)
        loss = emit("elementwise_loss", y, target, mask, function="squared_error")
        scale = emit("loss_scale", mask, factor=1 / UNITS)
    trained = [made[name] for name in ("kernel", "recurrent", "bias")]
    section = Section(graph, [(loss, scale)], trained, optimizers.SGD(0.3))
    return Program("train", [section], [x, mask, target], accumulators=[loss])


def lstm_by_hand(weights, h, c, x, mask, target):
    """Loss (mean over unmasked positions), and the last state."""
    kernel, recurrent, bias = weights
    total = 0.0
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent + bias
        i, f, g, o = np.split(z, 4, axis=1)
        fresh_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        fresh_h = sigmoid(o) * np.tanh(fresh_c)
        on = mask[:, t : t + 1] != 0
        h, c = np.where(on, fresh_h, h), np.where(on, fresh_c, c)
        total += (mask[:, t] * ((h - target[:, t]) ** 2).sum(axis=1)).sum()
    return total / (mask.sum() * UNITS), h, c


@pytest.mark.parametrize("executor", EXECUTORS)
def test_stateful_masked_lstm_over_batches_of_different_length(executor):
    rng = np.random.default_rng(3)
    made = lstm_variables(rng)
    store = Store(list(made.values()))
    machines, training = {}, None
    for steps in (3, 5):
        machine = executor_of(lstm_program(made, steps), store, ROWS, executor, training)
        training = machine.blocks["training"]  # one MODEL and one TRAINING block for both plans
        machines[steps] = machine
    weights = [made[n].numpy() for n in ("kernel", "recurrent", "bias")]
    h, c = np.zeros((2, ROWS, UNITS))
    for steps, rows in ((3, ROWS), (5, ROWS), (3, ROWS), (5, 2)):  # the last batch is shorter
        x, target = rng.normal(size=(rows, steps, FEATURES)), rng.normal(size=(rows, steps, UNITS))
        mask = (np.arange(steps) < rng.integers(1, steps + 1, (rows, 1))).astype(float)
        machine = machines[steps]
        machine.control["rate"] = 0.3
        machine.gradients([x, mask, target])
        machine.update()

        def loss_of(trial, h=h[:rows], c=c[:rows], data=(x, mask, target)):
            return lstm_by_hand(trial, h, c, *data)

        _, new_h, new_c = loss_of(weights)
        expected = []
        for k, weight in enumerate(weights):
            slope = np.empty_like(weight)
            for index in np.ndindex(weight.shape):
                trial = [w.copy() for w in weights]
                trial[k][index] += 1e-6
                above = loss_of(trial)[0]
                trial[k][index] -= 2e-6
                slope[index] = (above - loss_of(trial)[0]) / 2e-6
            expected.append(weight - 0.3 * slope)
        for name, wanted in zip(("kernel", "recurrent", "bias"), expected, strict=True):
            np.testing.assert_allclose(made[name].value, wanted, rtol=1e-6, atol=1e-8)
        h[:rows], c[:rows] = new_h, new_c
        np.testing.assert_allclose(made["h"].value, h, rtol=1e-9)
        np.testing.assert_allclose(made["c"].value, c, rtol=1e-9)
        weights = [made[n].numpy() for n in ("kernel", "recurrent", "bias")]


# --- a GAN: two groups, the discriminator frozen in the generator's step ---


def gan_program(made):
    """Group 0 trains the discriminator on real and made rows, group 1 the generator through it."""
    z, real = feed((None, 2), "z"), feed((None, 3), "real")
    sections, losses = [], []

    def discriminate(x):
        hidden = ops.apply_activation("tanh", ops.linear(x, made["dw1"], made["db1"]))
        return ops.linear(hidden, made["dw2"], made["db2"])

    def judge(x, label):
        logit = discriminate(x)
        target = ops.affine(ops.slice_(real, [None, (0, 1)]), 0.0, label)
        return emit(
            "elementwise_loss", logit, target, None, function="binary_crossentropy_logits"
        ), emit("loss_scale", None, factor=1.0)

    for cases, trained, rate in (
        (("real", "fake"), ["dw1", "db1", "dw2", "db2"], 0.2),
        (("fooled",), ["gw", "gb"], 0.5),
    ):
        graph = Graph()
        with graph:
            fake = ops.linear(z, made["gw"], made["gb"])
            pairs = [
                judge(real, 1.0) if c == "real" else judge(fake, 0.0 if c == "fake" else 1.0)
                for c in cases
            ]
        losses += [loss for loss, _ in pairs]
        variables = [made[n] for n in trained]
        sections.append(Section(graph, pairs, variables, optimizers.SGD(rate)))
    return Program("train", sections, [z, real], accumulators=losses)


def bce_slope(logit, label):
    return (sigmoid(logit) - label) / len(logit)


def gan_by_hand(w, z, real):
    """One step of both groups; returns the new weights."""
    w = {k: v.copy() for k, v in w.items()}

    def through(x, label):
        hidden = np.tanh(x @ w["dw1"] + w["db1"])
        d = bce_slope(hidden @ w["dw2"] + w["db2"], label)
        dh = d @ w["dw2"].T * (1 - hidden**2)
        grads = {"dw1": x.T @ dh, "db1": dh.sum(0), "dw2": hidden.T @ d, "db2": d.sum(0)}
        return grads, dh @ w["dw1"].T

    fake = z @ w["gw"] + w["gb"]
    on_real, _ = through(real, 1.0)
    on_fake, _ = through(fake, 0.0)
    for name in on_real:
        w[name] = w[name] - 0.2 * (on_real[name] + on_fake[name])
    _, d = through(fake, 1.0)  # by the updated discriminator
    w["gw"], w["gb"] = w["gw"] - 0.5 * z.T @ d, w["gb"] - 0.5 * d.sum(0)
    return w


@pytest.mark.parametrize("executor", EXECUTORS)
def test_gan_as_two_groups(executor):
    rng = np.random.default_rng(4)
    shapes = {"gw": (2, 3), "gb": (3,), "dw1": (3, 5), "db1": (5,), "dw2": (5, 1), "db2": (1,)}
    made = {name: Variable(rng.normal(size=shape), name) for name, shape in shapes.items()}
    store = Store(list(made.values()))
    machine = executor_of(gan_program(made), store, 6, executor)
    updates = [[str(s.outputs[0]) for s in g.updates] for g in machine.plan.groups]
    assert len(updates[0]) == len(updates[1]) == 1  # one row of the update table each
    frozen = {b.name for s in machine.plan.groups[1].steps for b in s.outputs if b is not None}
    assert not {"d dw1", "d db1", "d dw2", "d db2"} & frozen  # no gradient that nobody needs
    machine.control["rate"] = [0.2, 0.5]
    z, real = rng.normal(size=(18, 2)), rng.normal(2, 1, (18, 3))
    expected = {name: v.numpy() for name, v in made.items()}
    job = Job([z, real], 18, 6, 2, False, np.zeros((2, machine.plan.accumulator_count)))
    machine.train(job)
    for _ in range(2):
        for start in (0, 6, 12):
            expected = gan_by_hand(expected, z[start : start + 6], real[start : start + 6])
    for name, variable in made.items():
        np.testing.assert_allclose(variable.value, expected[name], rtol=1e-10, err_msg=name)
    assert list(machine.control["iteration"]) == [6, 6]


# --- contrastive divergence: a plan that does not come from differentiation ---


class ContrastiveDivergence(Op):
    """CD-1 of a binary RBM (Hinton, Neural Computation 14, 2002): minus the mean update."""

    name = "contrastive_divergence"
    inputs = ("v", "w", "a", "b")
    outputs = ("dw", "da", "db")
    control = True

    def infer(self, v, w, a, b, **attrs):
        return [(w.shape, "real"), (a.shape, "real"), (b.shape, "real")]

    def define(self, v, w, a, b, control, *, stream):
        seed, step = int(control["seed"]), int(control["step"])
        rows = len(v)
        h0 = sigmoid(v @ w + b)
        h = draws(seed, stream, step, rows, len(b)) / 2**32 < h0
        v1 = draws(seed, stream + 1, step, rows, len(a)) / 2**32 < sigmoid(h @ w.T + a)
        h1 = sigmoid(v1 @ w + b)
        return (
            -(v.T @ h0 - v1.T @ h1) / rows,
            -(v - v1).mean(axis=0),
            -(h0 - h1).mean(axis=0),
        )


def expected_divergence(v, w, a, b):
    """The mean of the op above over its random draws, by enumeration of all h and v1."""
    dw, da, db = np.zeros_like(w), np.zeros_like(a), np.zeros_like(b)
    for row in v:
        h0 = sigmoid(row @ w + b)
        for h in itertools.product([0.0, 1.0], repeat=len(b)):
            h = np.array(h)
            p_h = np.prod(np.where(h == 1, h0, 1 - h0))
            q = sigmoid(w @ h + a)
            for v1 in itertools.product([0.0, 1.0], repeat=len(a)):
                v1 = np.array(v1)
                p = p_h * np.prod(np.where(v1 == 1, q, 1 - q))
                h1 = sigmoid(v1 @ w + b)
                dw -= p * (np.outer(row, h0) - np.outer(v1, h1))
                da -= p * (row - v1)
                db -= p * (h0 - h1)
    return [part / len(v) for part in (dw, da, db)]


def test_contrastive_divergence_for_a_small_rbm():
    rng = np.random.default_rng(5)
    made = [
        Variable(rng.normal(size=shape), name)
        for name, shape in (("w", (3, 2)), ("a", (3,)), ("b", (2,)))
    ]
    store = Store(made)
    graph, v = Graph(), feed((None, 3), "v")
    with graph:
        into = [gradient_of(variable) for variable in made]
        emit(ContrastiveDivergence(), v, *made, into=into, stream=graph.stream())
    section = Section(graph, trainable=made, optimizer=optimizers.SGD(0.1))
    machine = executor_of(Program("train", [section], [v]), store, 64)
    data = rng.integers(0, 2, (64, 3)).astype(float)
    expected = expected_divergence(data, *(m.value for m in made))
    gradients = [b for b in machine.plan.groups[0].steps[0].outputs if b is not None]
    samples = []
    for step in range(800):  # the weights stand still: many draws of one update
        machine.control["step"] = step
        machine.gradients([data])
        samples.append([machine.view(b).copy() for b in gradients])
    for k, wanted in enumerate(expected):
        drawn = np.array([s[k] for s in samples])
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        assert (drawn.std(axis=0) > 0).all()
        assert (np.abs(drawn.mean(axis=0) - wanted) < 4.5 * error + 1e-12).all()
    before = made[0].numpy()
    machine.control["rate"] = 0.1
    machine.update()
    np.testing.assert_allclose(made[0].value, before - 0.1 * samples[-1][0], rtol=1e-12)


@native_only
def test_an_op_without_a_native_kernel_is_an_error_that_names_both():
    made = [Variable(np.zeros(s), n) for n, s in (("w", (3, 2)), ("a", (3,)), ("b", (2,)))]
    store = Store(made)
    graph, v = Graph(), feed((None, 3), "v")
    with graph:
        emit(ContrastiveDivergence(), v, *made, into=[gradient_of(m) for m in made], stream=1)
    section = Section(graph, trainable=made, optimizer=optimizers.SGD(0.1))
    with pytest.raises(NotImplementedError, match="native executor.*contrastive_divergence"):
        executor_of(Program("train", [section], [v]), store, 4, "native")


# --- gradient accumulation ---


@pytest.mark.parametrize("backend", EXECUTORS)
def test_accumulation_averages_the_gradients_of_its_steps(backend):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(24, 3)), rng.normal(size=(24, 2))
    model = Sequential([Dense(2, dtype="float64", input_shape=(3,))])
    optimizer = optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3)
    model.compile(optimizer, loss="mse", backend=backend)
    w, b = model.get_weights()
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        for start in (0, 12):  # 6 batches an epoch, an update after each third
            gw, gb = np.zeros_like(w), np.zeros_like(b)
            for k in range(3):
                rows = slice(start + 4 * k, start + 4 * k + 4)
                d = 2 * (x[rows] @ w + b - y[rows]) / 8
                gw, gb = gw + x[rows].T @ d / 3, gb + d.sum(0) / 3
            vw, vb = 0.9 * vw - 0.1 * gw, 0.9 * vb - 0.1 * gb
            w, b = w + vw, b + vb
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-12)
    np.testing.assert_allclose(model.get_weights()[1], b, rtol=1e-12)


# --- two machines that share a batch ---


def machine_for(backend, seed):
    """A model with dropout and L2, and its training executor."""
    utils.set_random_seed(seed)
    model = Sequential(
        [
            Dense(8, activation="relu", kernel_regularizer="l2", input_shape=(5,)),
            Dropout(0.4),
            Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", backend=backend)
    executor, _ = model._executor("train", 10, (Kind(),))
    executor.control["rate"] = 0.01
    return model, executor


@pytest.mark.parametrize("backend", EXECUTORS)
def test_two_machines_do_what_one_does(backend):
    rng = np.random.default_rng(7)
    one, whole = machine_for(backend, 1)
    parts = [machine_for(backend, 1) for _ in range(2)]
    for step in range(5):
        x = rng.normal(size=(10, 5)).astype(np.float32)
        y = rng.integers(0, 3, 10).astype(np.int32)
        for machine in (whole, *(m for _, m in parts)):
            machine.control["step"] = step
        whole.gradients([x, y])
        shares = ((0, 7), (7, 10))
        for (_, machine), (start, stop) in zip(parts, shares, strict=True):
            machine.gradients([x[start:stop], y[start:stop]], first_row=start, batch_rows=10)
        total = sum(machine.gradient for _, machine in parts)  # the penalty's by their rows
        # Row 2 of the yardsticks: K = 10 rows are summed.
        size = np.abs(whole.gradient)
        bound = 1.3e-6 * np.sqrt(10) * size + 1e-5 * np.maximum(1, size)
        assert (np.abs(total - whole.gradient) <= bound).all()
        assert np.abs(total - whole.gradient).max() < 1e-6
        whole.update()
        for _, machine in parts:
            machine.gradient[:] = total
            machine.update()
        for model, _ in parts:
            for mine, theirs in zip(model.get_weights(), one.get_weights(), strict=True):
                np.testing.assert_allclose(mine, theirs, atol=2e-5)


# --- several plans over one MODEL block ---


def test_models_that_share_a_layer_share_its_weights():
    x = Input((4,))
    body = Dense(3, activation="tanh")
    features = body(x)
    full = Model(x, layers.Dense(1)(features))
    full.compile("adam", loss="mse", backend="reference")
    rng = np.random.default_rng(8)
    data, target = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
    full.fit(data, target, epochs=2, verbose=0)
    part = Model(x, features)  # made after training: the weights move into a common store
    expected = np.tanh(data @ body.kernel.value + body.bias.value)
    np.testing.assert_allclose(part.predict(data), expected, rtol=1e-5, atol=1e-6)
    full.fit(data, target, epochs=2, verbose=0)
    expected = np.tanh(data @ body.kernel.value + body.bias.value)
    np.testing.assert_allclose(part.predict(data), expected, rtol=1e-5, atol=1e-6)
