"""Everything the chance study asks of one layer, its masks made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastdissect.layer import LayerDissection
from fastdissect.methods.chance.by_image import image_counts
from fastdissect.methods.chance.level import ChanceLevel, chance_level
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.methods.chance.permuting import Laid
from fastdissect.methods.chance.resampling import Bootstrap, bootstrap
from fastdissect.methods.chance.splits import Splits
from fastdissect.methods.chance.train_val import held_out
from fastdissect.types import Planes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerChance", "layer_chance"]


@dataclass(frozen=True, eq=False)
class LayerChance:
    """One layer against chance, under resampling, and on held-out images."""

    level: ChanceLevel
    bootstrap: Bootstrap | None  # None: not asked for
    held_out: pd.DataFrame | None  # None: the images do not fall into train and val
    split: str  # who says which images are for training

    def table(self) -> pd.DataFrame:
        """Return `ChanceLevel.table` with the bootstrap's columns beside it."""
        table = self.level.table()
        if self.bootstrap is None:
            return table
        more = self.bootstrap.table().drop(columns=["label", "category", "iou"])
        return table.merge(more, on="unit", validate="one_to_one")


def layer_chance(
    layer: LayerDissection,
    planes: Planes,
    splits: Splits,
    *,
    permutations: int = 1000,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.05,
    progress: Callable[[int], None] | None = None,
) -> LayerChance:
    """Run `chance_level`, `bootstrap` and `held_out` on one layer.

    Args:
        replicates: of the bootstrap; 0: none.
        progress: is told the number of permutations and replicates done.

    Raises:
        SettingError, DataError, BackendError: as those do.
    """
    laid = Laid(layer, unit_masks(layer), planes)
    found = chance_level(
        layer, planes, permutations=permutations, seed=seed, level=level, progress=progress, laid=laid
    )
    both = splits.train.any() and not splits.train.all()
    drawn, scored = None, None
    if both or replicates:
        counts = image_counts(layer, planes, laid=laid)
        if replicates:
            drawn = bootstrap(layer, counts, replicates=replicates, seed=seed, progress=progress)
        if both:
            scored = held_out(layer, counts, splits.train)
    return LayerChance(found, drawn, scored, splits.source)
