"""CSVLogger: a line per epoch in a file that spreadsheets and pandas read."""

from __future__ import annotations

import csv
import numbers
import os
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, writing


class CSVLogger(Callback):
    """Write the logs of each epoch to a CSV file.

    The columns are "epoch" and the sorted keys of the first epoch's logs, and their "val_" forms,
    with NA where there is no value. Floats are written so that reading them gives the same bits,
    arrays as lists in JSON. The file is closed between two epochs, so a crash loses none.

    Parameters
    ----------
    filename : path
    separator : str, default ","
    append : bool, default False
        Add to a file that is there already, in its columns.

    Raises
    ------
    OSError
        When training begins: the file cannot be written.
    ValueError
        When training begins: the file to append to has another form.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(
                f"CSVLogger: separator must be a string of one character, got {separator!r}"
            )
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.keys = None
        with writing("CSVLogger: filename", self.filename):
            if not self.append:
                open(self.filename, "w").close()
                return
            with open(self.filename, "a+", newline="") as file:
                file.seek(0)
                header = next(csv.reader(file, delimiter=self.separator), None)
                file.seek(0)
                if not file.read().endswith(("\n", "\r")) and header is not None:
                    file.write("\r\n")  # a crash left half a line
        if header is not None:
            if header[0] != "epoch":
                raise ValueError(
                    f"CSVLogger: append=True, but the first line of {self.filename!r} does not "
                    f"begin with 'epoch': {self.separator.join(header)[:60]!r}"
                )
            self.keys = header[1:]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        with (
            writing("CSVLogger: filename", self.filename),
            open(self.filename, "a", newline="") as file,
        ):
            writer = csv.writer(file, delimiter=self.separator)
            if self.keys is None:
                self.keys = sorted(logs)
                if not any(key.startswith("val_") for key in self.keys):
                    self.keys += [f"val_{key}" for key in self.keys]
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])


def _cell(value: Any) -> Any:
    """A value as it is written."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (np.ndarray, list, tuple)):
        return str(np.asarray(value).tolist())
    return str(value)
