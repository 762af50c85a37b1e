"""What examples are made of: a bar each, divided among the factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.extras import need
from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.factorization_words import example_name, short
from fastdissect.reports.studies.figures import INK, QUIET, Figure, figure_files, study_figure

__all__ = ["factor_colour", "mixture_figure", "sample"]

_EXAMPLES = 36  # mixtures drawn
_NUMBERED = 0.06  # a segment of so large a share has its factor's number written in it
_COLOURS = (
    "#3f74b8", "#c07f22", "#2b8a76", "#bd5275", "#7d62b3", "#71862c", "#4f7f92", "#a3633f", "#5a6f9e", "#88608a",
    "#8fb2dd", "#e2b878", "#84c4b6", "#e3a0b5", "#b9a8da", "#b2c07c", "#a2c0cc", "#d3a98f", "#a8b6d4", "#c3a6c4",
)  # fmt: skip


def factor_colour(factor: int) -> str:
    """The factor's colour; the twenty-first begins again."""
    return _COLOURS[factor % len(_COLOURS)]


def sample(reading: Reading) -> tuple[NDArray[np.int64], str]:
    """Choose the examples whose mixtures are drawn, and say how: the first of each class, in turn, or evenly."""
    count = len(reading.mixtures)
    if reading.classes is None:
        step = -(-count // _EXAMPLES)
        chosen = np.arange(0, count, step)
        return chosen, "All examples." if step == 1 else f"One example in {step}, from the first on."
    numbers, names = reading.classes
    present = [c for c in range(len(names)) if (numbers == c).any()]
    if not present:
        return np.arange(min(count, _EXAMPLES)), "The first examples; none has a class."
    each = max(1, _EXAMPLES // len(present))
    chosen = np.concatenate([np.flatnonzero(numbers == c)[:each] for c in present[:_EXAMPLES]])
    some = f" of the first {_EXAMPLES} of {len(present):,} classes" if len(present) > _EXAMPLES else ""
    which = "The first example" if each == 1 else f"The first {each} examples"
    return chosen, f"{which} of each class{some}, in the data set's order: not chosen for how they look."


def mixture_figure(
    reading: Reading,
    chosen: NDArray[np.int64],
    how: str,
    images: Callable[[int], NDArray[np.uint8]] | None,
) -> Figure:
    """Draw each example's mixture as a bar: the factors' shares, largest first; behind it its impurity."""
    with study_figure(7.4, 0.7 + 0.27 * len(chosen)) as (figure, axes):
        axes.set_ylim(len(chosen) - 0.5, -0.5)
        axes.set_xlim(-0.055 if images is not None else 0, 1.1 if reading.impurity is not None else 1)
        for place, example in enumerate(chosen.tolist()):
            _bar(axes, place, reading.mixtures[example])
            if images is not None:
                _thumbnail(axes, place, images(example))
            if reading.impurity is not None:
                words = f"{reading.impurity.entropy[example]:.2f} bits"
                axes.text(1.015, place, words, va="center", fontsize=7.5, color=QUIET)
        axes.set_yticks(range(len(chosen)), _labels(reading, chosen.tolist()), color=INK, fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the example's mixture; the numbers are the factors'")
        blank = " An empty bar: no factor has a weight on the example."
        caption = (
            f"{how} The largest factor first.{blank if not reading.mixtures[chosen].any(1).all() else ''}"
            + (
                f" Behind the bar: how mixed its {reading.impurity.neighbours:,} nearest examples are (impurity)."
                if reading.impurity is not None
                else ""
            )
        )
        return figure_files(figure, "mixtures", caption)


def _bar(axes: Any, place: int, mixture: NDArray[np.float64]) -> None:
    left = 0.0
    for factor in np.argsort(-mixture, kind="stable").tolist():
        share = float(mixture[factor])
        if share <= 0:
            break
        axes.barh(place, share, 0.74, left, color=factor_colour(factor), edgecolor="white", linewidth=0.4)
        if share >= _NUMBERED:
            dark = factor % len(_COLOURS) < len(_COLOURS) // 2
            ink = "white" if dark else INK
            axes.text(left + share / 2, place, str(factor), ha="center", va="center", fontsize=7, color=ink)
        left += share


def _thumbnail(axes: Any, place: int, pixels: NDArray[np.uint8]) -> None:
    boxes = need("matplotlib.offsetbox")
    step = max(1, max(pixels.shape[:2]) // 48)
    small = pixels[::step, ::step]
    image = boxes.OffsetImage(small, zoom=16.5 / max(small.shape[:2]), interpolation="nearest")
    axes.add_artist(boxes.AnnotationBbox(image, (-0.03, place), frameon=False, pad=0))


def _labels(reading: Reading, chosen: Sequence[int]) -> list[str]:
    found = []
    for example in chosen:
        name = example_name(reading, example)
        if reading.classes is not None:
            number = int(reading.classes[0][example])
            name = f"{short(reading.classes[1][number], 20) if number >= 0 else 'unknown'} · {name}"
        found.append(name)
    return found
