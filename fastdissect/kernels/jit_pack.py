"""pack in Numba: which labels an image has, then their bits."""

from __future__ import annotations

import numpy as np

from fastdissect.kernels.jit_numbers import Array, fixed, kernel
from fastdissect.kernels.protocol import PackedLabels
from fastdissect.types import words_for

__all__ = ["pack"]


@kernel
def find(labels: Array, columns: Array, seen: Array) -> int:
    """Count each label's pixels, [channels, labels]; returns the lowest label without a column, or 0."""
    unknown = 0
    for channel in range(labels.shape[0]):
        for i in range(labels.shape[1]):
            label = int(labels[channel, i])
            if label <= 0:
                continue
            if label >= len(columns) or columns[label] < 0:
                if unknown == 0 or label < unknown:
                    unknown = label
            else:
                seen[channel, label] += 1
    return unknown


@kernel
def fill(labels: Array, rows: Array, words: Array) -> None:
    """rows[channel, label]: the plane that takes the label's pixels."""
    for channel in range(labels.shape[0]):
        for i in range(labels.shape[1]):
            label = np.int64(labels[channel, i])
            if label > 0:
                words[rows[channel, label], i >> 6] |= np.uint64(1) << np.uint64(i & 63)


def pack(labels: Array, columns: Array, once: bool) -> PackedLabels:
    channels, h, w = labels.shape
    flat, columns = fixed(labels).reshape(channels, h * w), fixed(columns)
    seen = np.zeros((channels, len(columns)), np.int64)
    unknown = int(find(flat, columns, seen))
    if unknown:
        seen[:] = 0
    present = seen.any(0, keepdims=True) if once else seen > 0
    label, channel = np.nonzero(present.T)
    order = np.argsort(columns[label], kind="stable")
    label, channel = label[order], channel[order]
    rows = np.zeros(seen.shape, np.int64)
    rows[slice(None) if once else channel, label] = np.arange(len(label))
    words = np.zeros((len(label), words_for(h * w)), np.uint64)
    if not unknown:
        fill(flat, rows, words)
    pixels = np.bitwise_count(words).sum(1, dtype=np.int64)
    return PackedLabels(columns[label].astype(np.int32), pixels, words, unknown)
