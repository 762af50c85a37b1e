"""One image's decision: which scores are split, the forward pass, the parts, the check that they add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import ActivationError
from fastdissect.methods.classes import predictions
from fastdissect.methods.explanation.images import Picture
from fastdissect.methods.explanation.reading import Reading
from fastdissect.methods.heads import Head
from fastdissect.methods.semantics.class_weights import slopes
from fastdissect.methods.semantics.groups import Group
from fastdissect.methods.semantics.removal import ChangedFeatures
from fastdissect.methods.semantics.views import ConceptView, Evidence, Role, split_score

__all__ = ["Asked", "ConceptExplanation", "explain_picture"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConceptExplanation:
    """Why the network decided as it did about one image, by concepts.

    Attributes:
        views: the predicted class; where it is wrong, the true class and the difference of the two; the classes that
            were asked for; the difference to `versus`.
        groups: the vocabulary: concepts, those that lie close together as one.
        features: float64 [units], means over the positions.
    """

    image: str
    pixels: NDArray[np.uint8]  # [height, width, 3], as decoded
    predicted: int
    true: int | None
    views: tuple[ConceptView, ...]
    logits: Floats
    features: Floats
    groups: tuple[Group, ...]
    names: tuple[str, ...]  # of the classes
    head: Head
    layer: str

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is right; None where the true class is not known."""
        return None if self.true is None else self.true == self.predicted


class Asked(NamedTuple):
    """What is explained beside the predicted class, and how."""

    classes: tuple[int, ...]
    versus: int | None
    most: int  # concepts in a score
    random: Floats  # [directions, units], of length 1; none: no removals


def explain_picture(
    reading: Reading,
    picture: Picture,
    batch: Tensor,
    groups: tuple[Group, ...],
    true: int | None,
    asked: Asked,
) -> ConceptExplanation:
    """Run one image and split its scores.

    Args:
        batch: the picture as the network gets it, [1, channels, height, width]. true: its class, if it is known.

    Raises:
        ActivationError: logits that are not finite, or that the parts do not add up to.
    """
    head = reading.head
    traced, tensor = head.trace(reading.network.loaded.module, batch, gradients=head.kind == "gradient")
    logits = tensor.detach().double().cpu().numpy()[0]
    if not np.isfinite(logits).all():
        raise ActivationError(f"image {picture.name!r}: expected finite logits; got NaN or infinity")
    predicted = int(predictions(logits[None], reading.among)[0])
    maps = traced.maps.detach().double().cpu().numpy()[0]
    changed = ChangedFeatures(reading, batch, asked.random) if len(asked.random) else None
    views = []
    for role, number, against in _wanted(predicted, true, asked):
        gradient = slopes(head, traced, tensor, [number], [against], reading.among)[0]
        score = _less(logits, number, against, reading.among)
        rest = None if head.bias is None else _less(head.bias, number, against, reading.among)
        evidence = split_score(maps, gradient, score, rest, groups, asked.most)
        _check(reading, picture.name, number, against, maps, evidence)
        own = [groups[g] for g in evidence.active]
        views.append(
            ConceptView(
                role=role,
                number=number,
                name=reading.names[number],
                against=against,
                against_name="" if against is None else reading.names[against],
                logit=float(logits[number]),
                evidence=evidence,
                names=tuple(group.name for group in own),
                removals=tuple(
                    changed.without(group.vector, maps, number, against)
                    for group in own
                    if changed is not None
                ),
            )
        )
    return ConceptExplanation(
        image=picture.name,
        pixels=picture.pixels,
        predicted=predicted,
        true=true,
        views=tuple(views),
        logits=logits,
        features=maps.mean((1, 2)),
        groups=groups,
        names=reading.names,
        head=head,
        layer=reading.layer.name,
    )


def _less(values: Floats, number: int, against: int | None, among: NDArray[np.int64]) -> float:
    """A class's value less another's, or less the mean of those that a decision is among."""
    return float(values[number] - (values[among].mean() if against is None else values[against]))


def _check(
    reading: Reading, image: str, number: int, against: int | None, maps: Floats, evidence: Evidence
) -> None:
    """The parts of a linear head must give the network's logits, to the rounding of what was added up for them."""
    head = reading.head
    if head.weight is None or head.bias is None:
        return  # the rest is what is left
    gap = abs(float(evidence.contributions.sum()) + evidence.residual + evidence.rest - evidence.score)
    x = np.abs(head.pool(np.abs(maps)[None])[0])
    sizes = np.abs(head.weight) @ x + np.abs(head.bias)
    size = sizes[number] + (sizes[reading.among].mean() if against is None else sizes[against])
    if not gap <= head.tolerance * size:
        raise ActivationError(
            f"image {image!r}, class {reading.names[number]!r}: expected parts that add up to the score "
            f"{evidence.score:.6g} to {head.tolerance:g} relative; they are {gap:.2g} off; the head is not linear for this "
            "image: name another module with --head NAME (head=)"
        )


def _wanted(predicted: int, true: int | None, asked: Asked) -> Iterator[tuple[Role, int, int | None]]:
    """The scores of one image: nothing twice."""
    yield "predicted", predicted, None
    said = {(predicted, true)}
    if true is not None and true != predicted:
        yield "true", true, None
        yield "difference", predicted, true
    for number in asked.classes:
        if number not in (predicted, true):
            yield "asked", number, None
    if asked.versus is not None:
        for number in asked.classes or (predicted,):
            if number != asked.versus and (number, asked.versus) not in said:
                yield "difference", number, asked.versus
