"""`Ablation`: what a network lost when units were changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.ablation.contrast import Contrast
from fastdissect.methods.ablation.groups import Units

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ablation"]


@dataclass(frozen=True, eq=False)
class Ablation:
    """What a network lost when units of a layer were changed.

    Attributes:
        groups: {name: units}.
        table: a row a group: group, units, accuracy, drop (intact minus changed), random_drop, random_sd, p (share of
            random groups whose drop is at least as large; the observed one counts), shift (mean of |logit - intact
            logit| over images and classes), random_shift, shift_p; of the class asked for asked_drop, asked_logit_change.
        classes: a row a group and class: group, class, images, intact_accuracy, accuracy, drop, random_drop,
            logit_change (mean over all images), own_logit_change (over the class's images), random_logit_change.
        units: a row a unit, each ablated alone (None: not asked for): unit, label, category, iou, detector, accuracy,
            drop, shift, class (that loses the most accuracy; "": none does), class_drop, and of the class asked for.
        contrast: detectors against other units (None: not asked for).
    """

    network: str
    data: str
    layer: str
    units_count: int
    mode: str
    images: int
    class_names: tuple[str, ...]
    targets: str  # where the images' classes come from, or why there is no accuracy
    intact_accuracy: float  # NaN: not known
    groups: Mapping[str, Units]
    table: pd.DataFrame
    classes: pd.DataFrame
    units: pd.DataFrame | None
    contrast: Contrast | None
    class_asked: str | None
    random_groups: int
    pool: str
    seed: int
    conditions: int  # different sets of units that were changed
    replayed: bool  # only what comes behind the layer was run again for each
    seconds: float

    @property
    def has_accuracy(self) -> bool:
        return not np.isnan(self.intact_accuracy)

    @property
    def measure(self) -> str:
        """The column to look at first: "drop" of accuracy, or "shift" of the logits where no accuracy is known."""
        return "drop" if self.has_accuracy else "shift"

    @property
    def done(self) -> str:
        """What was done to the units: "set to zero"."""
        done = {"zero": "set to zero", "mean": "set to their means over the data set"}
        return done.get(self.mode, f"multiplied by {self.mode.removeprefix('times ')}")

    def members(self) -> pd.DataFrame:
        """Return a row a group and unit: group, unit."""
        import pandas as pd

        rows = [(name, unit) for name, units in self.groups.items() for unit in units]
        return pd.DataFrame(rows, columns=["group", "unit"])

    def sentences(self) -> list[str]:
        """What was done, and what cannot be said, for people."""
        again = "from the layer on" if self.replayed else "whole"
        said = [f"Units of {self.layer} are {self.done}."]
        said.append(
            f"{self.images:,} images went through the network once as it is, and {self.conditions:,} times changed, "
            f"{again}."
        )
        if self.has_accuracy:
            said.append(
                f"Accuracy of the network as it is: {100 * self.intact_accuracy:.2f} % (targets: {self.targets})."
            )
        else:
            said.append(f"There is {self.targets}. Changes of the logits alone are shown.")
        if self.random_groups:
            pool = "all units" if self.pool == "all" else "the other units"
            said.append(
                f"Random groups: {self.random_groups} of each size, from {pool}, seed {self.seed}; p is the share of "
                f"them that do at least as much, so at least {1 / (1 + self.random_groups):.2g}."
            )
        return said
