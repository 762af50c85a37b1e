"""Gathering: one forward pass over a data set, its activations and pixels as matrices of non-negative features in files.

    images -> [0, 1] -> clean and perturbed copies -> network -> pooled maps -> rows in files
                 \\-> resized -> red, green, blue

A row is an example: image after image in the data set's order, each one's perturbed copies right behind it.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastdissect.methods.factorization.gathering_files import check_room
from fastdissect.methods.factorization.gathering_kept import Gathered, keep_gathered, load_gathered
from fastdissect.methods.factorization.gathering_opening import open_gathering
from fastdissect.methods.factorization.gathering_pass import gather_into
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.perturbation import Perturbation
from fastdissect.models import Preprocessing, TokenGrid
from fastdissect.storage import layer_folder
from fastdissect.types import Concepts

__all__ = ["Gathered", "gather", "gather_matrices"]

log = logging.getLogger("fastdissect")


def gather_matrices(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    pool: str | Mapping[str, str] = "mean",
    pixels: int | None = 32,
    rectify: bool = False,
    perturb: str | Perturbation | Sequence[str | Perturbation] = (),
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    preprocessing: Preprocessing | None = None,
    images: int | None = None,
    concepts: Concepts | Sequence[str] | None = None,
    classes: Sequence[str | int] | Mapping[str, str | int] | None = None,
    masks: bool = True,
    layout: str = "auto",
    tokens: TokenGrid | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Gathered:
    """Gather the matrices of a coupled factorisation in one forward pass.

    Args:
        model, data, layers: as in `dissect`. A `folder:` needs neither masks nor labels.csv: images below it are enough,
            and the folders that they lie in are classes. A DataLoader without `concepts` gives images, or (images, class
            numbers).
        pool: of each map over its positions: "mean", "max", or "full": every position of every unit is a feature (the
            paper's). Or {layer or pattern: how}: later entries go before earlier ones, others are "mean".
        pixels: side of the square that images are resized to for the pixel matrices (red, green, blue in 0..1, no mean
            taken off), as the network's input shows them; None: no pixel matrices.
        rectify: take max(x, 0) of the layers; recorded. Without it a negative activation is an error.
        perturb: "noise", "blur=2", ... (`perturbation`): each image comes once clean and once for each of them.
        seed: of what perturbations draw.
        preprocessing: as in `dissect`; with a DataLoader: what its images went through, to know their pixels. Without it
            a loader's images must be in 0..1 where pixels or perturbations are asked for.
        classes: a class for each image, or {image name: class}; default: the data set's own.
        masks: read a mask data set's masks, for the share of each image that shows a concept.
        folder: where the files are kept, and found again by the same call; default: temporary.

    Returns:
        Gathered: float32 matrices [examples, features], and what the examples are.

    Raises:
        ActivationError: a negative activation without `rectify`, NaN or infinity; names layer and image.
        OutputError: the disk is too full (said before the pass), or the folder holds something else.
        FastdissectError: as `dissect`.

    Example:
        >>> g = gather_matrices("builtin:shapes", "shapes:images=4,size=32", "conv5", pixels=8, progress=False)
        >>> [(m.name, m.values.shape) for m in g.matrices]
        [('red', (4, 64)), ('green', (4, 64)), ('blue', (4, 64)), ('conv5', (4, 96))]

    Source: Saini and Papalexakis 2021 (METHODS 4.1): non-negative pixels and activations; pooling, rectifying and files are
    our formulation.
    """
    opened = open_gathering(
        model, data, layers, pool=pool, pixels=pixels, rectify=rectify, perturb=perturb, seed=seed, device=device,
        batch_size=batch_size, workers=workers, size=size, preprocessing=preprocessing, images=images,
        concepts=concepts, classes=classes, masks=masks, layout=layout, tokens=tokens,
    )  # fmt: skip
    return gather(opened, folder, progress)


def gather(opened: Gathering, folder: str | Path | None = None, progress: bool | None = None) -> Gathered:
    """Do the pass of `gather_matrices`, or find in `folder` what the same one kept."""
    if folder is None:
        place = Path(tempfile.mkdtemp(prefix="fastdissect-"))
        try:
            found = _gathered(opened, place, progress)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        found.rest_on(place)
        return found
    place = Path(folder)
    kept = load_gathered(place, opened.key)
    return _gathered(opened, place, progress) if kept is None else kept


def _gathered(opened: Gathering, folder: Path, progress: bool | None) -> Gathered:
    check_room(folder, opened.bytes)
    log.info("gathering %d examples, %s bytes in %s", opened.examples, f"{opened.bytes:,}", folder)
    paths = {shape.name: folder / _file(n, shape.name) for n, shape in enumerate(opened.shapes)}
    values, examples = gather_into(opened, paths, progress)
    matrices = tuple(
        FeatureMatrix(shape.name, shape.kind, shape.shape, values[shape.name]) for shape in opened.shapes
    )
    found = Gathered(matrices, examples, opened.record())
    keep_gathered(found, folder, opened.key, [path.name for path in paths.values()])
    return found


def _file(number: int, name: str) -> str:
    """Numbered: two names may differ in their case alone."""
    return f"{number:02d}-{layer_folder(name)}.npy"
