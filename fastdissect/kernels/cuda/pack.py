"""pack on the GPU; see csrc/cuda/pack.cu."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from fastdissect.device_arrays import to_host
from fastdissect.kernels.cuda.launching import blocks, launch, on_device
from fastdissect.kernels.protocol import PackedLabels
from fastdissect.types import words_for

__all__ = ["pack"]

THREADS = 256
MOST = 65535  # of a grid's second side


def pack(labels: Any, columns: NDArray[np.int32], once: bool) -> PackedLabels:
    """See protocol.Backend.pack. Waits twice: for the labels that there are, and for the planes."""
    channels, height, width = labels.shape
    pixels, row_words = height * width, words_for(height * width)
    columns = to_host(columns)
    if not labels.size:
        return _nothing(row_words, 0)
    on_card = on_device(labels if labels.flags.c_contiguous else to_host(labels))
    found, unknown = _marked(on_card, len(columns), once)
    numbers = found[1]
    foreign = numbers[columns[numbers] < 0]
    if len(foreign) or unknown:
        return _nothing(row_words, int(foreign.min()) if len(foreign) else unknown)
    if not len(numbers):
        return _nothing(row_words, 0)
    # rising column, then label, then channel: as a stable sort by column of labels in rising order
    order = np.lexsort((found[0], numbers, columns[numbers]))
    channel, numbers = found[:, order]
    planes = len(numbers)
    made = cupy.zeros(planes * (1 + row_words), np.uint64)  # pixels, then words: one way back
    of_plane = cupy.asarray(np.concatenate([numbers, np.full_like(channel, -1) if once else channel]))
    grid = blocks(row_words, THREADS // 32), min(planes, MOST)
    label, own = of_plane[:planes], of_plane[planes:]
    arguments = on_card, channels, pixels, planes, label, own, row_words, made, made[planes:]
    launch("pack", f"fd_pack_planes_{on_card.dtype.name}", grid, THREADS, arguments)
    host = made.get()
    return PackedLabels(
        columns[numbers], host[:planes].astype(np.int64), host[planes:].reshape(planes, row_words), 0
    )


def _marked(labels: Any, numbers: int, once: bool) -> tuple[NDArray[np.int64], int]:
    """(channels and labels that there are [2, found], the lowest label from `numbers` on or 0)."""
    channels, height, width = labels.shape
    rows, row_words = 1 if once else channels, -(-numbers // 32)
    table = cupy.zeros(1 + rows * row_words, np.uint32)
    grid = min(1024, blocks(height * width, THREADS)), min(channels, MOST)
    arguments = labels, channels, height * width, numbers, row_words, once, table
    launch("pack", f"fd_pack_mark_{labels.dtype.name}", grid, THREADS, arguments)
    host = table.get()
    bits = np.unpackbits(host[1:].astype("<u4").view(np.uint8), bitorder="little")
    found = np.array(np.nonzero(bits.reshape(rows, 32 * row_words)), np.int64)
    return found, int(0xFFFFFFFF - host[0]) if host[0] else 0


def _nothing(row_words: int, unknown: int) -> PackedLabels:
    return PackedLabels(
        np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros((0, row_words), np.uint64), unknown
    )
