"""Which logits of an image are explained: the predicted class's, the true one's, those asked for, and differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastdissect.methods.explanation.contributions import ClassView, Role, Terms, class_view
from fastdissect.methods.explanation.splitting import SplitBatch

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Wanted", "views_of"]


class Wanted(NamedTuple):
    """What is explained beside the predicted class."""

    asked: tuple[int, ...]  # classes
    versus: int | None  # a class that is taken off
    top: int  # units to show


class _Part(NamedTuple):
    role: Role
    number: int
    terms: Terms
    against: int | None = None


def views_of(
    split: SplitBatch,
    units: pd.DataFrame,
    predicted: Sequence[int],
    true: Sequence[int | None],
    wanted: Wanted,
) -> list[tuple[ClassView, ...]]:
    """Return each image's views, the predicted class first.

    Every class is split for the whole batch: where the head is not linear that is one backward pass.

    Args:
        units: from `unit_columns`.
        predicted, true: class numbers, one an image; None: not known.
    """
    own = split.terms(predicted)
    right = [p if t is None else t for p, t in zip(predicted, true, strict=True)]
    of_true = split.terms(right) if right != list(predicted) else own
    others = (*wanted.asked, *([] if wanted.versus is None else [wanted.versus]))
    of = {number: split.terms([number] * len(predicted)) for number in dict.fromkeys(others)}
    return [
        tuple(
            class_view(
                part.role,
                part.number,
                split.reading.names,
                part.terms,
                split.features[i],
                units,
                wanted.top,
                part.against,
            )
            for part in _parts(
                predicted[i], own[i], right[i], of_true[i], {n: t[i] for n, t in of.items()}, wanted
            )
        )
        for i in range(len(predicted))
    ]


def _parts(
    predicted: int, own: Terms, right: int, of_true: Terms, of: dict[int, Terms], wanted: Wanted
) -> Iterator[_Part]:
    """One image's: nothing is said twice."""
    yield _Part("predicted", predicted, own)
    said = {(predicted, right)}
    if right != predicted:
        yield _Part("true", right, of_true)
        yield _Part("difference", predicted, own.minus(of_true), right)
    for number in wanted.asked:
        if number not in (predicted, right):
            yield _Part("asked", number, of[number])
    versus = wanted.versus
    if versus is not None:
        for number, terms in [(n, of[n]) for n in wanted.asked] or [(predicted, own)]:
            if number != versus and (number, versus) not in said:
                yield _Part("difference", number, terms.minus(of[versus]), versus)
