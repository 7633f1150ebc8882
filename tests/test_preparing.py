"""utils that get data ready, against the examples of Keras' documentation and NumPy."""

import numpy as np
import pytest

from fastnn import Sequential, keras, layers, utils


def test_to_categorical():
    np.testing.assert_array_equal(utils.to_categorical([0, 2, 1]), np.eye(3)[[0, 2, 1]])
    assert utils.to_categorical([[1], [0]], num_classes=5).shape == (2, 5)
    np.testing.assert_array_equal(
        utils.to_categorical([[0, 1], [1, 1]]), np.eye(2)[[[0, 1], [1, 1]]]
    )
    for bad, part in (([3], "indices from 3 to 3, expected 0 to 2"), ([-1], "from -1"),
                      ([0.5], "whole class indices"), (["a"], "whole"), ([], "whole")):  # fmt: skip
        with pytest.raises(ValueError, match=part):
            utils.to_categorical(bad, 3)


def test_normalize():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0], [1, 0]])
    np.testing.assert_allclose(utils.normalize(x, axis=0, order=1)[:, 0], [0.75, 0, 0.25])


def test_pad_sequences():
    # The examples of Keras' documentation.
    sequence = [[1], [2, 3], [4, 5, 6]]
    pad = utils.pad_sequences
    assert pad(sequence).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad(sequence, value=-1).tolist() == [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]
    assert pad(sequence, padding="post").tolist() == [[1, 0, 0], [2, 3, 0], [4, 5, 6]]
    assert pad(sequence, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
    assert pad(sequence, maxlen=2, truncating="post").tolist() == [[0, 1], [2, 3], [4, 5]]
    assert pad(sequence).dtype == np.int32
    rows = pad([np.ones((2, 3)), np.ones((1, 3))], dtype="float32", padding="post")
    assert rows.shape == (2, 2, 3) and rows[1, 1].tolist() == [0, 0, 0]
    assert pad([[], [1]]).tolist() == [[0], [1]]
    for call, part in (
        (lambda: pad(sequence, padding="left"), "padding must be 'pre' or 'post', got 'left'"),
        (lambda: pad([1, 2]), "a list of sequences"),
        (lambda: pad([np.ones((1, 2)), np.ones((1, 3))]), r"sequence 1 has rows of shape \(3,\)"),
        (lambda: pad(sequence, value=0.5), "value=0.5 does not fit dtype int32"),
    ):
        with pytest.raises(ValueError, match=part):
            call()


def test_split_dataset():
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    left, right = utils.split_dataset(x, left_size=0.8)
    np.testing.assert_array_equal(left, x[:8])
    np.testing.assert_array_equal(right, x[8:])
    assert np.shares_memory(left, x)
    (a, b), (c, d) = utils.split_dataset((x, y), right_size=3, shuffle=True, seed=1)
    assert sorted([*b, *d]) == list(range(10)) and len(d) == 3
    np.testing.assert_array_equal(a[:, 0], 2 * b)
    np.testing.assert_array_equal(c[:, 0], 2 * d)
    left, right = utils.split_dataset(x, left_size=2, right_size=3)
    assert (len(left), len(right)) == (2, 3)
    for settings in ({}, {"left_size": 1.0}, {"left_size": 0}, {"left_size": 9, "right_size": 2},
                     {"left_size": "a"}):  # fmt: skip
        with pytest.raises(ValueError, match="split_dataset"):
            utils.split_dataset(x, **settings)
    with pytest.raises(ValueError, match=r"have \[10, 9\] rows"):
        utils.split_dataset((x, y[:9]), left_size=0.5)


def test_windows_over_a_time_series():
    # Keras' example: sequences of 10 entries, 2 apart, every 3 times.
    series = np.arange(100)
    windows = utils.timeseries_dataset_from_array(series, None, 10, 3, 2, batch_size=8)
    found = np.concatenate([windows[i] for i in range(len(windows))])
    assert found[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert found[1].tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    assert found[-1].tolist() == [81, 83, 85, 87, 89, 91, 93, 95, 97, 99]
    assert [len(windows[i]) for i in range(len(windows))] == [8, 8, 8, 4]
    x, y = utils.timeseries_dataset_from_array(series[:-5], series[5:], 5, start_index=20)[0]
    np.testing.assert_array_equal(y, x[:, 0] + 5)
    assert x[0, 0] == 20
    once = utils.timeseries_dataset_from_array(series, series, 3, shuffle=True, seed=1)
    assert sorted(once[0][1]) == list(range(98))
    for settings, part in (
        ({"sequence_length": 101}, "no window of 101 entries"),
        ({"sequence_length": 0}, "sequence_length must be an integer"),
        ({"sequence_length": 3, "start_index": 100}, "start_index=100"),
        ({"sequence_length": 3, "batch_size": 2.5}, "batch_size"),
    ):
        with pytest.raises(ValueError, match=part):
            utils.timeseries_dataset_from_array(series, None, **settings)


def test_a_model_fits_windows(backend):
    series = np.sin(np.arange(300) / 5)
    windows = utils.timeseries_dataset_from_array(series[:-8], series[8:], 8, batch_size=32)
    model = Sequential([layers.Dense(1, input_shape=(8,))])
    model.compile("adam", "mse")
    history = model.fit(windows, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]
    assert model.predict(windows).shape == (285, 1)


def test_keras_finds_them_too():
    from fastnn.keras.preprocessing.sequence import pad_sequences
    from fastnn.keras.utils import to_categorical

    assert pad_sequences is keras.utils.pad_sequences is utils.pad_sequences
    assert to_categorical is utils.to_categorical
