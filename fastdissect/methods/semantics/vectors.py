"""`semantic_vectors()`: a vector of a layer's feature space for every concept.

run -> masks at the layer's resolution -> positions -> features there (one more pass) -> all problems -> vectors, quality

Our formulation, after the abstract of Gu and Tresp 2019, "Semantics for Global and Local Interpretation of Deep Neural
Networks", which associates concepts with vectors in feature space; its objective was not to be had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.codes import Codes
from fastdissect.directions import Directions
from fastdissect.methods.chance.planes import planes_of, run_images
from fastdissect.methods.chance.splits import splits_of
from fastdissect.methods.extras import need
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics.cell_areas import cell_areas
from fastdissect.methods.semantics.choosing import TrainVal, choose_positions
from fastdissect.methods.semantics.gathering import Features, gather_features, layer_hooks
from fastdissect.methods.semantics.mixing import mixes_of
from fastdissect.methods.semantics.quality import Quality, table_of
from fastdissect.methods.semantics.settings import columns_asked, only_layer, settings_of
from fastdissect.methods.semantics.solving import Samples, Solution, solve
from fastdissect.methods.semantics.space import FeatureSpace, SemanticVectors, space_of
from fastdissect.reopening import reopen
from fastdissect.results import Dissection

__all__ = ["semantic_vectors"]


def semantic_vectors(
    d: Dissection,
    layer: str | None = None,
    *,
    concepts: Sequence[str | int] | None = None,
    model: Any = None,
    data: Any = None,
    directions: Mapping[str, Directions | Codes] | None = None,
    positions: int = 10_000,
    cover: float | None = None,
    ridge: float = 1e-2,
    nonnegative: bool = False,
    shifts: int = 200,
    seed: int = 0,
    device: str = "auto",
    cache: str | Path | None = "auto",
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> SemanticVectors:
    """Find every concept's vector in a layer's feature space, and how well it tells the concept.

    The network runs once more, over the images that hold a position that was drawn. Features are centred by their mean
    and divided by one scale, those of the training positions of all concepts asked for: a concept's vector depends, if
    slightly, on the concepts beside it.

    Args:
        d: a finished run.
        layer: of the run, directions too; default: its only one.
        concepts: names or numbers; default: all.
        model, data: instead of what the run recorded; they must be the same.
        directions: {name: Directions} as the run had them, for a layer of directions: run.json has their digest alone.
        positions: of a concept, at most so many that show it and as many that do not, in train and in val each.
        cover: share of a cell from which it shows the concept; default: half, and any pixel where the map is 1 x 1.
        ridge: weight of |s|^2 / 2, for features of mean norm 1.
        nonnegative: only vectors without negative entries, readable as mixes of units.
        shifts: label shifts of the control on val.
        seed: of what is drawn.
        cache: of packed masks, as in `dissect`.
        folder: for a file of features beyond 2 GiB; default: the system's for temporary files.

    Returns:
        SemanticVectors: `vectors.weights` are unit vectors u_c.

    Raises:
        SettingError: an unknown concept or setting; no concept with enough positions.
        LayerError, ModelError, DataError, ActivationError: as `dissect` and `reopen` raise them.

    Example:
        >>> found = semantic_vectors(fd.load("out"), "conv5")                        # doctest: +SKIP
        >>> found.vectors.table.sort_values("ap_val")                                # doctest: +SKIP
    """
    own = d[only_layer(d) if layer is None else layer]
    record = settings_of(
        d, own.name, concepts=concepts, positions=positions, cover=cover, ridge=ridge, nonnegative=nonnegative,
        shifts=shifts, seed=seed,
    )  # fmt: skip
    mixes = mixes_of(d, own.name, directions)
    columns = columns_asked(d.concepts, concepts)
    if nonnegative:
        need("scipy.optimize")  # said before the work
    opened = reopen(d, model=model, data=data, device=device)
    splits = splits_of(run_images(d, data), d.image_names)
    areas = cell_areas(planes_of(d, data, cache=cache, progress=progress), (own.shape[2], own.shape[3]))
    drawn, skipped = choose_positions(areas, d.concepts, columns, splits, positions, record["cover"], seed)
    hooks = layer_hooks(d, own.name, opened.loaded.module, mixes)
    needed = np.unique(
        np.concatenate([array for both in drawn.values() for one in both for array in one[:3]])
    )
    features = gather_features(
        hooks, opened.source, own.name, own.shape, needed, opened.device, folder, progress
    )
    space = space_of(
        features, np.flatnonzero(splits.train[features.positions // (own.shape[2] * own.shape[3])])
    )
    samples = [
        Samples(features.rows(train.positives), features.rows(train.negatives)) for train, _ in drawn.values()
    ]
    solution = solve(
        features.values, samples, space.mean, space.scale, ridge=ridge, nonnegative=nonnegative,
        device=opened.device if opened.device.type == "cuda" else "cpu",
    )  # fmt: skip
    record |= {
        "train": splits.source,
        "train images": int(splits.train.sum()),
        "features": len(needed),
        "scale": space.scale,
    }
    return _result(d, own.name, drawn, features, space, solution, skipped, record, shifts, seed)


def _result(
    d: Dissection,
    layer: str,
    drawn: Mapping[int, TrainVal],
    features: Features,
    space: FeatureSpace,
    solution: Solution,
    skipped: Sequence[tuple[str, str]],
    record: Mapping[str, Any],
    shifts: int,
    seed: int,
) -> SemanticVectors:
    """Vectors in the layer's own units: u.a + bias > 0 where the concept is likelier than not."""
    columns = np.array(list(drawn), np.int64)
    length = np.linalg.norm(solution.weights, axis=1)
    unit = np.divide(
        solution.weights, length[:, None], out=np.zeros(solution.weights.shape), where=length[:, None] > 0
    )
    safe = np.where(length > 0, length, 1)
    bias = solution.bias * space.scale / safe - unit @ space.mean
    quality = Quality(
        features, unit, bias, length / space.scale, shifts, seed, pooled=d[layer].shape[2:] == (1, 1)
    )
    vectors = ConceptVectors(
        kind="semantic",
        layer=layer,
        numbers=d.concepts.numbers[columns],
        names=tuple(d.concepts.names[c] for c in columns),
        category=d.concepts.category[columns],
        categories=d.concepts.categories,
        weights=unit.astype(np.float32),
        bias=bias.astype(np.float32),
        table=table_of(quality, d.concepts, columns, list(drawn.values())),
        skipped=tuple(skipped),
        record=record,
    )
    return SemanticVectors(vectors, space)
