"""`global_view()`: what the vectors say of the whole network (our formulation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastdissect.errors import LayerError
from fastdissect.methods.explanation.reading import Reading, open_network, read_layer, seen_images
from fastdissect.methods.semantics.class_weights import ClassWeights, class_weights
from fastdissect.methods.semantics.global_view import (
    ConceptOrder,
    concept_classes,
    concept_filters,
    concept_order,
)
from fastdissect.methods.semantics.settings import check_run, check_whole
from fastdissect.methods.semantics.space import SemanticVectors
from fastdissect.results import Dissection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GlobalView", "global_view"]


@dataclass(frozen=True, eq=False)
class GlobalView:
    """The tables of the global view.

    Attributes:
        filters: from `concept_filters`. order: the concepts' cosines and dendrogram. nearest: of each concept.
        classes: from `concept_classes`; None where no head was found, and `reason` says why.
    """

    study: SemanticVectors
    filters: pd.DataFrame
    order: ConceptOrder
    nearest: pd.DataFrame
    classes: pd.DataFrame | None
    weights: ClassWeights | None
    reading: Reading | None
    reason: str
    draws: int


def global_view(
    d: Dissection,
    study: SemanticVectors,
    *,
    model: Any = None,
    data: Any = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    device: str = "auto",
    top: int = 8,
    draws: int = 10_000,
    seed: int = 0,
    progress: bool | None = None,
) -> GlobalView:
    """Compare all concepts with the units, with the classes and with each other.

    Args:
        d: the run that the vectors came from; its network runs over a few images, or, where its head is not linear, over
            all of them, with gradients.
        head: the module whose output are the logits. Without one that can be found, the classes are left out and
            `reason` lists what could be meant; a head that was asked for must be there.
        top: units and nearest concepts of each concept.
        draws: random vectors behind p.

    Raises:
        LayerError: the head that was asked for is not there. SettingError, ModelError, DataError: as `explain`.

    Example:
        >>> view = global_view(d, study)                                             # doctest: +SKIP
        >>> strongest(view.classes, "class")                                         # doctest: +SKIP
    """
    vectors = study.vectors
    for name, value, least in (("top", top, 1), ("draws", draws, 1), ("seed", seed, 0)):
        check_whole(name, value, least)
    check_run(d, vectors)
    order = concept_order(vectors)
    reading: Reading | None = None
    weights: ClassWeights | None = None
    table: pd.DataFrame | None = None
    reason = ""
    network = open_network(d, model, device)
    dataset = seen_images(d, data)()
    try:
        images = network.batch(dataset.read_image(i)[0] for i in range(min(4, len(d.image_names))))
        reading = read_layer(d, network, images, vectors.layer, head, class_names, among)
    except LayerError as error:
        if head is not None:
            raise
        reason = str(error)
    if reading is not None:
        weights = class_weights(reading, dataset, len(d.image_names), progress)
        if len(weights.classes):
            table = concept_classes(vectors, study.space, weights, draws, seed)
    return GlobalView(
        study,
        concept_filters(vectors, top),
        order,
        order.nearest(vectors, top),
        table,
        weights,
        reading,
        reason,
        draws,
    )
