"""Files that are damaged, hostile or half written: one exception type, and never half a model.

The quick forms run with the gate, those of minutes are marked `long`.
"""

import builtins
import contextlib
import copy
import errno
import gc
import importlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from api_tools import LABELS, X, assert_same

from fastnn import ModelFileError, Sequential, load_model, saving
from fastnn.layers import Dense, Dropout
from fastnn.saving import format


def classifier(units=8):
    model = Sequential([Dense(units, "relu", input_shape=(4,)), Dropout(0.25), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def functional():
    """The bytes of a file of a graph: its calls can be mutated as well."""
    return (pathlib.Path(__file__).parent / "golden" / "functional.fastnn").read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a small trained model's file."""
    path = tmp_path_factory.mktemp("files") / "model.fastnn"
    model = classifier()
    model.fit(X, LABELS, epochs=1, verbose=0)
    model.save(path)
    return path.read_bytes()


def parts(content):
    """(table, description, data) of a file."""
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    metadata = table.pop("__metadata__")
    return table, json.loads(metadata["fastnn"]), content[8 + length :]


def assembled(table, description, data, crc=None, length=None, **metadata):
    """The bytes of a file; its checksum is right unless it is given."""
    text = description if isinstance(description, str) else json.dumps(description)
    if crc is None:
        crc = zlib.crc32(json.dumps(table, separators=(",", ":")).encode())
        crc = f"{zlib.crc32(data, zlib.crc32(text.encode(), crc)):08x}"
    header = {"__metadata__": {"fastnn": text, "crc32": crc, **metadata}, **table}
    return framed(json.dumps(header, separators=(",", ":")).encode(), data, length)


def framed(header, data=b"", length=None):
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def refused(tmp_path, content, message):
    """Loading raises ModelFileError in little memory, and names the file."""
    path = tmp_path / "hostile.fastnn"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=message) as caught:
            load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 2000
    assert peak < 200 * 2**20


def test_a_whole_file_is_read(content):
    assert assembled(*parts(content)) != b""
    assert format.unpack(assembled(*parts(content))).description["kind"] == "model"


def test_the_package_safetensors_reads_our_files(content, tmp_path):
    from safetensors.numpy import load

    arrays = load(content)
    path = tmp_path / "model.fastnn"
    path.write_bytes(content)
    expected = load_model(path).get_weights()
    names = sorted(name for name in arrays if name.startswith("weights/"))
    assert_same([arrays[name] for name in names], expected)
    assert (int.from_bytes(content[:8], "little") % 8, len(names)) == (0, 4)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, -1, -4, -2000])
def test_truncated_files(tmp_path, content, size):
    refused(tmp_path, content[:size], "copy or save it again")


def test_files_with_something_behind_them(tmp_path, content):
    refused(tmp_path, content + b"\0", r"arrays end at byte .* copy or save it again")


def test_files_of_others(tmp_path):
    from safetensors.numpy import save

    arrays = {"a": np.ones(3)}
    refused(tmp_path, save(arrays), "not written by fastnn.*safetensors package")
    refused(tmp_path, save(arrays, metadata={"format": "pt"}), "not written by fastnn")
    refused(tmp_path, b"\x89HDF\r\n\x1a\n" + bytes(5000), "header claims")
    refused(tmp_path, b"PK\x03\x04" + bytes(5000), "header")
    refused(tmp_path, b"\x80\x04cos\nsystem\n(S'true'\ntR." + bytes(100), "header claims")
    refused(tmp_path, bytes(100), "header claims 0 bytes")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**63 - 1, 2**40, 2**20 + 1, 1, 0])
def test_lengths_that_lie(tmp_path, content, length):
    lying = length.to_bytes(8, "little") + content[8:]
    refused(tmp_path, lying, "header claims|no JSON")
    refused(tmp_path, lying + bytes(2 * 2**20), "header claims|no JSON")


def test_a_future_format(tmp_path, content):
    table, description, data = parts(content)
    future = {**description, "format": 7, "fastnn": "9.1"}
    message = "has format 7, written by fastnn 9.1; this fastnn reads formats up to 1; install"
    refused(tmp_path, assembled(table, future, data), message)
    for wrong in (0, -1, "1", 1.0, True, None):
        description["format"] = wrong
        refused(tmp_path, assembled(table, description, data), "names no format version")


def entry(begin=0, end=4, shape=(1,), dtype="F32", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": entry(end=2**63, shape=[2**61])}, "no proper shape"),
        ({"a": entry(end=2**62, shape=[2**60])}, "expected to begin at 0 and to end by 8"),
        ({"a": entry(shape=[2**62, 2**62])}, "bytes by its shape"),
        ({"a": entry(shape=[2**62] * 40)}, "no proper shape"),
        ({"a": entry(shape=[-1])}, "no proper shape"),
        ({"a": entry(shape=[True])}, "no proper shape"),
        ({"a": entry(shape=[1.0])}, "no proper shape"),
        ({"a": entry(shape="1")}, "no proper shape"),
        ({"a": entry(dtype="F31")}, "unknown dtype 'F31'"),
        ({"a": entry(dtype=["F32"])}, "unknown dtype"),
        ({"a": entry(dtype="object")}, "unknown dtype"),
        ({"a": entry(), "b": entry(0, 4)}, "expected to begin at 4"),  # overlap
        ({"a": entry(0, 8, [2]), "b": entry(4, 8)}, "expected to begin at 8"),
        ({"a": entry(4, 8)}, "expected to begin at 0"),  # gap
        ({"a": entry()}, "arrays end at byte 4 of 8"),
        ({"a": entry(0, 12, [3])}, "to end by 8"),
        ({"a": entry(4, 0)}, "expected to begin at 0"),
        ({"a": entry(more=1)}, "malformed"),
        ({"a": [1]}, "malformed"),
        ({"a": None}, "malformed"),
        ({"a": {"dtype": "F32"}}, "malformed"),
        ({f"{i}": entry(0, 0, [0]) for i in range(10_001)}, "10,001 arrays, at most 10,000"),
        ({"../../etc/passwd": entry(0, 8, [2])}, "list of weights and its arrays differ"),
        ({"weights/0/../../x": entry(0, 8, [2])}, "list of weights and its arrays differ"),
        ({"": entry(0, 8, [2])}, "list of weights and its arrays differ"),
    ],
)
def test_tables_that_lie(tmp_path, content, table, message):
    _, description, _ = parts(content)
    refused(tmp_path, assembled(table, description, bytes(8)), message)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[" * 500_000, "more than 150,000 braces, brackets and commas"),
        (b"[" * 150_000, "nested|no JSON"),
        (b'{"a":' * 160_000, "more than 150,000 braces, brackets and commas"),
        (b'{"a":' * 100_000, "nested|no JSON"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "not written by fastnn"),
        (b'{"__metadata__":{"fastnn":"","crc32":""},"a":' + b"[" * 99 + b"]" * 99 + b"}", "entry"),
        (
            b'{"__metadata__":{"fastnn":"{\\"a\\":' + b"[" * 100 + b"]" * 100 + b'}","crc32":""}}',
            "description is nested more than 64 deep",
        ),
        (b'{"a":NaN}', "NaN stands in its JSON"),
        (b'{"a":-Infinity}', "-Infinity stands in its JSON"),
        (b'{"a":1e999}', "1e999 stands in its JSON"),
        (b'{"a":' + b"9" * 10_000 + b"}", "no JSON"),
        (b'{"a":1,"a":2}', "stands twice"),
        (b'{"a":{"b":1,"b":1}}', "stands twice"),
        (b'{"a":"\xff"}', "no JSON"),
        (b'{"a":"\\ud800"}', "not written by fastnn"),
        (b"[]", "no JSON object"),
        (b"3 ", "no JSON object"),
        (b"{}", "not written by fastnn"),
        (b'{"__metadata__":{}}', "not written by fastnn"),
        (b'{"__metadata__":[]}', "not written by fastnn"),
        (b'{"__metadata__":{"fastnn":1,"crc32":2}}', "not written by fastnn"),
        (b'{"__metadata__":{"fastnn":"{}","crc32":"0"}}', "names no format version"),
        (b'{"__metadata__":{"fastnn":"{\\"format\\":1}","crc32":"0"}}', "checksum is wrong"),
        (b'{"__metadata__":{"fastnn":"{\\"format\\":NaN}","crc32":"0"}}', "NaN stands"),
        (b'{"__metadata__":{"fastnn":"' + b"[" * 10_000 + b'","crc32":"0"}}', "nested|no JSON"),
        (b'{"a":[' + b"{}," * 300_000 + b"{}]}", "more than 150,000 braces, brackets"),
        (b'{"a":[' + b"{}," * 74_000 + b"{}]}", "not written by fastnn"),
        (b"\0" * 100, "no JSON"),
        ('{"a":1}'.encode("utf-16"), "no JSON"),
    ],
)
def test_hostile_headers(tmp_path, header, message):
    refused(tmp_path, framed(header), message)


def changed(description, *path, to):
    """A copy of a description with another value at a path."""
    copied = json.loads(json.dumps(description))
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return copied


LAYER = ("model", "config", "layers", 0)


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("model", "class_name"), "os.system", "unknown model class 'os.system'"),
        (("model", "class_name"), ["a"], "unknown model class"),
        (
            LAYER,
            {"class_name": "Lambda", "config": {"function": "eval"}},
            "unknown function 'eval'",
        ),
        ((*LAYER, "class_name"), "fastnn.layers.Dense", "unknown layer"),
        ((*LAYER, "class_name"), "__import__", "unknown layer"),
        ((*LAYER, "config"), {"class": "os"}, "TypeError"),
        ((*LAYER, "config", "units"), 10**12, "larger than all weights that are given"),
        ((*LAYER, "config", "units"), 2**70, "larger than all weights that are given"),
        ((*LAYER, "config", "units"), 9, "larger than all weights|the model's dense/kernel"),
        ((*LAYER, "config", "units"), 7, "the model's dense/kernel"),
        ((*LAYER, "config", "units"), -1, "units must be"),
        ((*LAYER, "config", "units"), "8", "units must be"),
        ((*LAYER, "config", "activation"), "eval", "unknown activation 'eval'"),
        ((*LAYER, "config", "activation"), {"class_name": "eval", "config": {}}, "activation"),
        ((*LAYER, "config", "kernel_initializer"), "open", "unknown initializer 'open'"),
        ((*LAYER, "config", "input_shape"), [10**15], "larger than all weights"),
        ((*LAYER, "config", "dtype"), "float64", "one float type|larger than all weights"),
        (("model", "config", "layers"), [], "has no layers"),
        (("model", "config", "layers"), None, "weights|TypeError"),
        (("model", "config", "layers"), {"a": 1}, "."),
        (("dtype",), "float16", "unknown float type"),
        (("own",), ["system"], "classes or functions that are not fastnn's.*'system': system"),
        (("own",), 3, "TypeError"),
        (("weights",), [], "list of weights and its arrays differ"),
        (("weights", 0), ["../x", True], "list of weights and its arrays differ"),
        (("weights", 0), 5, "TypeError"),
        (("compile", "optimizer"), "exec", "unknown optimizer 'exec'"),
        (("compile", "optimizer", "config", "beta_1"), 7, "beta_1 must be"),
        (("compile", "loss"), "eval", "unknown loss 'eval'"),
        (("compile", "loss", "class_name"), "eval", "unknown loss 'eval'"),
        (("compile", "metrics", 0, "class_name"), "eval", "unknown metric 'eval'"),
        (("compile", "backend"), "cuda9", "unknown backend"),
        (("training", "seed"), -1, "counters is -1"),
        (("training", "seed"), 2**64, "counters is"),
        (("training", "epochs"), 1.5, "counters is 1.5"),
        (("training", "control"), [[1, 2]], "."),
        (("training", "slots"), [], "belongs to nothing"),
        (("training", "slots"), 5, "TypeError"),
        (("kind",), "weights", "weights only"),
        (("kind",), "other", "holds no model"),
    ],
)
def test_descriptions_that_lie(tmp_path, content, path, to, message):
    table, description, data = parts(content)
    refused(tmp_path, assembled(table, changed(description, *path, to=to), data), message)


def slowest_refusal(tmp_path):
    """Processor time of the hostile files that take longest, each the best of five."""
    table = {f"{i}": entry(0, 0, [0]) for i in range(10_000)}
    many = assembled(table, {"format": 1}, b"", crc="0")
    times = []
    for hostile in (framed(b'{"a":[' + b"{}," * 74_000 + b"{}]}"), many):
        path = tmp_path / "hostile.fastnn"
        path.write_bytes(hostile)
        best = 9.0
        for _ in range(5):
            began = time.process_time()
            with pytest.raises(ModelFileError):
                load_model(path)
            best = min(best, time.process_time() - began)
        times.append(best)
    return max(times)


def test_hostile_files_are_refused_at_once(tmp_path):
    assert slowest_refusal(tmp_path) < 0.3  # a machine that does other things as well


@pytest.mark.long
def test_hostile_files_are_refused_within_a_tenth_of_a_second(tmp_path):
    assert slowest_refusal(tmp_path) < 0.1


# --- mutations -----------------------------------------------------------------------------------


@contextlib.contextmanager
def nothing_runs():
    """Inside, importing, executing and starting anything raises what no loader catches.

    What has been imported already may be: NumPy and the interpreter do so for a warning.
    """

    class Escaped(BaseException):
        pass

    def never(*args, **kwargs):
        raise Escaped(args)

    real = builtins.__import__

    def known(name, *args, **kwargs):
        if name not in sys.modules:
            raise Escaped(name)
        return real(name, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib, "import_module", never)
        for name in ("system", "popen", "fork", "execv"):
            patch.setattr(os, name, never)
        for name in ("exec", "eval", "compile"):
            patch.setattr(builtins, name, never)
        patch.setattr(builtins, "__import__", known)
        yield


def mutated(content, rng):
    """A few bytes changed, removed, put in or repeated."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        at = rng.randrange(len(out))
        kind = rng.randrange(6)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice(b'\0\xff"{}[],:\\ 0129-.eE')
        elif kind == 2:
            del out[at : at + rng.choice((1, 1, 2, 8, 64, 1000))]
        elif kind == 3:
            out[at:at] = rng.randbytes(rng.choice((1, 1, 2, 8, 64)))
        elif kind == 4:
            start = rng.randrange(len(out))
            out[at:at] = out[start : start + rng.choice((1, 4, 50))]
        else:
            out[at : at + 8] = rng.choice((0, 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
        out = out or bytearray(b"0")
    return bytes(out)


WORDS = [
    None, True, 0, -1, 1, 2, 3, 10**9, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, "", "a", "..",
    "/etc/passwd", "relu", "Dense", "Sequential", "Model", "float64", "linear", "L2", [], {}, [1],
    [None, 4], [[]], {"class_name": "Dense", "config": {"units": 2}}, {"class_name": "X"},
    {"class_name": "Sequential", "config": {"layers": []}}, "x" * 1000, [0] * 1000,
]  # fmt: skip


def remade(description, rng):
    """A description with values exchanged, removed, repeated or moved: valid JSON still."""
    copied = json.loads(json.dumps(description))
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = [copied]
        for place in places:
            values = place.values() if isinstance(place, dict) else place
            places += [v for v in values if isinstance(v, (dict, list)) and v]
        place = rng.choice(places)
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = rng.choice(keys) if len(keys) else None
        kind = rng.randrange(5)
        if key is None:
            continue
        if kind == 0:
            del place[key]
        elif kind == 1:
            other = rng.choice(places)
            place[key] = json.loads(json.dumps(other))
        elif kind == 2 and isinstance(place, list):
            place.insert(key, json.loads(json.dumps(place[key])))
        elif kind == 3 and isinstance(place, dict):
            place[rng.choice(("name", "config", "units", "x"))] = copy.deepcopy(rng.choice(WORDS))
        else:
            place[key] = copy.deepcopy(rng.choice(WORDS))
    return copied


def repaired(content, rng):
    """A mutation of what the checksum covers, with the right checksum."""
    table, description, data = parts(content)
    if rng.random() < 0.2:
        table = remade(table, rng)
    if rng.random() < 0.2:
        data = mutated(data, rng)
    if rng.random() < 0.9:
        description = remade(description, rng)
    return assembled(table, description, data)


@contextlib.contextmanager
def garbage_waits():
    """No collection inside: its pause tells how much the process holds, not what runs."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def survive(content, tmp_path, count, mutate, seed, limit=0.3):
    """Load mutations: each is refused, quickly, or is a model that predicts."""
    rng = random.Random(seed)
    path = tmp_path / "mutated.fastnn"
    expected = format.unpack(content).tensors
    names = sorted(name for name in expected if name.startswith("weights/"))
    outcomes = {"refused": 0, "loaded": 0}
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        hostile = mutate(content, rng)
        path.write_bytes(hostile)
        model = None
        with garbage_waits(), nothing_runs():
            began = time.process_time()
            with contextlib.suppress(ModelFileError):
                model = load_model(path)
            slowest = max(slowest, time.process_time() - began)
        outcomes["refused" if model is None else "loaded"] += 1
        if model is not None and mutate is mutated:  # nothing that matters was hit
            assert_same(model.get_weights(), [expected[name] for name in names])
    assert slowest < limit
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 2**10  # kilobytes
    return outcomes


GATE = 1500


def test_random_mutations(content, tmp_path):
    load_model_once(content, tmp_path)
    outcomes = survive(content, tmp_path, GATE, mutated, seed=1)
    assert outcomes["refused"] > 0.98 * GATE


@pytest.mark.parametrize("kind", ["content", "functional"])
def test_mutations_with_a_right_checksum(kind, tmp_path, request):
    content = request.getfixturevalue(kind)
    load_model_once(content, tmp_path)
    outcomes = survive(content, tmp_path, GATE, repaired, seed=2)
    assert outcomes["refused"] > GATE / 2
    assert outcomes["loaded"] > GATE / 50  # the mutations get past the checksum


@pytest.mark.long
@pytest.mark.parametrize("kind", ["content", "functional"])
@pytest.mark.parametrize("mutate", [mutated, repaired])
def test_100_000_mutations(kind, tmp_path, mutate, request):
    content = request.getfixturevalue(kind)
    load_model_once(content, tmp_path)
    survive(content, tmp_path, 100_000, mutate, seed=3, limit=0.1)


def load_model_once(content, tmp_path):
    """What is imported when needed has been imported."""
    path = tmp_path / "whole.fastnn"
    path.write_bytes(content)
    model = load_model(path)
    model.predict([np.ones((2, t.shape[1])) for t in model.inputs])


# --- crashes and failing disks -------------------------------------------------------------------

WRITER = """
import sys, numpy as np
from fastnn import load_model
models = [load_model(path) for path in sys.argv[2:4]]
print("ready", flush=True)
while True:
    for model in models:
        model.save(sys.argv[1])
"""


def kills(tmp_path, times, seed):
    """Kill a process that saves two models in turn; what is there loads, each time."""
    old, new, path = (tmp_path / f"{name}.fastnn" for name in ("old", "new", "model"))
    weights = []
    for target in (old, new):
        model = Sequential([Dense(300, input_shape=(300,)), Dense(300)])
        model.compile("adam", "mse")
        model.fit(np.ones((1, 300)), np.ones((1, 300)), verbose=0)
        model.save(target)
        weights.append(model.get_weights())
    shutil.copy(old, path)
    rng = random.Random(seed)
    stray, seen = 0, set()
    for _ in range(times):
        command = [sys.executable, "-c", WRITER, *map(str, (path, old, new))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            process.wait()
        loaded = load_model(path).get_weights()
        which = [all(map(np.array_equal, loaded, w)) for w in weights]
        assert sum(which) == 1
        seen.add(which.index(True))
        left = [p for p in tmp_path.iterdir() if p.name.startswith(".fastnn-")]
        stray += len(left)
        assert len(left) <= 1  # the process after it has removed that of the one before
    load_model(old).save(path)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".fastnn-")]
    return stray, seen


def test_kills_while_saving(tmp_path):
    kills(tmp_path, 10, seed=1)


@pytest.mark.long
def test_200_kills_while_saving(tmp_path):
    stray, seen = kills(tmp_path, 200, seed=2)
    assert stray > 20  # they did hit the writing
    assert seen == {0, 1}


def test_only_temporary_files_of_dead_processes_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, alive = process.pid, os.getpid()
    prefix = format._PREFIX
    names = {
        f"{prefix}{dead}-0123abcd.tmp": False,
        f"{prefix}{alive}-0123abcd.tmp": True,
        f"{prefix}{dead}-0123abcd.txt": True,
        f".fastnn-ffffffff-{dead}-0123abcd.tmp"[: len(prefix)] + f"x{dead}-0123abcd.tmp": True,
        f"model-{dead}.tmp": True,
        f"{prefix}{'9' * 10}-0123abcd.tmp": True,  # no number of a process
    }
    for name in names:
        (tmp_path / name).write_text("x")
    classifier().save(tmp_path / "model.fastnn")
    left = {p.name for p in tmp_path.iterdir()} - {"model.fastnn"}
    assert left == {name for name, stays in names.items() if stays}


def fail_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("function", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, content, function, code
):
    path = tmp_path / "model.fastnn"
    path.write_bytes(content)
    model = classifier()
    monkeypatch.setattr(os, function, fail_with(code))
    for save in (model.save, model.save_weights, lambda p: saving.save_state(model, p)):
        with pytest.raises(OSError) as caught:
            save(path)
        assert caught.value.errno == code
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["model.fastnn"]
    model.fit(X, LABELS, verbose=0)  # training goes on


def test_a_file_that_grows_too_large(tmp_path, content):
    """The system refuses to write more, as on a full disk."""
    path = tmp_path / "model.fastnn"
    path.write_bytes(content)
    program = """
import resource, signal, sys
from fastnn import load_model, Sequential, layers
model = Sequential([layers.Dense(500, input_shape=(500,))])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    model.save(sys.argv[1])
except OSError as error:
    print("refused", error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"refused {errno.EFBIG}\n", "")
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["model.fastnn"]


def test_a_link_stays_a_link_and_rights_stay(tmp_path):
    real, link = tmp_path / "real.fastnn", tmp_path / "link.fastnn"
    model = classifier()
    model.save(real)
    real.chmod(0o640)
    link.symlink_to(real)
    before = real.read_bytes()
    model.fit(X, LABELS, verbose=0)
    model.save(link)
    assert link.is_symlink()
    assert real.read_bytes() != before
    assert real.stat().st_mode & 0o777 == 0o640
    assert_same(load_model(link).get_weights(), model.get_weights())


def test_a_model_that_is_too_large_for_the_format(tmp_path):
    model = Sequential([Dense(1, input_shape=(1,), name="x" * 2**20)])
    with pytest.raises(ModelFileError, match="too large for one file.*1,048,576 are allowed"):
        model.save(tmp_path / "model.fastnn")
    assert list(tmp_path.iterdir()) == []


def test_saving_and_loading_does_not_grow(tmp_path):
    path = tmp_path / "model.fastnn"
    model = classifier()
    model.fit(X, LABELS, verbose=0)

    def cycles(count):
        for _ in range(count):
            model.save(path)
            load_model(path)
        gc.collect()

    cycles(20)
    tracemalloc.start()
    cycles(5)
    before = tracemalloc.get_traced_memory()[0]
    cycles(50)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000


@pytest.mark.long
def test_1000_cycles_do_not_grow(tmp_path):
    path = tmp_path / "model.fastnn"
    model = classifier(units=256)
    model.fit(X, LABELS, verbose=0)

    def cycles(count):
        for _ in range(count):
            model.save(path)
            load_model(path).predict(X)
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    before = cycles(100)
    assert cycles(1000) - before < 2**20
