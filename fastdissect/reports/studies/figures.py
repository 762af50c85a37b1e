"""Figures of the studies, by matplotlib: SVG and PNG, fit for a paper, the same bytes for the same results.

Text stays text in the SVG. "$" is a dollar in a label: nothing is read as mathematics.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastdissect.methods.extras import need
from fastdissect.reports.palette import hues

__all__ = ["INK", "QUIET", "Figure", "category_colours", "figure_files", "printable", "stamp", "study_figure"]

INK, QUIET = "#1d1f24", "#5d626c"
_SERIES = ("#3f74b8", "#c07f22", "#2b8a76", "#bd5275", "#7d62b3", "#71862c", "#4f7f92", "#a3633f", "#75716a")
_STYLE = {
    "svg.hashsalt": "fastdissect",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e2dfd8",
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Figure:
    """A drawn figure and its words."""

    name: str  # of its files, without their endings
    caption: str
    svg: bytes
    png: bytes


def category_colours(categories: Iterable[str]) -> dict[str, str]:
    """Return {category: "#rrggbb"}, in display order; the report's own colours."""
    return {name: hue.light for name, hue in hues(categories).items()}


def printable(text: object) -> str:
    r"""Return text whose control characters and half characters are written out: a figure can hold it.

    >>> printable("sky\x1b[31m"), printable("a\nb")
    ('sky\\x1b[31m', 'a\\nb')
    """
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c
        for c in str(text)
    )


@contextlib.contextmanager
def study_figure(
    width: float = 6.5, height: float = 3.6, rows: int = 1, columns: int = 1, **more: Any
) -> Iterator[tuple[Any, Any]]:
    """Give an empty figure in the package's style, (figure, axes); close it at the block's end.

    Args:
        width, height: inches. rows, columns: of panels; axes is an array of them where there are several.
        more: for `matplotlib.pyplot.subplots`.

    Raises:
        BackendError: matplotlib is not installed.

    Example:
        >>> with study_figure(4, 3) as (figure, axes):            # doctest: +SKIP
        ...     _ = axes.plot([0, 1], [2, 3])
        ...     drawn = figure_files(figure, "line", "Two points.")
    """
    matplotlib = need("matplotlib")
    plots = need("matplotlib.pyplot")
    backend = matplotlib.get_backend()
    plots.switch_backend("agg")
    try:
        cycle = need("cycler").cycler(color=_SERIES)
        with plots.rc_context({**_STYLE, "axes.prop_cycle": cycle}):
            figure, axes = plots.subplots(
                rows, columns, figsize=(width, height), layout="constrained", **more
            )
            try:
                yield figure, axes
            finally:
                plots.close(figure)
    finally:
        if backend.lower() != "agg":
            plots.switch_backend(backend)  # a notebook keeps its own


def stamp(figure: Any, text: str) -> None:
    """Write a warning onto a figure, at its foot, so that it cannot be passed on without it."""
    # not matplotlib's own wrapping: that reads "$" as mathematics, whatever text.parse_math says
    lines = textwrap.wrap(printable(text), int(14 * figure.get_figwidth()))
    figure.supxlabel("\n".join(lines), fontsize=8, color="#a02020", x=0.01, ha="left")


def figure_files(figure: Any, name: str, caption: str) -> Figure:
    """Draw a figure as SVG and PNG (200 dots an inch)."""
    with warnings.catch_warnings():
        # a script that the font lacks: the PNG shows boxes, the SVG the reader's own font
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        vector, raster = io.BytesIO(), io.BytesIO()
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": "fastdissect"})
        figure.set_layout_engine("none")  # it stands: laid out once for both
        figure.savefig(raster, format="png", dpi=200, metadata={"Software": "fastdissect"})
    text = _NOT_XML.sub("\ufffd", vector.getvalue().decode())
    return Figure(name, caption, text.encode(), raster.getvalue())
