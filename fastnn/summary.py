"""The summary of a model, as text and as HTML: its layers, their output shapes, numbers of weights.

`Model.summary` prints the text; a notebook shows the HTML of a model that ends a cell.
"""

from __future__ import annotations

import html as escape
from collections.abc import Iterator
from typing import Any

HEAD = ("Layer (type)", "Output shape", "Params", "Trainable")


def rows(model: Any) -> list[tuple[str, str, str, str]]:
    """A row per layer, in the columns of `HEAD`."""
    outputs = {id(c.layer): c.outputs[0].shape for c in reversed(model.calls)}
    found = []
    for layer in model.sublayers():
        shape = outputs.get(id(layer), layer.batch_shape)
        trained = sum(v.value.size for v in layer.trainable_variables)
        found.append(
            (
                f"{layer.name} ({type(layer).__name__})",
                "?" if shape is None else _shape_text(shape),
                f"{layer.count_params():,}",
                f"{trained:,}",
            )
        )
    return found


def total(model: Any) -> str:
    """The line below the table."""
    trained = sum(v.value.size for v in model.trainable_variables)
    size = sum(v.value.nbytes for v in model.variables)
    return f"Total params: {model.count_params():,} ({size:,} bytes), trainable {trained:,}"


def text(model: Any, line_length: int | None = None) -> Iterator[str]:
    """The lines of the table, as wide as needed or as told."""
    table = [HEAD, *rows(model)]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    if line_length is not None:
        widths[0] = max(widths[0], line_length - sum(widths[1:]) - 6)
    yield f'Model: "{model.name}"'
    for i, row in enumerate(table):
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [row[2].rjust(widths[2]), row[3].rjust(widths[3])]
        yield "  ".join(cells).rstrip()
        if i == 0:
            yield "-" * (sum(widths) + 6)
    yield total(model)


def html(model: Any) -> str:
    """The same as an HTML table."""

    def line(tag: str, cells: tuple[str, ...]) -> str:
        sides = ("left", "left", "right", "right")
        made = (
            f'<{tag} style="text-align: {side}">{escape.escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(line("td", row) for row in rows(model))
    return (
        f"<p>Model: <b>{escape.escape(model.name)}</b></p>\n"
        f"<table>\n<thead>{line('th', HEAD)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"<p>{escape.escape(total(model))}</p>"
    )


def _shape_text(shape: Any) -> str:
    return "(" + ", ".join("None" if n is None else str(n) for n in shape) + ")"
