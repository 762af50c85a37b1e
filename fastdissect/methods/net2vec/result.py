"""`ConceptVectors`: one vector of a layer's units for each concept, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.methods.net2vec.image_scores import ImageScores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "ConceptVectors"]

KINDS = ("segmentation", "classification", "semantic")


@dataclass(frozen=True, eq=False)
class ConceptVectors:
    """The trained concepts' vectors.

    Attributes:
        kind: "segmentation" or "classification" (Net2Vec, Fong & Vedaldi 2018, sections 3.1 and 3.2), or "semantic".
        layer: the units' layer.
        numbers: int64 [concepts], the data set's own label numbers, in the run's order; only trained concepts.
        names: [concepts].
        category: int64 [concepts], index of the primary category in `categories`.
        categories: the data set's categories.
        weights: float32 [concepts, units].
        bias: float32 [concepts]; None: trained without.
        table: a row a concept, in the same order: concept, number, category, train_images, val_images; then of
            segmentation iou_train, iou_val (IoU_set of the vector), single_unit, single_iou_train, single_iou_val (of the
            best unit, chosen on train); of classification accuracy_train, accuracy_val, loss_train, loss_val; and
            flags of what to be careful about. NaN: without images for validation.
        skipped: (name, reason) of the concepts that were not trained.
        record: settings, digests, versions: what JSON can hold.
        images: how well each image of a concept does (segmentation), None: not kept.

    Example:
        >>> vectors = ConceptVectors.load("out/net2vec/layer4")                      # doctest: +SKIP
        >>> vectors.unit_vectors() @ vectors.unit_vectors()[vectors.find("tree")]    # doctest: +SKIP
    """

    kind: str
    layer: str
    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    category: NDArray[np.int64]
    categories: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    images: ImageScores | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.kind not in KINDS:
            raise SettingError(f"expected concept vectors of kind {', '.join(KINDS)}; got {self.kind!r}")
        if self.weights.ndim != 2 or self.weights.dtype != np.float32:
            raise SettingError(
                f"expected weights float32 [concepts, units]; got {self.weights.dtype} {self.weights.shape}"
            )
        lengths = {
            "numbers": len(self.numbers),
            "category": len(self.category),
            "weights": len(self.weights),
            "table": len(self.table),
            "bias": count if self.bias is None else len(self.bias),
        }
        for what, length in lengths.items():
            if length != count:
                raise SettingError(f"expected {what} of {count:,} concepts; got {length:,}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def units(self) -> int:
        return int(self.weights.shape[1])

    def category_names(self) -> tuple[str, ...]:
        """The primary category of each concept."""
        return tuple(self.categories[q] for q in self.category)

    def unit_vectors(self) -> NDArray[np.float32]:
        """Return w / |w|, float32 [concepts, units]; a vector of zeros stays one."""
        length = np.linalg.norm(self.weights.astype(np.float64), axis=1, keepdims=True)
        found: NDArray[np.float32] = (self.weights / np.where(length > 0, length, 1)).astype(np.float32)
        return found

    def find(self, concept: str | int) -> int:
        """Return the row of a concept, by its name or its number.

        Raises:
            SettingError: it is not among the trained ones (the message says why it was skipped, or lists the nearest), or
                several are called so.
        """
        if isinstance(concept, str):
            own = [row for row, name in enumerate(self.names) if name == concept]
            if len(own) > 1:
                numbers = ", ".join(str(self.numbers[row]) for row in own)
                raise SettingError(
                    f"expected one concept; {len(own)} are called {concept!r}: give one of the numbers {numbers}"
                )
            if own:
                return own[0]
            for name, reason in self.skipped:
                if name == concept:
                    raise SettingError(
                        f"expected a concept that was trained; {concept!r} was skipped: {reason}"
                    )
            raise SettingError(
                f"expected one of {len(self):,} trained concepts; got {concept!r}{nearest(concept, self.names)}"
            )
        found = np.flatnonzero(self.numbers == concept)
        if isinstance(concept, bool) or not len(found):
            raise SettingError(
                f"expected the number of one of {len(self):,} trained concepts; got {concept!r}"
            )
        return int(found[0])

    def save(self, folder: str | Path) -> None:
        """Write `vectors.safetensors`, `vectors.csv` and `vectors.json` into a folder.

        Each is written beside and renamed; vectors.json, the last one, has the digests of the others.

        Raises:
            OutputError: a file cannot be written.
        """
        from fastdissect.methods.net2vec.saving import save_vectors

        save_vectors(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> ConceptVectors:
        """Read what `save` wrote.

        Raises:
            OutputError: a file is missing, damaged or of another save.
        """
        from fastdissect.methods.net2vec.saving import load_vectors

        return load_vectors(Path(folder))

    def __repr__(self) -> str:
        return (
            f"<ConceptVectors {self.kind}, {self.layer!r}: {len(self):,} concepts, {self.units:,} units, "
            f"{len(self.skipped):,} skipped>"
        )
