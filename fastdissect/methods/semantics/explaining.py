"""`explain_by_concepts()`: single decisions as sums over concepts (our formulation)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastdissect.errors import SettingError
from fastdissect.methods.classes import find_class
from fastdissect.methods.explanation.images import open_pictures
from fastdissect.methods.explanation.reading import open_network, read_layer, seen_images
from fastdissect.methods.explanation.truth import Targets, Truth
from fastdissect.methods.semantics.decisions import Asked, ConceptExplanation, explain_picture
from fastdissect.methods.semantics.global_view import random_vectors
from fastdissect.methods.semantics.groups import Group, groups_of
from fastdissect.methods.semantics.settings import check_run, check_whole
from fastdissect.methods.semantics.space import SemanticVectors
from fastdissect.results import Dissection

__all__ = ["explain_by_concepts", "vocabulary_of"]


def vocabulary_of(study: SemanticVectors, *, all_concepts: bool = False) -> tuple[Group, ...]:
    """The concepts that the layer represents (above their control on val), or all; collinear ones in one group."""
    table = study.vectors.table
    rows = range(len(table)) if all_concepts else np.flatnonzero(table["represented"].to_numpy(bool)).tolist()
    unit = study.vectors.weights.astype(np.float64)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, length, out=np.zeros(unit.shape), where=length > 0)
    return groups_of(unit, study.vectors.names, list(rows))


def explain_by_concepts(
    d: Dissection,
    study: SemanticVectors,
    images: Any,
    *,
    classes: str | int | Sequence[str | int] = (),
    versus: str | int | None = None,
    model: Any = None,
    data: Any = None,
    head: str | None = None,
    class_names: Sequence[str] | None = None,
    among: Sequence[str | int] | None = None,
    targets: Targets | None = None,
    device: str = "auto",
    most: int = 10,
    removals: int = 20,
    all_concepts: bool = False,
    seed: int = 0,
) -> Iterator[ConceptExplanation]:
    """Explain decisions one after the other.

    Args:
        d: the run that the vectors came from; its network runs again.
        images: one or several of: an image file, a folder of them, pixels uint8 [height, width, 3], a number of an
            image of the run.
        classes: explain these too. versus: explain the difference to this class.
        most: concepts that may take part in a score.
        removals: random directions to hold the removal of each concept against; 0: no removals.
        all_concepts: concepts that the layer does not represent too.
        others: as in `explain`.

    Raises:
        SettingError: an unknown class (with the nearest), an option that there is not.
        DataError: a file that is missing, damaged or no image.
        LayerError: the head cannot be found; the message lists what could be meant.
        ActivationError: logits that are not finite, or that the parts do not add up to.

    Example:
        >>> found = next(explain_by_concepts(d, study, "kitchen.jpg"))               # doctest: +SKIP
        >>> found.views[0].table()                                                   # doctest: +SKIP
    """
    check_whole("most", most, 1)
    check_whole("removals", removals, 0)
    check_whole("seed", seed, 0)
    several = [classes] if isinstance(classes, str | int | np.integer) else classes
    if not isinstance(several, Iterable):
        raise SettingError(f"expected classes, by name or number; got {classes!r}")
    check_run(d, study.vectors)
    groups = vocabulary_of(study, all_concepts=all_concepts)
    if not groups:
        raise SettingError(
            "expected concepts that the layer represents; none is above its control; explain by all (all_concepts=True, "
            "--all-concepts), knowing that, or by another layer"
        )
    dataset = seen_images(d, data)
    image_names, pictures = open_pictures(images, dataset)
    network = open_network(d, model, device)
    first = next(pictures)
    batch = network.batch([first.pixels])
    reading = read_layer(d, network, batch, study.vectors.layer, head, class_names, among)
    truth = Truth(reading.names, targets, image_names, dataset)
    random = random_vectors(study.space, removals, seed)
    random /= np.maximum(np.linalg.norm(random, axis=1, keepdims=True), 1e-300)
    asked = Asked(
        tuple(dict.fromkeys(find_class(name, reading.names) for name in several)),
        None if versus is None else find_class(versus, reading.names),
        int(most),
        random,
    )

    def explained() -> Iterator[ConceptExplanation]:
        yield explain_picture(reading, first, batch, groups, truth.of(first), asked)
        for picture in pictures:
            own = network.batch([picture.pixels])
            yield explain_picture(reading, picture, own, groups, truth.of(picture), asked)

    return explained()
