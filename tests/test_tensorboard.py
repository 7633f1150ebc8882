"""TensorBoard: the files read back, and shown by the real server."""

import contextlib
import inspect
import json
import os
import re
import struct
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import zlib

import numpy as np
import pytest
from api_tools import X, Y, assert_same, mlp, twins

from fastnn import Input, Model, Sequential, callbacks, layers, optimizers
from fastnn.callbacks import TensorBoard, events, tensorboard
from fastnn.examples import tensorboard_listing

pytest.importorskip("tensorboard", reason="the tensorboard package is not installed")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.util import tensor_util  # noqa: E402


class Read:
    """What the files of a folder hold."""

    def __init__(self, folder):
        everything = dict.fromkeys(("tensors", "images", "scalars", "histograms"), 0)
        self.events = EventAccumulator(str(folder), size_guidance=everything)
        self.events.Reload()
        self.tags = set(self.events.Tags()["tensors"])

    def plugin(self, tag):
        return self.events.SummaryMetadata(tag).plugin_data.plugin_name

    def values(self, tag):
        """{step: value} of a tag."""
        return {
            event.step: tensor_util.make_ndarray(event.tensor_proto)
            for event in self.events.Tensors(tag)
        }

    def nodes(self):
        return {node.name: node for node in self.events.Graph().node}


def shape_of(node):
    return tuple(dim.size for dim in node.attr["_output_shapes"].list.shape[0].dim)


# --- the course's listing ---


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    """The folder of the listing's logs, and its history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FASTNN_DATA", raising=False)  # so that the digits that ship are used
        patch.chdir(tmp_path_factory.mktemp("listing"))
        folder, history = tensorboard_listing.main(verbose=0)
        return os.path.abspath(folder), history


def test_the_listing_differs_from_the_one_for_keras_in_its_imports_only():
    body = re.sub(r"\s+", " ", inspect.getsource(tensorboard_listing.main))
    for part in (
        'Dense(64, activation="relu")',
        'Dense(10, activation="softmax")',
        'optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]',
        'log_dir = "logs/fit/" + datetime.now().strftime("%Y%m%d-%H%M%S")',
        "tensorboard_callback = TensorBoard(log_dir=log_dir, histogram_freq=1)",
        "epochs=5, validation_data=(x_test, y_test), callbacks=[tensorboard_callback]",
    ):
        assert part in body


def test_the_folders_and_tags_are_those_of_keras(listing):
    folder, _ = listing
    assert re.search(r"logs/fit/\d{8}-\d{6}$", folder)
    assert sorted(os.listdir(folder)) == ["train", "validation"]
    assert Read(f"{folder}/train").tags == {
        "epoch_loss", "epoch_accuracy", "epoch_learning_rate",
        *(f"{layer}/{weight}/{kind}" for layer in ("dense", "dense_1")
          for weight in ("kernel", "bias") for kind in ("histogram", "gradient")),
    }  # fmt: skip
    assert Read(f"{folder}/validation").tags == {
        "epoch_loss", "epoch_accuracy",
        "evaluation_loss_vs_iterations", "evaluation_accuracy_vs_iterations",
    }  # fmt: skip


def test_the_scalars_are_the_history(listing):
    folder, history = listing
    logs = history.history
    train, validation = Read(f"{folder}/train"), Read(f"{folder}/validation")
    for name in ("loss", "accuracy"):
        for read, key in ((train, name), (validation, f"val_{name}")):
            assert read.plugin(f"epoch_{name}") == "scalars"
            want = {epoch: np.float32(value) for epoch, value in enumerate(logs[key])}
            assert read.values(f"epoch_{name}") == want
        found = validation.values(f"evaluation_{name}_vs_iterations")
        assert list(found) == [46, 92, 138, 184, 230]  # batches of 32 from 1,442 rows
        assert list(found.values()) == [np.float32(value) for value in logs[f"val_{name}"]]
    assert train.values("epoch_learning_rate") == dict.fromkeys(range(5), np.float32(1e-3))


def test_the_graph_of_the_listing(listing):
    folder, _ = listing
    nodes = Read(f"{folder}/train").nodes()
    assert {name: (node.op, shape_of(node)) for name, node in nodes.items()} == {
        "input_layer": ("Placeholder", (-1, 784)),
        "dense/kernel": ("Variable", (784, 64)),
        "dense/bias": ("Variable", (64,)),
        "dense": ("Dense", (-1, 64)),
        "dense_1/kernel": ("Variable", (64, 10)),
        "dense_1/bias": ("Variable", (10,)),
        "dense_1": ("Dense", (-1, 10)),
    }
    assert list(nodes["dense"].input) == ["input_layer", "dense/kernel", "dense/bias"]
    assert list(nodes["dense_1"].input) == ["dense", "dense_1/kernel", "dense_1/bias"]


@contextlib.contextmanager
def server(folder):
    """The address of a TensorBoard that shows a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said, reader = [], None
    try:
        for line in process.stderr:
            said.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                # What it goes on to say must not fill the pipe.
                reader = threading.Thread(target=process.stderr.read)
                reader.start()
                yield found.group()
                break
        else:
            pytest.fail(f"TensorBoard did not start: {''.join(said)}")
    finally:
        process.terminate()
        process.wait()
        if reader is not None:
            reader.join()
        process.stderr.close()


def test_the_real_server_shows_the_listing(listing):
    folder, history = listing

    def ask(route, **query):
        url = f"{address}/data/{route}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as answer:
            return answer.read().decode()

    with server(folder) as address:
        for _ in range(10_000):  # it is still reading
            if json.loads(ask("runs")) == ["train", "validation"]:
                break
        active = json.loads(ask("plugins_listing"))
        for plugin in ("timeseries", "scalars", "histograms", "distributions", "graphs"):
            assert active[plugin]["enabled"], plugin
        points = json.loads(ask("plugin/scalars/scalars", run="validation", tag="epoch_accuracy"))
        assert [(step, value) for _, step, value in points] == [
            (i, pytest.approx(v, rel=1e-6)) for i, v in enumerate(history.history["val_accuracy"])
        ]
        for kind in ("histogram", "gradient"):
            tag = f"dense_1/kernel/{kind}"
            shown = json.loads(ask("plugin/histograms/histograms", run="train", tag=tag))
            assert [step for _, step, _ in shown] == list(range(5))
            assert all(sum(count for _, _, count in bins) == 640 for *_, bins in shown)
        graph = ask("plugin/graphs/graph", run="train", conceptual="false")
        assert re.findall(r'\n  name: "(.*)"', graph) == [
            "input_layer", "dense/kernel", "dense/bias", "dense",
            "dense_1/kernel", "dense_1/bias", "dense_1",
        ]  # fmt: skip


# --- other settings ---


def test_it_does_not_change_training(backend, tmp_path):
    one, other = twins("adam")
    watch = TensorBoard(tmp_path, histogram_freq=1, update_freq=1, write_images=True)
    settings = {"epochs": 3, "validation_split": 0.2, "verbose": 0}
    history = one.fit(X, Y, callbacks=[watch], **settings)
    assert history.history == other.fit(X, Y, **settings).history
    assert_same(one.get_weights(), other.get_weights())


def test_histograms_of_weights_and_gradients(backend, tmp_path):
    model = mlp()
    before = model.get_weights()
    watch = TensorBoard(tmp_path, histogram_freq=2)
    model.fit(X, Y, batch_size=50, epochs=3, shuffle=False, callbacks=[watch], verbose=0)
    read = Read(tmp_path / "train")
    for variable, start in zip(model.variables, before, strict=True):
        found = read.values(f"{variable.path}/histogram")
        assert read.plugin(f"{variable.path}/histogram") == "histograms"
        assert list(found) == [0, 2]
        last = found[2]
        assert last.shape == (30, 3)
        assert last[:, 2].sum() == variable.value.size
        assert (last[0, 0], last[-1, 1]) == (variable.value.min(), variable.value.max())
        counts, _ = np.histogram(variable.value, np.append(last[:, 0], last[-1, 1]))
        np.testing.assert_array_equal(last[:, 2], counts)
        # One step of plain SGD a epoch: the first gradient is (before - after) / rate.
        gradient = read.values(f"{variable.path}/gradient")[0]
        assert gradient[:, 2].sum() == start.size
    one_step = mlp()
    one_step.set_weights(before)
    one_step.fit(X, Y, batch_size=50, epochs=1, shuffle=False, verbose=0)
    for variable, start, after in zip(model.variables, before, one_step.get_weights(), strict=True):
        gradient = read.values(f"{variable.path}/gradient")[0]
        moved = (start - after) / 0.01
        assert gradient[0, 0] == pytest.approx(moved.min(), rel=1e-3, abs=1e-5)
        assert gradient[-1, 1] == pytest.approx(moved.max(), rel=1e-3, abs=1e-5)


def test_frozen_weights_have_no_gradient(tmp_path):
    model = mlp()
    model.layers[0].trainable = False
    watch = TensorBoard(tmp_path, histogram_freq=1)
    model.fit(X, Y, callbacks=[watch], verbose=0)
    tags = Read(tmp_path / "train").tags
    assert {"dense/kernel/histogram", "dense_1/kernel/gradient"} <= tags
    assert "dense/kernel/gradient" not in tags


@pytest.mark.parametrize("freq, steps", [("batch", [1, 2, 3, 4, 5, 6]), (1, None), (4, [4])])
def test_values_by_batch(freq, steps, backend, tmp_path):
    class Losses(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(np.float32(logs["loss"]))

    losses = []
    watch = TensorBoard(tmp_path, update_freq=freq, write_steps_per_second=True)
    settings = {"batch_size": 20, "epochs": 2, "callbacks": [watch, Losses()], "verbose": 0}
    mlp(metrics=["mae"]).fit(X, Y, **settings)
    read = Read(tmp_path / "train")
    steps = steps or [1, 2, 3, 4, 5, 6]
    assert read.values("batch_loss") == {step: losses[step - 1] for step in steps}
    assert list(read.values("batch_mae")) == steps
    assert list(read.values("batch_steps_per_second")) == steps
    assert list(read.values("epoch_loss")) == [0, 1]


def test_batches_stay_in_the_native_call_unless_asked_for():
    hooks = ("on_train_batch_begin", "on_train_batch_end")
    assert not callbacks.overrides(TensorBoard(), *hooks)
    assert callbacks.overrides(TensorBoard(update_freq=10), *hooks)


def test_steps_per_second(tmp_path, monkeypatch):
    times = iter(range(0, 100, 4))
    monkeypatch.setattr(tensorboard.time, "perf_counter", lambda: next(times))
    watch = TensorBoard(tmp_path, write_steps_per_second=True)
    mlp().fit(X, Y, batch_size=5, epochs=2, callbacks=[watch], verbose=0)
    assert Read(tmp_path / "train").values("epoch_steps_per_second") == {0: 2.5, 1: 2.5}


def test_the_rate_of_a_schedule(tmp_path):
    decay = optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    watch = TensorBoard(tmp_path)
    mlp(optimizers.SGD(decay)).fit(X, Y, batch_size=10, epochs=3, callbacks=[watch], verbose=0)
    rates = Read(tmp_path / "train").values("epoch_learning_rate")
    assert rates == {i: pytest.approx(0.1 * 0.5 ** (i + 1), rel=1e-6) for i in range(3)}


def test_what_is_no_number_is_left_out(tmp_path):
    model = mlp(loss="sparse_categorical_crossentropy", metrics=["confusion_matrix"])
    model.fit(X, np.zeros(len(X)), callbacks=[TensorBoard(tmp_path)], verbose=0)
    assert Read(tmp_path / "train").tags == {"epoch_loss", "epoch_learning_rate"}


def test_without_the_graph(tmp_path):
    mlp().fit(X, Y, callbacks=[TensorBoard(tmp_path, write_graph=False)], verbose=0)
    assert not Read(tmp_path / "train").events.Tags()["graph"]


def test_a_shared_layer_and_a_model_inside_a_model(tmp_path):
    inner = Sequential([layers.Dense(3, name="first", input_shape=(4,))], name="inner")
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = layers.Dense(2, name="shared")
    outputs = [shared(inner(a)), shared(inner(b))]
    model = Model([a, b], outputs)
    model.compile("sgd", "mse")
    model.fit([X, X], [Y, Y], callbacks=[TensorBoard(tmp_path)], verbose=0)
    nodes = Read(tmp_path / "train").nodes()
    for name, inputs in {
        "inner/first": ["a", "inner/first/kernel", "inner/first/bias"],
        "shared": ["inner/first", "shared/kernel", "shared/bias"],
        "inner/call_1/first": ["b", "inner/first/kernel", "inner/first/bias"],
        "shared/call_1": ["inner/call_1/first", "shared/kernel", "shared/bias"],
    }.items():
        assert list(nodes[name].input) == inputs
    assert shape_of(nodes["shared/call_1"]) == (-1, 2)


def test_the_steps_of_a_plan_as_a_graph():
    model = Sequential([layers.Dense(8, "gelu", input_shape=(4,)), layers.Dense(2)])
    plan = model._executor("predict", 1, ())[0].plan
    nodes = {name: (kind, inputs) for name, kind, inputs, _ in events._steps(plan)}
    assert nodes["input_layer"] == ("Placeholder", [])
    assert nodes["dense/kernel"] == ("Variable", [])
    first, second = (step.outputs[0].name for step in plan.steps)
    assert nodes[first] == ("linear_gelu", ["input_layer", "dense/kernel", "dense/bias"])
    assert nodes[second] == ("linear", [first, "dense_1/kernel", "dense_1/bias"])


class Own(Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(8, "relu"), layers.Dense(2)
        self.add = layers.Add()

    def call(self, inputs):
        hidden = self.hidden(inputs)
        return self.add([self.out(hidden), self.out(hidden)])


def test_a_model_with_a_call_of_its_own(backend, tmp_path):
    model = Own()
    model.compile("sgd", "mse")
    watch = TensorBoard(tmp_path, histogram_freq=1)
    model.fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    read = Read(tmp_path / "train")
    nodes = read.nodes()
    kernel = model.hidden.kernel.path
    assert f"{kernel}/gradient" in read.tags
    (first,) = (node for node in nodes.values() if kernel in node.input)
    assert first.op == "linear_relu"
    assert shape_of(nodes[kernel]) == (4, 8)
    entry = first.input[0]
    assert (nodes[entry].op, shape_of(nodes[entry])) == ("Placeholder", (-1, 4))
    second, third = (node for node in nodes.values() if first.name in node.input)
    (last,) = (node for node in nodes.values() if second.name in node.input)
    assert third.name in last.input
    assert (second.op, third.op, shape_of(last)) == ("linear", "linear", (-1, 2))


def test_images_of_weights(tmp_path):
    model = mlp()
    watch = TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    model.fit(X, Y, callbacks=[watch], verbose=0)
    read = Read(tmp_path / "train")
    assert read.plugin("dense/kernel/image") == "images"
    width, height, image = read.values("dense/kernel/image")[0]
    assert (int(width), int(height)) == (8, 4)
    kernel = model.layers[0].kernel.numpy().astype(float)
    want = np.rint(255 * (kernel - kernel.min()) / (kernel.max() - kernel.min()))
    np.testing.assert_array_equal(decoded(image), want)
    width, height, image = read.values("dense_1/bias/image")[0]
    assert decoded(image).shape == (1, 2)


def decoded(image):
    """The pixels of a grey PNG, whose checks must agree."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at, content = 8, {}
    while at < len(image):
        (size,) = struct.unpack(">I", image[at : at + 4])
        name, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", image[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(name + data)
        content[name] = data
        at += 12 + size
    width, height = struct.unpack(">II", content[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(content[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:]


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1.0],
        [2.5],
        [3.0, 3.0, 3.0],
        [-1e300, 1e300],
        [-1.7e308, 1.7e308],
        [1.0, np.nextafter(1.0, 2.0)],
        [5e-324, 1e-323],
        np.linspace(-1, 1, 1000),
        np.random.default_rng(3).normal(size=777),
    ],
)
def test_buckets_hold_every_value(values):
    values = np.asarray(values, float)
    found = events.buckets(values)
    assert found.shape == (30, 3)
    assert found[:, 2].sum() == len(values)
    assert np.isfinite(found).all()
    assert (found[0, 0], found[-1, 1]) == (values.min(), values.max())
    assert (found[:, 0] <= found[:, 1]).all()
    np.testing.assert_array_equal(found[1:, 0], found[:-1, 1])


def test_buckets_leave_out_what_is_not_finite():
    nan, inf = float("nan"), float("inf")
    found = events.buckets(np.array([nan, 1.0, inf, 2.0, -inf]))
    assert found[:, 2].sum() == 2
    assert (found[0, 0], found[-1, 1]) == (1.0, 2.0)
    assert not events.buckets(np.array([nan, inf])).any()
    assert not events.buckets(np.array([])).any()


# --- files ---


def test_each_fit_is_added_to_the_folder(tmp_path):
    model, watch = mlp(), TensorBoard(tmp_path)
    model.fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    model.fit(X, Y, epochs=4, initial_epoch=2, callbacks=[watch], verbose=0)
    assert len(os.listdir(tmp_path / "train")) == 2
    assert len(Read(tmp_path / "train").events.path) > 0
    steps = set()
    for file in os.listdir(tmp_path / "train"):
        steps |= set(Read(tmp_path / "train" / file).values("epoch_loss"))
    assert steps == {0, 1, 2, 3}


def test_a_killed_process_leaves_its_finished_epochs(tmp_path):
    program = f"""
import os, numpy as np
from fastnn import Sequential, layers, callbacks
class Die(callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            os._exit(9)
model = Sequential([layers.Dense(1, input_shape=(4,))])
model.compile("sgd", "mse")
watch = callbacks.TensorBoard({str(tmp_path)!r}, histogram_freq=1)
model.fit(np.ones((9, 4)), np.ones(9), epochs=9, callbacks=[watch, Die()], verbose=0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (9, "")
    read = Read(tmp_path / "train")
    assert list(read.values("epoch_loss")) == [0, 1, 2]
    assert list(read.values("dense/kernel/gradient")) == [0, 1, 2]


def test_a_log_dir_that_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "taken").write_text("a file")
    model = mlp()
    before = model.get_weights()
    with pytest.raises(OSError, match="TensorBoard: log_dir cannot be written.*taken"):
        model.fit(X, Y, callbacks=[TensorBoard(tmp_path / "taken")], verbose=0)
    assert_same(model.get_weights(), before)


def test_without_the_package_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    model = mlp()
    before = model.get_weights()
    with pytest.raises(ImportError, match="pip install tensorboard"):
        model.fit(X, Y, callbacks=[TensorBoard(tmp_path)], verbose=0)
    assert_same(model.get_weights(), before)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"update_freq": "often"}, "update_freq must be 'epoch', 'batch' or an integer, got 'oft"),
        ({"update_freq": 0}, "update_freq must be an integer of 1 or more, got 0"),
        ({"histogram_freq": -1}, "histogram_freq must be an integer of 0 or more, got -1"),
        ({"profile_batch": 2}, "profile_batch=2 is not supported; leave it out"),
        ({"embeddings_freq": 1}, "embeddings_freq=1 is not supported; leave it out"),
        ({"embeddings_metadata": "a"}, "embeddings_metadata='a' is not supported; leave it out"),
    ],
)
def test_wrong_arguments(settings, expected):
    with pytest.raises(ValueError, match=f"TensorBoard: {expected}"):
        TensorBoard(**settings)
