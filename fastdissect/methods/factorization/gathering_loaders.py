"""DataLoaders without masks: batches of images alone, or of images and class numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import DataError, SettingError

__all__ = ["ClassPairs"]


class ClassPairs:
    """A loader's batches as pairs of images and numbers: their classes, or zeros where images come alone."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self._seen: list[NDArray[np.int64]] = []
        self._bare = True
        if hasattr(loader, "dataset"):
            self.dataset = loader.dataset

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._seen = []
        for batch in self.loader:
            images, labels = self._pair(batch)
            self._seen.append(labels.numpy().astype(np.int64))
            yield images, labels

    def sized(self) -> Any:
        """The same, with a length where the loader has one."""
        return list(self) if isinstance(self.loader, list | tuple) else self

    def labels(self, images: int) -> NDArray[np.int64] | None:
        return None if self._bare or not self._seen else np.concatenate(self._seen)[:images]

    def _pair(self, batch: Any) -> tuple[Tensor, Tensor]:
        parts = (
            [batch] if isinstance(batch, Tensor) else list(batch) if isinstance(batch, tuple | list) else []
        )
        if len(parts) not in (1, 2) or not isinstance(parts[0], Tensor):
            raise DataError(
                "expected a DataLoader of images, or of (images, classes); got a batch of type "
                f"{type(batch).__name__}; wrap the data set, or pass a collate_fn"
            )
        images = parts[0]
        if len(parts) == 1:
            return images, torch.zeros(len(images), dtype=torch.int64)
        labels = torch.as_tensor(parts[1]).detach().cpu()
        if labels.is_floating_point() or labels.is_complex() or labels.shape != images.shape[:1]:
            raise SettingError(
                f"expected a class number for each of {len(images)} images; got {labels.dtype} "
                f"{list(labels.shape)}; with label maps give their names (concepts=)"
            )
        self._bare = False
        return images, labels
