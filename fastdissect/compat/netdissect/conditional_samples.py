"""Conditional samples: the activations under each label of a segmentation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fastdissect.compat.running.batches import require_tensor
from fastdissect.errors import ActivationError

__all__ = ["ConditionalSamples", "conditional_samples"]

_DENSE = 1 << 20  # labels up to which counting each number is faster than sorting what occurs


def conditional_samples(activations: Tensor, segments: Tensor) -> ConditionalSamples:
    """Split a batch of maps by the labels at their pixels.

    Args:
        activations: [_, units, height, width].
        segments: labels from 0, [images, channels, height, width] of an integer type. 0 is no label; a pixel has
            a label if any channel shows it.

    Returns:
        an iterator over (label, [pixels, units]): first (0, all pixels), then each label that occurs, ascending,
        with its pixels in the order of images, rows and columns; float dtypes and values as they came.

    Raises:
        ActivationError: shapes that do not fit, labels that are no whole numbers from 0.

    >>> maps, labels = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[7, 0, 7]]]])
    >>> [(label, values.flatten().tolist()) for label, values in conditional_samples(maps, labels)]
    [(0, [1.0, 2.0, 3.0]), (7, [1.0, 3.0])]
    """
    return ConditionalSamples(activations, segments)


class ConditionalSamples(Iterator[tuple[int, Tensor]]):
    """What `conditional_samples` returns; `indicator_counts` is a short cut for masks."""

    def __init__(self, activations: Tensor, segments: Tensor) -> None:
        name = "conditional_samples"
        maps, labels = require_tensor(activations, name), require_tensor(segments, name)
        if (
            maps.dim() != 4
            or labels.dim() != 4
            or len(maps) != len(labels)
            or maps.shape[2:] != labels.shape[2:]
        ):
            raise ActivationError(
                f"{name}: expected activations [_, units, height, width] and labels [images, channels, height, "
                f"width] of the same images and size; got {tuple(maps.shape)} and {tuple(labels.shape)}; upsample "
                "the activations to the labels"
            )
        if labels.dtype.is_floating_point or labels.dtype == torch.bool:
            raise ActivationError(
                f"{name}: expected integer labels; got {labels.dtype}; convert with .long()"
            )
        if labels.numel() and int(labels.min()) < 0:
            raise ActivationError(f"{name}: expected labels from 0 (0 is none); got {int(labels.min())}")
        self._maps, self._labels = maps, labels.to(maps.device)
        self._samples = self._split()
        self._started = False

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations."""
        return self._maps.dtype

    def __next__(self) -> tuple[int, Tensor]:
        self._started = True
        return next(self._samples)

    def _split(self) -> Iterator[tuple[int, Tensor]]:
        rows = self._maps.permute(0, 2, 3, 1).reshape(-1, self._maps.shape[1])
        yield 0, rows
        for label in _present(self._labels).tolist():
            here = (self._labels == label).any(1).reshape(-1)
            yield label, rows[here]

    def indicator_counts(self) -> list[tuple[int, int, Tensor]] | None:
        """(label, pixels, int64 [units] of them where the unit is 1) for each pair that would be yielded.

        One product of zeros and ones an image instead of a gather a label. None if the activations are not all 0
        and 1, or something was already taken from the iterator. float32 adds an image's ones exactly below 2^24.
        """
        _, units, height, width = self._maps.shape
        if self._started or not height * width < 1 << 24 or not _is_indicator(self._maps):
            return None
        present = _present(self._labels)
        labels = torch.cat([present.new_zeros(1), present])
        sizes = labels.new_zeros(len(labels), dtype=torch.int64)
        ones = torch.zeros(len(labels), units, dtype=torch.int64, device=self._maps.device)
        for maps, channels in zip(self._maps, self._labels, strict=True):
            own = torch.cat([present.new_zeros(1), _present(channels)])
            members = (channels.reshape(1, len(channels), -1) == own[:, None, None]).any(1)
            members[0] = True
            at = torch.searchsorted(labels, own)
            flat = maps.reshape(units, -1).to(torch.float32)
            ones[at] += (members.to(torch.float32) @ flat.t()).to(torch.int64)
            sizes[at] += members.sum(1)
        return [(*pair, count) for *pair, count in zip(labels.tolist(), sizes.tolist(), ones, strict=True)]


def _present(labels: Tensor) -> Tensor:
    """The labels above 0 that occur, ascending, int64."""
    if labels.numel() and int(labels.max()) > _DENSE:
        found: Tensor = torch.unique(labels).long()
        return found[found > 0]
    return torch.bincount(labels.reshape(-1), minlength=1)[1:].nonzero()[:, 0] + 1


def _is_indicator(maps: Tensor) -> bool:
    """True if all values are 0 or 1."""
    if maps.dtype == torch.bool or not maps.numel():
        return True
    low, high = maps.aminmax()
    if not maps.dtype.is_floating_point:
        return bool(low >= 0) and bool(high <= 1)
    # Between 0 and 1 only whole numbers equal their ceiling; 1 - x is never rounded to 0 for x < 1.
    return bool(low >= 0) and bool(high <= 1) and bool(maps.ceil().sub_(maps).amax() == 0)
