"""The summary of a model, as text and as HTML: its layers, their output shapes, numbers of weights.

`Model.summary` prints the text; a notebook shows the HTML of a model that ends a cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

HEAD = ("Layer (type)", "Output shape", "Params", "Trainable")


def rows(
    model: Any, expand_nested: bool = False, layer_range: Any = None, indent: str = ""
) -> list[tuple[str, str, str, str]]:
    """A row per layer, in the columns of `HEAD`; with `expand_nested` also of layers inside."""
    outputs = {id(c.layer): c.outputs[0].shape for c in reversed(getattr(model, "calls", []))}
    found = []
    for layer in _chosen(model.sublayers(), layer_range):
        shape = outputs.get(id(layer), layer.batch_shape or layer.traced_shape)
        trained = sum(v.value.size for v in layer.trainable_variables)
        found.append(
            (
                f"{indent}{layer.name} ({type(layer).__name__})",
                "?" if shape is None else _shape_text(shape),
                f"{layer.count_params():,}",
                f"{trained:,}",
            )
        )
        if expand_nested:
            found += rows(layer, True, None, f"{indent}    ")
    return found


def _chosen(layers: list[Any], layer_range: Any) -> list[Any]:
    """The layers from the first to the last that one of two patterns fits."""
    if layer_range is None:
        return layers
    if not isinstance(layer_range, (list, tuple)) or len(layer_range) != 2:
        raise ValueError(f"layer_range must be two names of layers, got {layer_range!r}")
    places = []
    for pattern in layer_range:
        fitting = [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
        if not fitting:
            names = ", ".join(layer.name for layer in layers)
            raise ValueError(f"layer_range: no layer fits {pattern!r}; this model has: {names}")
        places += fitting
    return layers[min(places) : max(places) + 1]


def total(model: Any) -> str:
    """The line below the table."""
    trained = sum(v.value.size for v in model.trainable_variables)
    size = sum(v.value.nbytes for v in model.variables)
    return f"Total params: {model.count_params():,} ({size:,} bytes), trainable {trained:,}"


def text(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    expand_nested: bool = False,
    layer_range: Any = None,
) -> Iterator[str]:
    """The lines of the table, as wide as needed or as told."""
    table = [HEAD, *rows(model, expand_nested, layer_range)]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    if positions is not None:
        widths = _widths(positions, line_length or sum(widths) + 6, widths)
    elif line_length is not None:
        widths[0] = max(widths[0], line_length - sum(widths[1:]) - 6)
    yield f'Model: "{model.name}"'
    for i, row in enumerate(table):
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [row[2].rjust(widths[2]), row[3].rjust(widths[3])]
        yield "  ".join(cells).rstrip()
        if i == 0:
            yield "-" * (sum(widths) + 6)
    yield total(model)


def _widths(positions: Any, line_length: int, least: list[int]) -> list[int]:
    """Columns that end at these fractions of the line, or places in it; none cuts its text."""
    ends = [round(p * line_length) if p <= 1 else int(p) for p in positions]
    if len(ends) < 3 or sorted(ends) != ends:
        raise ValueError(
            f"positions must be three or four growing fractions of the line, got {positions!r}"
        )
    ends = [*ends, line_length][:4]
    given = [ends[0], *(ends[i] - ends[i - 1] - 2 for i in range(1, 4))]
    return [max(width, most) for width, most in zip(given, least, strict=True)]


def html(model: Any) -> str:
    """The same as an HTML table."""
    from html import escape  # brings a table of 2,000 names, for notebooks alone

    def line(tag: str, cells: tuple[str, ...]) -> str:
        sides = ("left", "left", "right", "right")
        made = (
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "\n".join(line("td", row) for row in rows(model))
    return (
        f"<p>Model: <b>{escape(model.name)}</b></p>\n"
        f"<table>\n<thead>{line('th', HEAD)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
        f"<p>{escape(total(model))}</p>"
    )


def _shape_text(shape: Any) -> str:
    if isinstance(shape, list):
        return ", ".join(_shape_text(one) for one in shape)
    return "(" + ", ".join("None" if n is None else str(n) for n in shape) + ")"
