"""Which concepts have enough positions, and these positions, for train and val."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.chance.splits import Splits
from fastdissect.methods.semantics.cell_areas import CellAreas
from fastdissect.methods.semantics.positions import Drawn, annotated_images, draw_positions
from fastdissect.methods.semantics.settings import LEAST
from fastdissect.types import Concepts

__all__ = ["TrainVal", "choose_positions"]

TrainVal = tuple[Drawn, Drawn]


def choose_positions(
    areas: CellAreas,
    concepts: Concepts,
    columns: NDArray[np.int64],
    splits: Splits,
    limit: int,
    cover: float,
    seed: int,
) -> tuple[dict[int, TrainVal], list[tuple[str, str]]]:
    """Return the positions by column, and (name, reason) of the concepts that have too few (METHODS 5.5).

    Args:
        columns: of the concepts that are asked for.
        limit, cover: as in `draw_positions`. seed: of all.

    Raises:
        SettingError: no concept has enough.
    """
    annotated = annotated_images(areas, concepts, len(splits.train))
    order = np.argsort(areas.concept, kind="stable")
    start = np.searchsorted(areas.concept[order], np.arange(len(concepts) + 1))
    found: dict[int, TrainVal] = {}
    skipped = []
    for column in columns.tolist():
        pairs = order[start[column] : start[column + 1]]
        category = int(concepts.category[column])
        both = [
            draw_positions(
                areas, pairs, annotated[category], images, limit,
                (seed, int(concepts.numbers[column]), split), cover,
            )
            for split, images in enumerate((splits.train, ~splits.train))
        ]  # fmt: skip
        reason = _too_few(both[0], concepts.categories[category])
        if reason:
            skipped.append((concepts.names[column], reason))
        else:
            found[column] = (both[0], both[1])
    if not found:
        raise SettingError(
            f"expected a concept with at least {LEAST} positions that show it and {LEAST} that do not, in train; got "
            f"none of {len(columns):,}: {skipped[0][0]!r} has {skipped[0][1]}; use more images, or a layer with a finer map"
        )
    return found, skipped


def _too_few(train: Drawn, category: str) -> str:
    if not train.images:
        return "no images in train"
    if len(train.positives) < LEAST:
        return f"{len(train.positives)} positions that show it in train, fewer than {LEAST}"
    if len(train.negatives) < LEAST:
        return f"{len(train.negatives)} positions without it on images labelled with a {category} in train, fewer than {LEAST}"
    return ""
