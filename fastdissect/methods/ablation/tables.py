"""The tables of an ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.layer import LayerDissection
    from fastdissect.methods.ablation.groups import Units
    from fastdissect.methods.ablation.measures import Measured

__all__ = ["class_table", "group_table", "unit_table"]


def group_table(
    groups: Mapping[str, Units],
    intact: Measured,
    of: Mapping[Units, Measured],
    drawn: Mapping[str, Sequence[Measured]],
    asked: int | None,
) -> pd.DataFrame:
    """A row a group (`Ablation.table`)."""
    import pandas as pd

    rows = []
    for name, units in groups.items():
        one, others = of[units], drawn[name]
        drop = intact.accuracy - one.accuracy
        random_drop = np.array([intact.accuracy - other.accuracy for other in others])
        random_shift = np.array([other.shift for other in others])
        row: dict[str, Any] = {
            "group": name,
            "units": len(units),
            "accuracy": one.accuracy,
            "drop": drop,
            "random_drop": _mean(random_drop),
            "random_sd": float(random_drop.std(ddof=1)) if len(random_drop) > 1 else float("nan"),
            "p": _share(random_drop, drop),
            "shift": one.shift,
            "random_shift": _mean(random_shift),
            "shift_p": _share(random_shift, one.shift),
        }
        rows.append(row | _asked(intact, one, asked))
    return pd.DataFrame(rows)


def class_table(
    groups: Mapping[str, Units],
    intact: Measured,
    of: Mapping[Units, Measured],
    drawn: Mapping[str, Sequence[Measured]],
    names: Sequence[str],
    support: NDArray[np.int64],
    has_targets: bool,
) -> pd.DataFrame:
    """A row a group and class (`Ablation.classes`)."""
    import pandas as pd

    parts = []
    for name, units in groups.items():
        one, others = of[units], drawn[name]
        random_drop = [intact.class_accuracy - other.class_accuracy for other in others]
        random_logit = [other.logit - intact.logit for other in others]
        parts.append(
            pd.DataFrame(
                {
                    "group": name,
                    "class": list(names),
                    "images": support if has_targets else np.full(len(names), np.nan),
                    "intact_accuracy": intact.class_accuracy,
                    "accuracy": one.class_accuracy,
                    "drop": intact.class_accuracy - one.class_accuracy,
                    "random_drop": _mean(np.array(random_drop), len(names)).round(12),  # 1e-17 is no drop
                    "logit_change": one.logit - intact.logit,
                    "own_logit_change": one.own_logit - intact.own_logit,
                    "random_logit_change": _mean(np.array(random_logit), len(names)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["group", "class"])


def unit_table(
    layer: LayerDissection,
    intact: Measured,
    of: Mapping[Units, Measured],
    names: Sequence[str],
    asked: int | None,
) -> pd.DataFrame:
    """A row a unit (`Ablation.units`)."""
    table = layer.units()[["unit", "label", "category", "iou", "detector"]].copy()
    alone = [of[(unit,)] for unit in range(layer.units_count)]
    table["accuracy"] = [one.accuracy for one in alone]
    table["drop"] = [intact.accuracy - one.accuracy for one in alone]
    table["shift"] = [one.shift for one in alone]
    losses = [intact.class_accuracy - one.class_accuracy for one in alone]
    worst = [int(np.nanargmax(loss)) if (loss > 0).any() else -1 for loss in losses]
    table["class"] = ["" if w < 0 else names[w] for w in worst]
    table["class_drop"] = [
        float("nan") if w < 0 else float(loss[w]) for loss, w in zip(losses, worst, strict=True)
    ]
    for column in _asked(intact, intact, asked):
        table[column] = [_asked(intact, one, asked)[column] for one in alone]
    return table


def _asked(intact: Measured, one: Measured, asked: int | None) -> dict[str, float]:
    """Of the class asked for: what its accuracy lost, and how its mean logit changed."""
    if asked is None:
        return {}
    return {
        "asked_drop": float(intact.class_accuracy[asked] - one.class_accuracy[asked]),
        "asked_logit_change": float(one.logit[asked] - intact.logit[asked]),
    }


def _mean(values: NDArray[np.float64], length: int | None = None) -> Any:
    """Mean over the random groups; NaN where there are none."""
    if not len(values):
        return float("nan") if length is None else np.full(length, np.nan)
    return values.mean(0)


def _share(drawn: NDArray[np.float64], observed: float) -> float:
    """(1 + random groups at least as high) / (1 + random groups); NaN where nothing was drawn or measured."""
    if not len(drawn) or np.isnan(observed):
        return float("nan")
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + len(drawn)))
