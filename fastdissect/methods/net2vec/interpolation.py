"""How a map of combined filters becomes a mask."""

from __future__ import annotations

import numpy as np

from fastdissect.errors import SettingError, nearest
from fastdissect.types import AxisTable, Upsampling
from fastdissect.upsampling import make_upsampling

__all__ = ["MODES", "mask_upsampling"]

MODES = ("align-corners", "half-pixel", "layer")


def mask_upsampling(mode: str, of: Upsampling) -> Upsampling:
    """Return the tables that turn maps of a layer's cells into masks of its size.

    Args:
        mode: "align-corners": corner cells lie on corner pixels, as in the released code (PyTorch <= 0.3's nn.Upsample);
            "half-pixel": half-pixel centres, edges held; "layer": as the run upsampled this layer.
        of: the layer's own.

    Raises:
        SettingError: another mode; or "layer", whose tables are none of two taps without a ring.

    Source: Net2Vec (Fong & Vedaldi 2018), section 3.1; METHODS 3.1 for the convention.
    """
    if mode not in MODES:
        raise SettingError(
            f"expected an upsampling mode of {', '.join(MODES)}; got {mode!r}{nearest(mode, MODES)}"
        )
    if mode == "half-pixel":
        return make_upsampling("half-pixel", of.cells, of.size)
    if mode == "layer":
        if of.ring or not (of.rows.lerp and of.columns.lerp):
            raise SettingError(
                f"expected a run whose masks lie between two cells an axis for upsampling 'layer'; it used {of.mode!r}; "
                "take 'align-corners' or 'half-pixel'"
            )
        return of
    rows, columns = (_corners(n, m) for n, m in zip(of.cells, of.size, strict=True))
    return Upsampling(mode, of.cells, of.size, rows, columns)


def _corners(cells: int, pixels: int) -> AxisTable:
    """Pixel i lies at i (cells - 1) / (pixels - 1) of the cells; a single pixel on the first cell."""
    position = np.arange(pixels, dtype=np.float64) * (cells - 1) / max(pixels - 1, 1)
    start = np.floor(position)
    weight = (position - start).astype(np.float32)
    return AxisTable(start.astype(np.int32), np.stack([np.float32(1) - weight, weight], axis=1), lerp=True)
