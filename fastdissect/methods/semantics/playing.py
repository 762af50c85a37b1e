"""The pointing game on a run: its masks at the layer's resolution, and every cell of the images that are played on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.chance.planes import planes_of
from fastdissect.methods.semantics.cell_areas import cell_areas
from fastdissect.methods.semantics.gathering import gather_features, layer_hooks
from fastdissect.methods.semantics.global_view import random_vectors
from fastdissect.methods.semantics.mixing import mixes_of
from fastdissect.methods.semantics.pointing import images_to_point_at, pointing_game
from fastdissect.methods.semantics.space import SemanticVectors
from fastdissect.reopening import reopen
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["play"]

_RANDOM = 20  # directions


def play(
    d: Dissection, study: SemanticVectors, images: NDArray[np.int64], options: Mapping[str, Any], seed: int
) -> pd.DataFrame | None:
    """Return `pointing_game`'s table; None where nothing can be missed: a map of one cell, labels of whole images alone.

    Args:
        images: numbers of the run's. options: model, data, device, directions, cache, folder, progress, as in
            `semantic_vectors`. seed: of the random directions.
    """
    own = d[study.vectors.layer]
    cells = own.shape[2] * own.shape[3]
    if cells == 1:
        return None
    mixes = mixes_of(d, own.name, options["directions"])
    opened = reopen(d, model=options["model"], data=options["data"], device=options["device"])
    areas = cell_areas(
        planes_of(d, options["data"], cache=options["cache"], progress=options["progress"]),
        (own.shape[2], own.shape[3]),
    )
    column = {int(number): c for c, number in enumerate(d.concepts.numbers)}
    columns = [column[int(number)] for number in study.vectors.numbers]
    played = np.zeros(len(d.image_names), bool)
    played[images] = True
    pairs = images_to_point_at(areas, columns, played)
    needed = np.unique(areas.image[np.concatenate(list(pairs.values()))])
    if not len(needed):
        return None
    hooks = layer_hooks(d, own.name, opened.loaded.module, mixes)
    positions = (needed[:, None] * cells + np.arange(cells)).ravel()
    features = gather_features(
        hooks,
        opened.source,
        own.name,
        own.shape,
        positions,
        opened.device,
        options["folder"],
        options["progress"],
    )
    random = random_vectors(study.space, _RANDOM, seed)
    return pointing_game(study.vectors, columns, areas, pairs, features, random)
