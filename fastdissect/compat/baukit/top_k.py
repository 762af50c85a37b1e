"""TopK and History, as baukit has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdissect.compat.baukit.stat import Stat, features_of
from fastdissect.compat.running.batches import require_tensor
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.states import read_top_k, top_k_fields
from fastdissect.compat.running.top_k import TopK as Top

__all__ = ["History", "TopK"]


class TopK(Stat):
    """The k largest values of each feature and the numbers of their samples.

    Equal values come in the order of their indices (baukit's order is torch.topk's, which is not specified); the
    result does not depend on how the data were cut into batches. NaN counts as the greatest value.

    Args:
        k: values to keep a feature.
        largest: False for the smallest.
        state: a file or dictionary that this class or baukit's wrote.

    >>> top = TopK(k=2)
    >>> top.add(torch.tensor([[1.0], [3.0], [3.0]]))
    >>> [part.tolist() for part in top.topk()]
    [[[3.0, 3.0]], [[1, 2]]]
    """

    def __init__(self, k: int = 100, largest: bool = True, state: Any = None) -> None:
        self._top = Top(k, largest)
        self.data_shape: tuple[int, ...] | None = None
        if state is not None:
            self.load_state_dict(state)

    @property
    def k(self) -> int:
        return self._top.k

    @property
    def count(self) -> int:
        return self._top.count

    @property
    def largest(self) -> bool:
        return self._top.largest

    def add(self, x: Any, index: Any = None) -> None:
        """Take a batch, [samples, ...]; all dimensions but the first are features.

        Args:
            x: any real dtype.
            index: int64 [samples], what to remember instead of the sample's number.
        """
        data, shape = features_of(x, self.data_shape, "TopK.add")
        self._top.add(data, None if index is None else torch.as_tensor(index))
        self.data_shape = shape

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def topk(self, sorted: bool = True, flat: bool = False) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """(values, indices), [*features, min(k, count)] each, best first whatever `sorted` says."""
        values, index = self._top.result()
        if flat:
            return values, index
        shape = (*(self.data_shape or ()), values.shape[1])
        return values.view(shape), index.view(shape)

    def to_(self, device: torch.device | str) -> None:
        self._top.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields."""
        fields = top_k_fields(self._top, self.data_shape or ())
        return {"constructor": "baukit.runningstats.TopK()", **fields}

    def load_state_dict(self, state: Any) -> None:
        self._top, self.data_shape = read_top_k(Fields(state, ("TopK", "RunningTopK")))


class History(Stat):
    """All data that were added, put together along the first dimension.

    Args:
        data: what to begin with.
        state: a file or dictionary that this class or baukit's wrote.
    """

    def __init__(self, data: Tensor | None = None, state: Any = None) -> None:
        self._parts: list[Tensor] = [] if data is None else [data]
        if state is not None:
            self.load_state_dict(state)

    def add(self, x: Any) -> None:
        """Take a batch; it is kept as it is, not copied."""
        self._parts.append(require_tensor(x, "History.add"))

    def history(self) -> Tensor | None:
        """All of it; None if nothing was added."""
        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts)]
        return self._parts[0] if self._parts else None

    def to_(self, device: torch.device | str) -> None:
        self._parts = [part.to(device) for part in self._parts]

    def state_dict(self) -> dict[str, Any]:
        """baukit's fields."""
        data = self.history()
        array = None if data is None else data.cpu().numpy()
        return {"constructor": "baukit.runningstats.History()", "data": array}

    def load_state_dict(self, state: Any) -> None:
        fields = Fields(state, "History")
        dims = np.ndim(fields.state.need("data", "an array, or null"))
        self._parts = [fields.tensor("data", dims, "biuf")] if fields.has("data") else []
