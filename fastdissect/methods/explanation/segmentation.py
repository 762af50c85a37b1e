"""Where in an image a unit is active.

    relative   A_n >= 0.2 max(A_n), where that maximum is above 0: the image's own scale, never empty for a unit that fires
    dataset    A_n > T_n, the unit's threshold over the data set (METHODS 1.3)

A_n is the unit's map, upsampled with half-pixel centres in the package's own arithmetic. The papers cut each image by
itself; whether at 0.2 of the maximum is not certain from them: our choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest
from fastdissect.kernels.reference import upsample
from fastdissect.upsampling import make_upsampling

__all__ = ["MODES", "RELATIVE_CUT", "segmentation"]

MODES = ("relative", "dataset")
RELATIVE_CUT = 0.2


def checked_mode(mode: str) -> str:
    """Refuse a way of segmenting that there is not."""
    if mode not in MODES:
        raise SettingError(
            f"expected a segmentation of {' or '.join(MODES)}; got {mode!r}{nearest(mode, MODES)}"
        )
    return mode


def segmentation(
    cells: NDArray[np.float32], size: tuple[int, int], mode: str = "relative", threshold: float = 0.0
) -> NDArray[np.bool_]:
    """Return where the unit is active, bool [size].

    Args:
        cells: the unit's map, float32 [h, w].
        size: height and width of the picture.
        threshold: T_n, for "dataset".

    Raises:
        SettingError: another mode, or a size that is empty or huge.

    >>> segmentation(np.eye(2, dtype=np.float32), (2, 2)).tolist()
    [[True, False], [False, True]]
    """
    checked_mode(mode)
    map_size = (int(cells.shape[0]), int(cells.shape[1]))
    large = upsample(cells.astype(np.float32, copy=False), make_upsampling("half-pixel", map_size, size))
    if mode == "dataset":
        above: NDArray[np.bool_] = large > np.float32(threshold)
        return above
    peak = large.max()
    return large >= np.float32(RELATIVE_CUT) * peak if peak > 0 else np.zeros(size, bool)
