"""The permutation baseline: what the layer's units reach when labels and images are paired at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdissect.datasets import Dataset
from fastdissect.errors import SettingError
from fastdissect.methods.chance.level import ChanceLevel, chance_level, check_count
from fastdissect.methods.chance.planes import planes_of
from fastdissect.methods.extras import need
from fastdissect.progress import progress_bar
from fastdissect.results import Dissection

__all__ = ["check_permutations", "permutation_baseline"]


def check_permutations(permutations: Any, data: Any, layer: str, activations: Any) -> None:
    """Refuse before the run what would fail after it.

    Raises:
        SettingError: no positive number or too large a one, images without a data set's labels, or activations that
            are not kept.
        BackendError: scipy is not installed.
    """
    check_count("permutations", permutations)
    need("scipy.stats")
    if not isinstance(data, Dataset):
        raise SettingError(
            f"expected a data set for permutations=, whose labels are read again; got {type(data).__name__}"
        )
    kept = activations if isinstance(activations, bool) else layer in activations
    if not kept:
        raise SettingError(
            f"expected the activations of layer {layer!r} to be kept, which permutations= needs; got "
            f"activations={activations!r}"
        )


def permutation_baseline(
    dissection: Dissection,
    layer: str,
    data: Dataset,
    permutations: int,
    *,
    cache: str | Path | None = "auto",
    progress: bool | None = None,
) -> ChanceLevel:
    """Return the chance level of one layer of a run; see `methods.chance`.

    Args:
        data: what was dissected. cache: of packed masks, as for `dissect`. progress: bars; default: on a terminal.
    """
    planes = planes_of(dissection, data, cache=cache, progress=progress)
    with progress_bar("permutations", permutations, show=progress) as advance:
        return chance_level(dissection[layer], planes, permutations=permutations, progress=advance)
