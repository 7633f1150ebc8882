"""The data sets: what ships is what it says, and MNIST fails clearly when it cannot be had."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastnn import datasets
from fastnn.datasets import _download, digits, iris, mnist


def counts(labels):
    return np.bincount(labels).tolist()


def test_digits():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, x_test.shape) == ((1442, 8, 8), (355, 8, 8))
    assert (y_train.shape, y_test.shape) == ((1442,), (355,))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    for images in (x_train, x_test):
        assert (images.min(), images.max()) == (0, 16)
    assert counts(y_test) == [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]
    both = np.concatenate([y_train, y_test])
    assert counts(both) == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as UCI states


def test_iris():
    (x_train, y_train), (x_test, y_test) = iris.load_data()
    assert (x_train.shape, x_test.shape) == ((120, 4), (30, 4))
    assert (x_train.dtype, x_test.dtype) == (np.float64, np.float64)
    assert (y_train.dtype, y_test.dtype) == (np.int64, np.int64)
    assert (counts(y_train), counts(y_test)) == ([40, 40, 40], [10, 10, 10])
    # The summary of the original: minimum, maximum and mean of each measurement.
    x = np.concatenate([x_train, x_test])
    np.testing.assert_array_equal(x.min(axis=0), [4.3, 2.0, 1.0, 0.1])
    np.testing.assert_array_equal(x.max(axis=0), [7.9, 4.4, 6.9, 2.5])
    np.testing.assert_allclose(x.mean(axis=0), [5.8433, 3.0573, 3.758, 1.1993], atol=5e-5)
    # The two flowers that are wrong in UCI's file.
    np.testing.assert_array_equal(x_test[6], [4.9, 3.1, 1.5, 0.2])
    np.testing.assert_array_equal(x_train[30], [4.9, 3.6, 1.4, 0.1])


@pytest.mark.parametrize("data", [digits, iris])
def test_the_last_of_every_five_rows_of_each_class_is_held_out(data):
    folder = Path(data.__file__).parent
    if data is digits:
        with np.load(folder / "digits.npz") as file:
            x, y = file["x"], file["y"]
    else:
        table = np.loadtxt(folder / "iris.csv", delimiter=",", skiprows=1)
        x, y = table[:, :4], table[:, 4]
    (x_train, y_train), (x_test, y_test) = data.load_data()
    for label in np.unique(y):
        rows = x[y == label]
        np.testing.assert_array_equal(x_test[y_test == label], rows[4::5])
        kept = np.delete(rows, np.s_[4::5], axis=0)
        np.testing.assert_array_equal(x_train[y_train == label], kept)


@pytest.mark.parametrize("name", ["digits.npz", "iris.csv"])
def test_shipped_files_have_the_checksums_that_are_stated(name):
    folder = Path(datasets.__file__).parent
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert f"SHA256 of `{name}`: {sha256}" in (folder / "SOURCES.md").read_text()


@pytest.mark.parametrize("data", [digits, iris])
def test_each_call_returns_its_own_writable_arrays(data):
    (x, _), _ = data.load_data()
    x[:] = 1
    assert (data.load_data()[0][0] != 1).any()


# MNIST. A small data set in the same format stands for it, and a dictionary for the network.


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.tobytes(), mtime=0)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Contents of four small files that replace MNIST's, with a cache and no network."""
    rng = np.random.default_rng(0)
    shapes = [(6, 28, 28), (6,), (2, 28, 28), (2,)]
    contents = {
        name: idx(rng.integers(0, 256, shape, np.uint8)) for name, shape in zip(mnist.FILES, shapes)
    }
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(mnist, "FILES", sha256)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setattr(_download, "fetch", offline)
    return contents


def offline(url, file):
    raise OSError("no network")


def network(monkeypatch, pages):
    """Replace the network by a dictionary; returns the list of addresses that are asked for."""
    asked = []

    def fetch(url, file):
        asked.append(url)
        if url not in pages:
            raise OSError("404")
        file.write(pages[url])

    monkeypatch.setattr(_download, "fetch", fetch)
    return asked


def fill(folder, contents):
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_mnist_is_downloaded_once(small, monkeypatch, tmp_path):
    mirror = mnist.MIRRORS[0]
    asked = network(monkeypatch, {mirror + name: content for name, content in small.items()})
    for _ in range(2):
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
        assert (x_train.shape, y_train.shape) == ((6, 28, 28), (6,))
        assert (x_test.shape, y_test.shape) == ((2, 28, 28), (2,))
        assert x_train.dtype == y_train.dtype == np.uint8
        assert x_train.flags.writeable
        assert idx(x_train) == small["train-images-idx3-ubyte.gz"]
    assert asked == [mirror + name for name in small]
    assert sorted(os.listdir(tmp_path / "cache" / "mnist")) == sorted(small)  # nothing else is left


def test_mnist_takes_the_next_mirror(small, monkeypatch):
    first, second, _ = mnist.MIRRORS
    pages = {second + name: content for name, content in small.items()}
    pages[first + next(iter(small))] = b"a page that says there is no such file"
    asked = network(monkeypatch, pages)
    mnist.load_data()
    assert asked == [mirror + name for name in small for mirror in (first, second)]


def test_mnist_from_fastnn_data(small, monkeypatch, tmp_path):
    fill(tmp_path / "data" / "mnist", small)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "data"))
    assert mnist.load_data()[0][0].shape == (6, 28, 28)
    assert not (tmp_path / "cache").exists()


def test_mnist_from_a_folder(small, tmp_path):
    fill(tmp_path / "here", small)
    assert mnist.load_data(str(tmp_path / "here"))[1][0].shape == (2, 28, 28)


def test_the_cache_follows_the_environment(small, monkeypatch, tmp_path):
    monkeypatch.delenv("FASTNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    fill(tmp_path / "xdg" / "fastnn" / "mnist", small)
    mnist.load_data()


def test_mnist_without_network_says_what_to_do(small, tmp_path):
    with pytest.raises(OSError) as caught:
        mnist.load_data()
    message = str(caught.value)
    for text in (*mnist.FILES, *mnist.MIRRORS, "no network", "FASTNN_DATA", "'mnist'"):
        assert text in message
    assert str(tmp_path / "cache" / "mnist") in message
    assert os.listdir(tmp_path / "cache" / "mnist") == []


def test_a_corrupt_file_is_named_with_both_checksums(small, tmp_path):
    folder = tmp_path / "here"
    fill(folder, small)
    name = "t10k-labels-idx1-ubyte.gz"
    (folder / name).write_bytes(b"broken")
    with pytest.raises(OSError, match="is corrupt") as caught:
        mnist.load_data(str(folder))
    expected, got = mnist.FILES[name], hashlib.sha256(b"broken").hexdigest()
    for text in (str(folder / name), f"expected SHA256 {expected}", f"got {got}", "delete"):
        assert text in str(caught.value)


def test_corrupt_downloads_are_not_kept(small, monkeypatch, tmp_path):
    urls = [mirror + name for mirror in mnist.MIRRORS for name in small]
    network(monkeypatch, dict.fromkeys(urls, b"broken"))
    with pytest.raises(OSError, match="cannot be downloaded") as caught:
        mnist.load_data()
    assert hashlib.sha256(b"broken").hexdigest() in str(caught.value)
    assert os.listdir(tmp_path / "cache" / "mnist") == []


def test_fetch_copies_a_page(tmp_path):
    page = tmp_path / "page.gz"
    page.write_bytes(bytes(range(256)) * 1000)
    with open(tmp_path / "copy", "wb") as file:
        _download.fetch(page.as_uri(), file)
    assert (tmp_path / "copy").read_bytes() == page.read_bytes()


def test_the_real_mnist():
    folder = os.path.join(os.environ.get("FASTNN_DATA", ""), "mnist")
    if not os.path.isdir(folder):
        pytest.skip("MNIST is not at hand: set FASTNN_DATA to a folder that holds mnist/")
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert counts(y_train) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts(y_test) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(x_train.mean()), 3) == 33.318


def test_importing_datasets_imports_nothing_slow():
    code = "import sys, fastnn.datasets; print({'urllib.request', 'gzip'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
