"""The bytes of a model file: written so that no crash leaves half a file, read with distrust.

A `.fastnn` file is a safetensors file (github.com/huggingface/safetensors):

    8 bytes     N, the length of the header: unsigned, little-endian
    N bytes     the header: one JSON object in UTF-8, padded with spaces to a multiple of 8
    the rest    the arrays, raw and little-endian, one after the other without gaps

The header is written without spaces. Its first entry is "__metadata__", with two strings:

    "fastnn"    the description: a JSON object whose "format" is 1 (`fastnn.saving.model` says
                what else is in it)
    "crc32"     eight hexadecimal digits: the CRC32 of the table of arrays (the header without
                "__metadata__" and the padding), the description and the data, in this order

The table has an entry per array, in the order in which they lie in the file, with offsets counted
from the end of the header:

    "name":{"dtype":"F32","shape":[4,3],"data_offsets":[begin,end]}

There is no compression, no path and no code in it, and nothing is imported for it. NaN and
infinity are no JSON; the description holds none. Limits: a header of 1 MB, 10,000 arrays, 150,000
braces, brackets and commas; a description nested 64 deep.

`write` and `read` are called by the other files of this package only.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

FORMAT = 1
MAX_HEADER = 2**20
MAX_TENSORS = 10_000
MAX_VALUES = 150_000  # braces, brackets and commas: what the time to read a header goes by
MAX_DEPTH = 64

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_KEYS = {"dtype", "shape", "data_offsets"}
_ITEMSIZES = {name: np.dtype(dtype).itemsize for name, dtype in _DTYPES.items()}


class ModelFileError(ValueError):
    """A model file that cannot be used: damaged, not one of ours, or for another model."""


class File(NamedTuple):
    """What a file holds: its description, and its arrays by name."""

    description: dict[str, Any]
    tensors: dict[str, np.ndarray]


# --- writing -------------------------------------------------------------------------------------


def pack(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> list[Any]:
    """The parts of a file, in order: its head, then the bytes of each array.

    Raises
    ------
    ModelFileError
        The file would break the limits of the format, so that nobody could read it.
    """
    text = _dumps({"format": FORMAT, **description})
    table: dict[str, Any] = {}
    parts: list[Any] = []
    offset = 0
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        array = np.asarray(array)
        array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        dtype = _NAMES.get(array.dtype)
        if dtype is None:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, which no model file can hold")
        end = offset + array.nbytes
        shape = list(array.shape)
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        parts.append(array.reshape(-1).view(np.uint8).data)
        offset = end
    metadata = {"fastnn": text, "crc32": _checksum(_dumps(table).encode(), text, parts)}
    header = _dumps({"__metadata__": metadata, **table}).encode()
    header += b" " * (-len(header) % 8)
    large = len(header) > MAX_HEADER or _values(header.decode()) > MAX_VALUES
    if large or len(table) > MAX_TENSORS or _too_deep(_loads(text)):
        raise ModelFileError(
            f"this model is too large for one file: its description takes {len(header):,} bytes, "
            f"at most {MAX_HEADER:,} are allowed, and it has {len(table):,} arrays, at most "
            f"{MAX_TENSORS:,} are allowed; save its parts as models of their own"
        )
    return [len(header).to_bytes(8, "little"), header, *parts]


def _dumps(value: Any) -> str:
    import json  # not above: most programs neither save nor load

    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _loads(text: str, **hooks: Any) -> Any:
    import json

    return json.loads(text, **hooks)


def _checksum(table: bytes, description: str, parts: list[Any]) -> str:
    crc = zlib.crc32(description.encode(), zlib.crc32(table))
    for part in parts:
        crc = zlib.crc32(part, crc)
    return f"{crc:08x}"


def write(
    path: Any,
    description: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    overwrite: bool = True,
) -> None:
    """Write a file at once: whatever happens, `path` is the old file or the whole new one.

    Raises
    ------
    OSError
        It cannot be written; the old file is as it was.
    """
    path = _target(path, overwrite)
    parts = pack(description, tensors)
    folder = os.path.dirname(path)
    _clean(folder)
    temporary = os.path.join(folder, f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}.tmp")
    mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, mode, 0o666), "wb") as file:
            if os.path.exists(path):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the folder's entry lasts as well
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# Temporary files tell who writes them: the machine, then the process.
_PREFIX = f".fastnn-{zlib.crc32(platform.node().encode()):08x}-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + r"(\d{1,10})-[0-9a-f]{8}\.tmp")


def _clean(folder: str) -> None:
    """Remove the temporary files that dead processes of this machine left behind."""
    for entry in os.listdir(folder):
        match = _TEMPORARY.fullmatch(entry)
        if match and not _alive(int(match[1])):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return False  # there, a file that is open cannot be removed
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # somebody else's process
    return True


def _target(path: Any, overwrite: bool) -> str:
    """The path to write to, links followed; an OSError that says what is wrong with it."""
    given = checked_path(path)
    path = os.path.realpath(given)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{given} is a folder; give the name of a file in it")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the folder {folder} does not exist; make it first")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{given} exists already; choose another name, or overwrite=True")
    return path


def checked_path(path: Any) -> str:
    """`path` as text, if it ends as our files do.

    Raises
    ------
    ValueError
        It ends otherwise, as Keras' files do for example.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a path is expected, a str or a pathlib.Path, got {path!r}")
    given = os.fspath(path)
    if not isinstance(given, str):
        raise TypeError(f"a path is expected, a str or a pathlib.Path, got {path!r}")
    suffix = os.path.splitext(given)[1].lower()
    if suffix in (".keras", ".h5", ".hdf5"):
        raise ValueError(
            f"{given}: {suffix} files are Keras'; fastnn writes and reads .fastnn files, such as "
            "'model.fastnn' or 'model.weights.fastnn'"
        )
    if suffix != ".fastnn":
        raise ValueError(f"{given}: the name of a model file must end in .fastnn")
    return given


# --- reading -------------------------------------------------------------------------------------


def read(path: Any) -> File:
    """The contents of a file, after all checks.

    Raises
    ------
    ModelFileError
        It is damaged, hostile, from a newer fastnn, or no file of ours.
    OSError
        There is no such file, or it may not be read.
    """
    given = checked_path(path)
    if not os.path.exists(given):
        raise FileNotFoundError(f"there is no file {given}; check the name and the folder")
    if not stat.S_ISREG(os.stat(given).st_mode):
        raise ModelFileError(f"{given} is no file (a folder or device); give a model file")
    with open(given, "rb") as file:
        with blame(given):
            size = os.fstat(file.fileno()).st_size
            length = _header_length(file.read(8), size)
            table, metadata = _table(file.read(length), size - 8 - length)
        file.seek(0)
        content = file.read(size)
    with blame(given):
        return _contents(content, table, metadata)


def unpack(content: bytes) -> File:
    """The same for a file's bytes."""
    length = _header_length(content[:8], len(content))
    return _contents(content, *_table(content[8 : 8 + length], len(content) - 8 - length))


def _contents(content: bytes, table: dict[str, Any], metadata: dict[str, str]) -> File:
    """The description and the arrays, checked; `content` is all of the file."""
    text = metadata["fastnn"]
    description = load_json(text, "its description")
    version = description.get("format")
    if type(version) is not int or version < 1:
        raise ModelFileError(f"its description names no format version; {_COPY_AGAIN}")
    if version > FORMAT:
        raise ModelFileError(
            f"it has format {version}, written by fastnn {str(description.get('fastnn'))[:40]}; "
            f"this fastnn reads formats up to {FORMAT}; install a newer fastnn"
        )
    length = int.from_bytes(content[:8], "little")
    head, data = content[8 : 8 + length].rstrip(b" "), memoryview(content)[8 + length :]
    first = _dumps({"__metadata__": metadata})[:-1].encode()
    written = b"{" + head[len(first) :].removeprefix(b",")  # the table, as it stands there
    if not head.startswith(first) or _checksum(written, text, [data]) != metadata["crc32"]:
        raise ModelFileError(f"its checksum is wrong: {_COPY_AGAIN}")
    arrays = _arrays(content)
    return File(description, {name: arrays[name] for name in table})


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file that has passed all checks, by the format's own package."""
    try:
        from safetensors import deserialize
    except ImportError:
        raise ImportError(
            "model files need the package safetensors: pip install safetensors"
        ) from None
    arrays = {}
    for name, entry in deserialize(content):
        array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]])
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        arrays[name] = array.reshape(entry["shape"])
    return arrays


@contextlib.contextmanager
def blame(what: str) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of the file `what`: a ModelFileError."""
    try:
        yield
    except ModelFileError as error:
        if str(error).startswith(what):
            raise
        raise ModelFileError(f"{what}: {error}") from error.__cause__
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ModelFileError(f"{what}: {kind}{error}") from error


_COPY_AGAIN = "the file is damaged, or no model file; copy or save it again"


def _header_length(first: bytes, size: int) -> int:
    if len(first) < 8:
        raise ModelFileError(f"it has {size} bytes, which is no whole header; {_COPY_AGAIN}")
    length = int.from_bytes(first, "little")
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise ModelFileError(
            f"its header claims {length:,} bytes, of a file of {size:,}; at most {MAX_HEADER:,} "
            f"are allowed; {_COPY_AGAIN}"
        )
    return length


def _table(head: bytes, size: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The table of arrays and the metadata of a header, checked against `size` bytes of data."""
    table = _parsed(head, "its header")
    metadata = table.pop("__metadata__", None)
    texts = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    if not texts or not {"fastnn", "crc32"} <= set(metadata):
        raise ModelFileError(
            "it was not written by fastnn: it has no description of a model; to use its arrays, "
            "read it with the safetensors package and call set_weights"
        )
    if len(table) > MAX_TENSORS:
        raise ModelFileError(f"it has {len(table):,} arrays, at most {MAX_TENSORS:,} are allowed")
    end = 0
    for name, entry in table.items():
        end = _check_entry(name, entry, end, size)
    if end != size:
        raise ModelFileError(
            f"its arrays end at byte {end:,} of {size:,} bytes of data; {_COPY_AGAIN}"
        )
    return table, metadata


def _check_entry(name: str, entry: Any, begin: int, size: int) -> int:
    """Check an array's entry, which must begin at `begin`; where it ends."""
    if type(entry) is not dict or entry.keys() != _KEYS:
        raise ModelFileError(f"the entry of array {name[:80]!r} is malformed; {_COPY_AGAIN}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or dtype not in _DTYPES:
        raise ModelFileError(f"array {name[:80]!r} has the unknown dtype {str(dtype)[:20]!r}")
    proper = type(shape) is list and type(offsets) is list and len(offsets) == 2 and len(shape) < 33
    for n in shape + offsets if proper else ():
        if type(n) is not int or not 0 <= n < 2**63:
            proper = False
    if not proper:
        raise ModelFileError(f"array {name[:80]!r} has no proper shape and place; {_COPY_AGAIN}")
    first, last = offsets
    nbytes = math.prod(shape) * _ITEMSIZES[dtype]
    if first != begin or last - begin != nbytes or last > size:
        raise ModelFileError(
            f"array {name[:80]!r} has {nbytes:,} bytes by its shape but lies at {first:,} to "
            f"{last:,}, expected to begin at {begin:,} and to end by {size:,}; {_COPY_AGAIN}"
        )
    return int(last)


def load_json(text: Any, what: str) -> dict[str, Any]:
    """A JSON object, read strictly: no names twice, no NaN or infinity, not nested too deep."""
    value = _parsed(text, what)
    if _too_deep(value):
        raise ModelFileError(f"{what} is nested more than {MAX_DEPTH} deep")
    return value


def _parsed(text: Any, what: str) -> dict[str, Any]:
    """The same, nested as deep as the interpreter's stack bears."""
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        if _values(text) > MAX_VALUES:
            raise ModelFileError(f"{what} has more than {MAX_VALUES:,} braces, brackets and commas")
        value = _loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise ModelFileError(f"{what} is nested more than {MAX_DEPTH} deep") from None
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(f"{what} is no JSON ({error}); {_COPY_AGAIN}") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{what} is no JSON object; {_COPY_AGAIN}")
    return value


def _values(text: str) -> int:
    """How many objects, lists and values in them JSON has, at most."""
    return text.count("{") + text.count("[") + text.count(",")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ModelFileError(f"a name stands twice in one JSON object; {_COPY_AGAIN}")
    return found


def _no_constant(name: str) -> Any:
    raise ModelFileError(f"{name} stands in its JSON; {_COPY_AGAIN}")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ModelFileError(f"the number {text[:40]} stands in its JSON; {_COPY_AGAIN}")
    return value


_NESTED = {dict, list}


def _too_deep(value: Any) -> bool:
    """Whether objects and lists of JSON are nested more than MAX_DEPTH deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inside
            for outer in level
            for inside in (outer.values() if isinstance(outer, dict) else outer)
            if type(inside) in _NESTED
        ]
        if not level:
            return False
    return True
