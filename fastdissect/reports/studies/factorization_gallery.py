"""The gallery: each factor with its latent image, its examples, what the image keeps of them, its classes, its neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.latent_images import latent_image, latent_pixels, masked_copy
from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.explanation_sections import jpeg
from fastdissect.reports.studies.factorization_bars import factor_colour
from fastdissect.reports.studies.factorization_profile_bar import profile_bar
from fastdissect.reports.studies.factorization_words import factor_title, factor_words, list_words
from fastdissect.reports.studies.page import Picture, Pictures, Section, Table

__all__ = ["Images", "dead_section", "factor_sections"]

Images = Callable[[int], NDArray[np.uint8]]

_SIDE = 216  # CSS pixels of a picture
_DENSE = 2  # pixels of a file for each of these
_ACROSS = 3  # top images in a row and in a column
_NEURONS = 6


def factor_sections(reading: Reading, images: Images | None, shown: int) -> Iterator[Section]:
    """The live factors, those of most weight first."""
    order = np.argsort(-reading.weight, kind="stable").tolist()
    for factor in [r for r in order if r not in reading.dead][:shown]:
        items: list[Table | Pictures] = []
        pictures = tuple(_pictures(reading, factor, images))
        if pictures:
            items.append(Pictures(pictures, _SIDE))
        neurons = _neurons(reading, factor)
        if neurons.rows:
            items.append(neurons)
        words = factor_words(reading, factor)
        if images is None:
            words += f" Its strongest examples: {list_words(_names(reading, factor))}."
        yield Section(factor_title(reading, factor), words, items)


def dead_section(reading: Reading) -> Section | None:
    """The factors that no example has; None where all live."""
    if not reading.dead:
        return None
    pictures = []
    for factor in reading.dead:
        latent = latent_image(reading.factorization, factor)
        if latent is not None:
            pictures.append(
                Picture(f"factor-{factor}.jpg", f"Factor {factor}", jpeg(_square(latent, 80 * _DENSE)))
            )
    numbers = ", ".join(map(str, reading.dead))
    return Section(
        "Dead factors",
        f"No example has a weight on factor {numbers}, or nothing is loaded on it. It has no profile and stands in no mean: a "
        "smaller rank, a weaker penalty or another seed may do.",
        [Pictures(tuple(pictures), 80)] if pictures else [],
    )


def _pictures(reading: Reading, factor: int, images: Images | None) -> Iterator[Picture]:
    name, f = f"factor-{factor}", reading.factorization
    latent = latent_image(f, factor)
    if latent is not None:
        yield Picture(
            f"{name}.jpg",
            "Latent image",
            jpeg(_square(latent, _SIDE * _DENSE)),
            f"latent image of factor {factor}",
        )
    if images is not None:
        table = reading.examples[reading.examples["factor"] == factor]
        top = [_checked(images(int(i)), int(i)) for i in table["example"].head(_ACROSS**2)]
        listed = list_words(_names(reading, factor), 9)
        if top:
            words = "Strongest example" if len(top) == 1 else f"The {len(top)} strongest examples"
            yield Picture(
                f"{name}-top.jpg",
                words,
                jpeg(_sheet(top)),
                f"strongest examples of factor {factor}: {listed}",
            )
        pixels = latent_pixels(f, factor)
        if top and pixels is not None and pixels.any():
            masked = jpeg(_sheet([masked_copy(one, pixels) for one in top]))
            yield Picture(
                f"{name}-masked.jpg",
                "What the latent image keeps of them",
                masked,
                f"masked copies of the strongest examples of factor {factor}",
            )
    drawn = {*list(reading.profiles)[:1], "concept"}  # the others are words
    for what, profile in reading.profiles.items():
        if what in drawn and profile.present > 1 and profile.weights[factor].any():
            alt = factor_words(reading, factor)
            words = f"Its weight by {what}"
            yield Picture(
                f"{name}-{what}.svg", words, profile_bar(profile, factor, factor_colour(factor)), alt
            )


def _names(reading: Reading, factor: int) -> list[str]:
    table = reading.examples[reading.examples["factor"] == factor]
    return [str(name) for name in table["name"]]


def _neurons(reading: Reading, factor: int) -> Table:
    table = reading.neurons[(reading.neurons["factor"] == factor) & (reading.neurons["place"] <= _NEURONS)]
    rows = []
    for one in reading.factorization.loadings:
        own = table[table["matrix"] == one.name]
        if len(own):
            flat = one.shape[1:] == (1, 1)
            rows.append((
                one.name,
                ", ".join(
                    f"{n.unit}{'' if flat else f' at ({n.row}, {n.column})'} ({n.share:.2f})" for n in own.itertuples()
                ),
            ))  # fmt: skip
    layers = [one for one in reading.factorization.loadings if one.kind != "pixels"]
    place = " at (row, column)" if any(one.shape[1:] != (1, 1) for one in layers) else ""
    return Table(
        ("matrix", f"units of largest loading{place} (share of the unit's own loadings)"), tuple(rows)
    )


def _checked(pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    found = np.asarray(pixels)
    if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
        raise SettingError(
            f"images({index}): expected uint8 [height, width, 3]; got shape {list(found.shape)} of {found.dtype}"
        )
    return found


def _sheet(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures as a square, of at most three by three; what is missing is paper."""
    gap = 2 * _DENSE
    across = 2 if len(pictures) == 4 else min(_ACROSS, len(pictures))
    tile = (_SIDE * _DENSE - gap * (across - 1)) // across
    own = max(max(one.shape[:2]) for one in pictures)
    if own * across >= _SIDE:  # as large as it is shown: the file has its pixels, the browser may enlarge it
        tile = min(tile, own)
    side = across * tile + gap * (across - 1)
    rows = -(-len(pictures) // across)
    sheet = np.full((rows * tile + gap * (rows - 1), side, 3), 236, np.uint8)
    for place, pixels in enumerate(pictures):
        y, x = (place // across) * (tile + gap), (place % across) * (tile + gap)
        sheet[y : y + tile, x : x + tile] = _square(pixels, tile)
    return sheet


def _square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Fit a picture into a square; one that is smaller is enlarged by its pixels as they are."""
    small = max(pixels.shape[:2]) < side
    method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.pad(Image.fromarray(pixels), (side, side), method, color=(236, 236, 236)))
