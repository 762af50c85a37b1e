"""Rows of values in rising order, and rows turned into columns, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from fastdissect.kernels import get_num_threads

__all__ = ["sort_rows_", "transposed_into"]

_BITS = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
_FEW = 1 << 16  # values below which loading a compiled sort takes longer than sorting
_MANY = 1 << 18  # values that one thread sorts while another would start
_ROWS = 1 << 10  # rows transposed at once: they stay in the cache, whatever the strides


def sort_rows_(rows: Tensor) -> Tensor:
    """Sort each row of a contiguous [units, n], in place; no NaN among the values. Returns it.

    >>> sort_rows_(torch.tensor([[3.0, -1.0, 2.0]])).tolist()
    [[-1.0, 2.0, 3.0]]
    """
    few = rows.numel() <= _FEW
    if rows.device.type != "cpu" or (
        few and rows.element_size() == 2
    ):  # numpy's sort of float16 misplaces -0
        return rows.copy_(rows.sort(dim=1).values)
    if few:
        rows.numpy().sort(axis=1)
        return rows
    from fastdissect.compat.running.quantile_radix import sort_bits, sort_plain  # Numba: for many values only

    threads = get_num_threads() if rows.numel() > _MANY else 1
    if rows.dtype in _BITS:
        bits = rows.view(_BITS[rows.dtype]).numpy()
        sort_bits(bits.view(f"u{bits.itemsize}"), threads)
    else:
        sort_plain(rows.numpy(), threads)
    return rows


def transposed_into(out: Tensor, rows: Tensor) -> None:
    """Write rows [n, units] into out [units, n] of any strides."""
    for first in range(0, len(rows), _ROWS):
        block = rows[first : first + _ROWS]
        out[:, first : first + len(block)] = block.t().contiguous()
