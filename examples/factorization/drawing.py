"""The tutorial's figures. They compute nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from comparing import METHODS
from numpy.typing import NDArray
from PIL import Image

from fastdissect.methods.factorization.latent_images import latent_image
from fastdissect.methods.factorization.result import Factorization
from fastdissect.reports.studies.figures import QUIET, figure_files, study_figure

__all__ = ["gallery", "measures"]

PIXELS = 1000  # width of a gallery
STYLES = (("coupled", "o", "#3f74b8"), ("NMF", "s", "#c07f22"), ("K-means", "D", QUIET))


def gallery(
    f: Factorization,
    titles: Mapping[int, str],
    images: Callable[[int], NDArray[np.uint8]],
    path: Path,
    *,
    shown: int,
) -> None:
    """Each factor of `titles`, in their order: its latent image if it has one, and the examples with most of it."""
    rows = -(-len(titles) // 2)
    latent = latent_image(f, 0) is not None
    wide = shown + latent
    with study_figure(9.2, 9.2 / (2 * wide + 1) * rows * 1.32, rows, 2 * wide + 1, squeeze=False) as (
        figure,
        axes,
    ):
        for axis in axes.ravel():
            axis.set_axis_off()
        for place, (factor, title) in enumerate(titles.items()):
            row, column = place % rows, place // rows * (wide + 1)
            top = np.argsort(-f.mixtures[:, factor], kind="stable")[:shown]
            own = [latent_image(f, factor)] if latent else []
            own += [images(int(example)) for example in top]
            for offset, pixels in enumerate(own):
                axes[row, column + offset].imshow(pixels, interpolation="nearest")
            axes[row, column].set_title(" ", fontsize=8)  # room for it; long words must not widen a column
            words = axes[row, column].text(0, 1.08, title, fontsize=8, transform=axes[row, column].transAxes)
            words.set_in_layout(False)
        drawn = figure_files(figure, path.stem, "").png
    with Image.open(io.BytesIO(drawn)) as picture:
        height = round(picture.height * PIXELS / picture.width)
        small = picture.convert("RGB").resize((PIXELS, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    path.write_bytes(file.getvalue())


def measures(table: pd.DataFrame, path: Path) -> None:
    """Purity of the profiles, and of the clusters, of each setting by the three methods."""
    cases = list(table["case"].unique())
    rows = np.arange(len(cases))
    with study_figure(7.6, 0.26 * len(cases) + 1.0, columns=2, sharey=True) as (figure, axes):
        for axis, name, words in zip(
            axes,
            ("purity", "cluster_purity"),
            ("purity", "cluster purity"),
            strict=True,
        ):
            for method, (label, marker, colour) in zip(METHODS, STYLES, strict=True):
                own = table[table["method"] == method].set_index("case").loc[cases, name]
                fill = {"mfc": "white"} if label != "coupled" else {}
                axis.plot(own, rows, marker, color=colour, label=label, ms=5, zorder=3 - len(fill), **fill)
            axis.set(xlim=(0, 1.03), xlabel=words)
        axes[0].set_yticks(rows, cases, fontsize=7.5)
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
        path.write_bytes(figure_files(figure, path.stem, "").svg)
