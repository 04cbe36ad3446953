"""Charts with a text alternative, in one style. Draws with matplotlib; shows nothing by itself. No I/O."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from lablib.plots.svg import COLOURS

DASHES = ("-", "--", ":", "-.")
"""Lines differ by dash as well as by colour."""


@dataclass(frozen=True)
class Chart:
    """A picture that a notebook shows, with what it says in words."""

    png: bytes
    alt: str

    def _repr_html_(self) -> str:
        # An IPython Image loses its text alternative in JupyterLab.
        data = base64.b64encode(self.png).decode()
        return f'<img alt="{escape(self.alt)}" style="max-width: 100%" src="data:image/png;base64,{data}">'

    def __repr__(self) -> str:
        return self.alt


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, labels: tuple[str, str], alt: str
) -> Chart:
    """One line for each series.

    Args:
        x: common to all.
        series: values by name; as many as x.
        labels: of the x axis and of the y axis, with units.
        alt: what the chart shows, in a sentence.
    """
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(series.items()):
        (line,) = axes.plot(x, values, DASHES[number % len(DASHES)], label=name, linewidth=2)
        line.set_color(COLOURS[number % len(COLOURS)])
    return _finish(figure, labels, alt)


def bars(values: Mapping[str, float], *, labels: tuple[str, str], alt: str) -> Chart:
    """One horizontal bar for each name, the first on top.

    Args:
        values: by name.
        labels: of the value axis and of the other (may be empty).
        alt: what the chart shows, in a sentence.
    """
    figure = Figure(figsize=(7, 0.6 + 0.45 * len(values)), layout="constrained")
    axes = figure.subplots()
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(values))]
    drawn = axes.barh(list(values), list(values.values()), color=colours)
    axes.bar_label(drawn, fmt=lambda value: f" {value:.3g}")
    axes.invert_yaxis()
    return _finish(figure, labels, alt)


def _finish(figure: Figure, labels: tuple[str, str], alt: str) -> Chart:
    axes = figure.axes[0]
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=120, facecolor="white")
    return Chart(page.getvalue(), alt)
