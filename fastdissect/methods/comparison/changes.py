"""One layer before and after, unit by unit: fine-tuned networks, and snapshots of one training (METHODS 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastdissect.errors import SettingError
from fastdissect.labels import NO_CONCEPT
from fastdissect.layer import LayerDissection
from fastdissect.methods.comparison.compatibility import same_vocabulary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHANGES", "UnitChanges", "unit_changes"]

CHANGES = ("kept", "changed", "gained", "lost", "neither")


@dataclass(frozen=True, eq=False)
class UnitChanges:
    """What became of every unit of a layer."""

    units: pd.DataFrame
    """A row a unit: unit, change, then label, category, iou and detector, each "_before" and "_after"."""
    counts: pd.DataFrame
    """A row a kind of change, in the order of `CHANGES`: change, units, share (of all units), share_of_detectors (of
    the units over the cut before or after; missing for "neither", and where there are none)."""
    transitions: pd.DataFrame
    """Units by category before (rows) and after (columns), int64; "no concept", the last of both: under the cut."""

    @property
    def kept(self) -> float:
        """Share of the units over the cut before or after that kept their label; NaN where there are none."""
        return float(self.counts["share_of_detectors"].iloc[0])


def unit_changes(before: LayerDissection, after: LayerDissection) -> UnitChanges:
    """Compare two layers unit by unit, matched by index.

    A unit is *kept* (over the cut before and after, with the same label), *changed* (with another label), *gained*
    (only after), *lost* (only before) or *neither*. Labels are the units' best ones (convention B).

    Raises:
        SettingError: other numbers of units, or a layer that is undetermined.

    Example:
        >>> unit_changes(fd.load("imagenet")["conv5"], fd.load("places")["conv5"]).counts    # doctest: +SKIP

    Source: Network Dissection (Bau, Zhou et al. 2017), on fine-tuning; the kinds and their shares are our formulation.
    """
    import pandas as pd

    if before.units_count != after.units_count:
        raise SettingError(
            f"expected layers with equally many units to match by index; got {before.units_count} of "
            f"{before.name!r} and {after.units_count} of {after.name!r}; units of different networks are matched by "
            "match_units (--match)"
        )
    for layer in (before, after):
        if layer.undetermined:
            raise SettingError(
                f"expected layers with masks; {layer.name!r} is undetermined: too few images for the quantile "
                f"{layer.profile.quantile}; dissect more"
            )
    a, b = before.units(), after.units()
    over_a, over_b = a["detector"].to_numpy(bool), b["detector"].to_numpy(bool)
    if same_vocabulary(before.concepts, after.concepts):
        same = a["label_number"].to_numpy() == b["label_number"].to_numpy()
    else:  # numbers of another data set mean other concepts
        same = ((a["label"] == b["label"]) & (a["category"] == b["category"])).to_numpy(bool)
    kinds = [over_a & over_b & same, over_a & over_b, over_b, over_a]
    change = np.select(kinds, CHANGES[:4], CHANGES[4])
    columns = ("label", "category", "iou", "detector")
    units = pd.DataFrame(
        {"unit": a["unit"], "change": pd.Series(change, dtype="str")}
        | {f"{c}_before": a[c] for c in columns}
        | {f"{c}_after": b[c] for c in columns}
    )
    number = np.array([int((change == kind).sum()) for kind in CHANGES])
    seen = max(number[:4].sum(), 0)
    of_seen = [*(number[:4] / seen if seen else np.full(4, np.nan)), np.nan]
    counts = pd.DataFrame(
        {
            "change": CHANGES,
            "units": number,
            "share": number / max(len(units), 1),
            "share_of_detectors": of_seen,
        }
    )
    return UnitChanges(units, counts, _transitions(before, after, units))


def _transitions(before: LayerDissection, after: LayerDissection, units: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = list(dict.fromkeys((*before.concepts.categories, *after.concepts.categories)))
    place = {category: q for q, category in enumerate(names)}
    ends = [
        np.where(units[f"detector_{end}"], units[f"category_{end}"].map(place), len(names)).astype(np.int64)
        for end in ("before", "after")
    ]
    size = len(names) + 1
    found = np.bincount(ends[0] * size + ends[1], minlength=size * size).reshape(size, size)
    labels = [*names, NO_CONCEPT]
    return pd.DataFrame(found, index=pd.Index(labels, name="before"), columns=pd.Index(labels, name="after"))
