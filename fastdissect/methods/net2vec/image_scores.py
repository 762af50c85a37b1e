"""`ImageScores`: how well a concept's mask does in each of its images (IoU_ind)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ImageScores"]

EPSILON = 1e-20  # of the released code: an empty union scores 0


@dataclass(frozen=True, eq=False)
class ImageScores:
    """A row a concept and image that shows it: concepts in their vectors' order, images in file order.

    Source: IoU_set and IoU_ind of Net2Vec (Fong & Vedaldi 2018, section 3.1).
    """

    concept: NDArray[np.int64]  # [pairs], row of ConceptVectors, rising
    image: NDArray[np.int64]  # [pairs]
    train: NDArray[np.bool_]  # [pairs]; the others are val
    intersection: NDArray[np.int64]  # [pairs], pixels
    union: NDArray[np.int64]  # [pairs], pixels

    def iou(self) -> NDArray[np.float64]:
        """IoU_ind, float64 [pairs]."""
        return self.intersection / (self.union + EPSILON)

    def iou_set(self, concepts: int, train: bool) -> NDArray[np.float64]:
        """IoU_set of each concept over its images of one split, float64 [concepts]; NaN without any."""
        own = self.train == train
        of = self.concept[own]
        shared, union, images = (
            np.bincount(of, weights, concepts).astype(np.float64)  # exact below 2**53 pixels
            for weights in (self.intersection[own], self.union[own], None)
        )
        return np.where(images > 0, shared / (union + EPSILON), np.nan)

    def across(self, concept: int, count: int, *, train: bool = False) -> NDArray[np.int64]:
        """Return images of a concept spread evenly over the whole range of IoU_ind, the best first, int64 [<= count].

        They are those at evenly spaced ranks, the best and the worst among them, so that nothing is picked by hand.
        """
        own = np.flatnonzero((self.concept == concept) & (self.train == train))
        order = own[np.argsort(-self.iou()[own], kind="stable")]
        if len(order) <= count:
            return self.image[order]
        at = np.round(np.linspace(0, len(order) - 1, max(1, count))).astype(np.int64)
        return self.image[order[at]]

    def table(self) -> pd.DataFrame:
        """Return the rows: concept (row), image, split, intersection, union, iou."""
        import pandas as pd

        return pd.DataFrame(
            {
                "concept": self.concept,
                "image": self.image,
                "split": np.where(self.train, "train", "val"),
                "intersection": self.intersection,
                "union": self.union,
                "iou": self.iou(),
            }
        )
