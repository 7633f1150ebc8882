"""Finds the files of a data set on this machine or downloads them, and checks that they are right.

Called by the data sets that do not ship with fastnn. A download goes to a temporary file in the
same folder and is renamed when it is complete and checked, so a file that is there is whole, even
when two processes download it at once.
"""

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import IO

from tqdm import tqdm


def find(
    dataset: str, files: Mapping[str, str], mirrors: Sequence[str], folder: str | None = None
) -> list[str]:
    """Paths of the files of a data set, downloaded where they are missing.

    Parameters
    ----------
    dataset : str
        Its name; the folders in FASTNN_DATA and in the cache have the same name.
    files : mapping of str to str
        The SHA256 of each file name.
    mirrors : sequence of str
        Addresses to which a file name is appended, tried in this order.
    folder : str, optional
        Where the files are looked for, and downloaded to, instead.
    """
    cache = folder or os.path.join(_cache(), dataset)
    folders = [cache]
    if folder is None and os.environ.get("FASTNN_DATA"):
        folders.insert(0, os.path.join(os.environ["FASTNN_DATA"], dataset))

    paths = []
    for name, sha256 in files.items():
        there = [path for base in folders if os.path.exists(path := os.path.join(base, name))]
        if there:
            try:
                _check(there[0], sha256)
            except OSError as error:
                raise OSError(f"{there[0]} is corrupt: {error}; delete or replace it") from None
            paths.append(there[0])
            continue
        failures = _download(name, sha256, cache, mirrors)
        if failures:
            raise OSError(
                "\n  ".join([f"{name} cannot be downloaded:", *failures])
                + f"\nWithout a network: put {', '.join(files)} into {cache}, or into a folder "
                f"named {dataset!r} and set the environment variable FASTNN_DATA to the folder "
                "that holds it."
            )
        paths.append(os.path.join(cache, name))
    return paths


def _cache() -> str:
    if os.environ.get("FASTNN_CACHE"):
        return os.environ["FASTNN_CACHE"]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "fastnn")


def _check(path: str, sha256: str) -> None:
    with open(path, "rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise OSError(f"expected SHA256 {sha256}, got {got}")


def _download(name: str, sha256: str, folder: str, mirrors: Sequence[str]) -> list[str]:
    """Download a file from the first mirror that has it; else returns what each one said."""
    os.makedirs(folder, exist_ok=True)
    failures = []
    for mirror in mirrors:
        handle, part = tempfile.mkstemp(prefix=name, suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                fetch(mirror + name, file)
            _check(part, sha256)
            os.replace(part, os.path.join(folder, name))
            return []
        except (OSError, HTTPException) as error:
            failures.append(f"{mirror}{name}: {error}")
        finally:
            if os.path.exists(part):
                os.remove(part)
    return failures


def fetch(url: str, file: IO[bytes]) -> None:
    """Copy what stands at `url` into an open file, with a progress bar."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        size = int(answer.headers.get("Content-Length", 0)) or None
        name = url.rpartition("/")[2]
        with tqdm(total=size, unit="B", unit_scale=True, desc=name, leave=False) as bar:
            while block := answer.read(1 << 16):
                file.write(block)
                bar.update(len(block))
