"""MNIST, 70,000 handwritten digits of 28x28 pixels; not shipped, but downloaded once.

The files are looked for in FASTNN_DATA, then in the cache, then downloaded into the cache.
"""

import numpy as np

from fastnn.datasets._split import Split

# The four original files, with the SHA256 of each.
FILES = {
    f"{name}-ubyte.gz": sha256
    for name, sha256 in (
        ("train-images-idx3", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("train-labels-idx1", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    )
}

# Tried in this order: PyTorch's mirror, the Common Visual Data Foundation's, the authors' own.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


def load_data(path: str | None = None) -> Split:
    """Load MNIST.

    Parameters
    ----------
    path : str, optional
        The folder of the four original files (``train-images-idx3-ubyte.gz`` and so on); those
        that are missing are downloaded into it. By default each file is taken from the folder
        ``mnist`` in FASTNN_DATA if it is there, and else from the cache: ``mnist`` in
        FASTNN_CACHE, or in ``fastnn`` in XDG_CACHE_HOME, or in ``~/.cache/fastnn``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images: uint8, 0 to 255, of shape (60000, 28, 28) and (10000, 28, 28). Labels: uint8.

    Raises
    ------
    OSError
        If a file is not there and cannot be downloaded, or if a file is corrupt.

    Notes
    -----
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, 1998.
    """
    from fastnn.datasets import _download  # slow to import: urllib

    paths = _download.find("mnist", FILES, MIRRORS, path)
    x_train, y_train, x_test, y_test = (_read_idx(path) for path in paths)
    return (x_train, y_train), (x_test, y_test)


def _read_idx(path: str) -> np.ndarray:
    """Read a gzipped idx file: two zero bytes, type, rank, the sizes as big-endian int32, data."""
    import gzip

    with gzip.open(path) as file:
        data = file.read()
    rank = data[3]
    shape = np.frombuffer(data, ">i4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
