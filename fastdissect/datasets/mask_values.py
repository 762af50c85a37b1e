"""Values that masks hold -> labels: which numbers mean a label, which none, and which are a mistake."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError
from fastdissect.types import Array, Concepts, LabelChannel

__all__ = ["MaskValues"]


class MaskValues:
    """Turns maps of stored values into label channels, one a category that occurs.

    Args:
        concepts: the vocabulary; all its numbers are at most 65,535.
        shift: label number less stored value; 1 where 0 is a label.
        end: label numbers from here on (those of classes) are no mask's.
        none: stored values that carry no label, unless the vocabulary has them; 0 is one of them if `shift` is 0.

    Example:
        >>> concepts = Concepts(np.array([1, 2]), ("cat", "paw"), np.array([0, 1]), ("object", "part"))
        >>> found = MaskValues(concepts, none=[255]).channels(np.array([[0, 1, 2, 255]]), "a.png")
        >>> [(channel.category, channel.labels.tolist()) for channel in found]
        [(0, [[0, 1, 0, 0]]), (1, [[0, 0, 2, 0]])]
    """

    def __init__(
        self, concepts: Concepts, *, shift: int = 0, end: int | None = None, none: Collection[int] = ()
    ) -> None:
        numbers = concepts.numbers[concepts.numbers < (MAX_LABEL + 2 if end is None else end)]
        if int(concepts.numbers.max()) > MAX_LABEL:
            raise DataError(
                f"label number {int(concepts.numbers.max())} is above {MAX_LABEL:,}. Renumber it."
            )
        self._number = np.full(MAX_LABEL + 1, -1, np.int32)  # by stored value; -1: unknown
        self._number[[value for value in (*none, *(() if shift else (0,))) if 0 <= value <= MAX_LABEL]] = 0
        self._number[numbers - shift] = numbers
        self._category = np.zeros(MAX_LABEL + 1, np.int16)  # by label number
        self._category[concepts.numbers] = concepts.category
        own = set(self._category[numbers].tolist())
        self._single = int(own.pop()) if len(own) == 1 else None
        self._shown = (
            f"{numbers.min() - shift} to {numbers.max() - shift}" if len(numbers) else "none has one"
        )

    def channels(self, values: Array, what: str) -> tuple[LabelChannel, ...]:
        """The labels of one map of stored values.

        Args:
            values: integers or bool [height, width].
            what: names the map in errors.

        Raises:
            DataError: not such a map, or a value that means nothing.
        """
        labels = self.numbers(values, what)
        if self._single is not None:
            return (LabelChannel(self._single, labels),)
        category = self._category.take(labels)
        found = np.unique(category[labels > 0]).tolist()
        if not found:  # an empty map is a channel all the same
            return (LabelChannel(0, labels),)
        return tuple(LabelChannel(q, np.where(category == q, labels, np.uint16(0))) for q in found)

    def numbers(self, values: Array, what: str) -> NDArray[np.uint16]:
        """The label numbers of one map, whatever their categories; see `channels`."""
        if values.ndim != 2 or values.dtype.kind not in "uib" or not values.size:
            raise DataError(
                f"{what} is {values.dtype} {list(values.shape)}; expected a label map: integers [height, width]."
            )
        if values.dtype.kind == "b":
            values = values.view(np.uint8)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > MAX_LABEL:
            raise self._unknown(low if low < 0 else high, what)
        labels = self._number.take(values)
        if (labels < 0).any():
            raise self._unknown(int(values[labels < 0].min()), what)
        return labels.astype(np.uint16)

    def label_of(self, value: int, what: str) -> tuple[int, int]:
        """The label number of one stored value, 0 for none, and its category."""
        number = int(self._number[value]) if 0 <= value <= MAX_LABEL else -1
        if number < 0:
            raise self._unknown(value, what)
        return number, int(self._category[number])

    def _unknown(self, value: int, what: str) -> DataError:
        return DataError(
            f"{what} holds the value {value}, which names no label (of labels: {self._shown}). Name it, say that "
            "it is to be ignored, or correct the mask."
        )
