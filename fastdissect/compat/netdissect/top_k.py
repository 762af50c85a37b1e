"""RunningTopK and RunningConditionalTopK, as netdissect.runningstats has them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from fastdissect.compat.netdissect.conditional import Conditional
from fastdissect.compat.running.batches import require_tensor
from fastdissect.compat.running.fields import Fields
from fastdissect.compat.running.states import read_top_k, top_k_fields
from fastdissect.compat.running.top_k import TopK
from fastdissect.errors import ActivationError

__all__ = ["RunningConditionalTopK", "RunningTopK"]


class RunningTopK:
    """The k largest values of each feature and the numbers of their samples.

    Equal values come in the order of their indices (the peer's order is torch.topk's, which is not specified);
    the result does not depend on how the data were cut into batches. NaN counts as the greatest value.

    Args:
        k: values to keep a feature.
        largest: False for the smallest.
        state: a file or dictionary that this class or the peer's wrote.

    Raises:
        SettingError: k is no whole number of at least 1.
        OutputError: the state is of another class, damaged, or lacks a field.

    >>> top = RunningTopK(k=2)
    >>> top.add(torch.tensor([[1.0, 5.0], [3.0, 2.0], [2.0, 4.0]]))
    >>> top.result()[1].tolist()
    [[1, 2], [0, 2]]
    """

    def __init__(self, k: int = 100, largest: bool = True, state: Any = None) -> None:
        self._top = TopK(k, largest)
        self.data_shape: tuple[int, ...] | None = None
        if state is not None:
            self.set_state_dict(state)

    @property
    def k(self) -> int:
        return self._top.k

    @property
    def count(self) -> int:
        return self._top.count

    @property
    def largest(self) -> bool:
        return self._top.largest

    @property
    def top_data(self) -> Tensor:
        """[features, min(k, count)], best first (the peer's is a wider buffer in no order)."""
        return self._top.result()[0]

    @property
    def top_index(self) -> Tensor:
        """int64, as `top_data`."""
        return self._top.result()[1]

    def add(self, data: Tensor, index: Tensor | None = None) -> None:
        """Take a batch, [samples, ...]; all dimensions but the first are features.

        Args:
            data: any real dtype.
            index: int64 [samples], what to remember instead of the sample's number.

        Raises:
            ActivationError: no tensor, another shape of a sample, dtype or device than before.
        """
        data = require_tensor(data, "RunningTopK.add")
        if not data.dim():
            raise ActivationError("RunningTopK.add: expected [samples, ...]; got a single number")
        shape = tuple(data.shape[1:])
        if self.data_shape is not None and shape != self.data_shape:
            raise ActivationError(
                f"RunningTopK.add: expected samples of shape {self.data_shape} as in the first batch; got {shape}"
            )
        self._top.add(
            data.reshape(len(data), shape_size(shape)), None if index is None else torch.as_tensor(index)
        )
        self.data_shape = shape

    def size(self) -> int:
        """Samples seen."""
        return self.count

    def result(self, sorted: bool = True, flat: bool = False) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """(values, indices), [*features, min(k, count)] each, best first whatever `sorted` says.

        Args:
            sorted: accepted as the peer does.
            flat: features as one dimension.
        """
        values, index = self._top.result()
        if flat:
            return values, index
        shape = (*(self.data_shape or ()), values.shape[1])
        return values.view(shape), index.view(shape)

    def to_(self, device: torch.device | str) -> None:
        """Move what is kept to a device."""
        self._top.to_(device)

    def state_dict(self) -> dict[str, Any]:
        """The peer's fields."""
        values, _ = self._top.result()
        shape = self.data_shape if self.data_shape is not None else (len(values),)
        return {"constructor": "netdissect.runningstats.RunningTopK()", **top_k_fields(self._top, shape)}

    def set_state_dict(self, dic: Any) -> None:
        """Go on from a state: a path, an open `.npz`, or a dictionary."""
        self._top, self.data_shape = read_top_k(Fields(dic, ("RunningTopK", "TopK")))


class RunningConditionalTopK(Conditional[RunningTopK]):
    """A RunningTopK a condition (the peer's ignores `k`; this one does not).

    Args:
        k: values to keep a feature and condition; 100 if not given.
        state: a file or dictionary that this class or the peer's wrote.
    """

    statistic = RunningTopK

    def __init__(self, k: int | None = None, state: Any = None) -> None:
        self.k = 100 if k is None else k
        RunningTopK(self.k)
        super().__init__(state)

    @property
    def running_topk(self) -> dict[Hashable, RunningTopK]:
        return self.conditionals

    @property
    def count(self) -> int:
        """Samples seen under any condition."""
        return sum(top.count for top in self.conditionals.values())

    def add(self, condition: Hashable, data: Tensor, index: Tensor | None = None) -> None:
        """Take a batch of samples of one condition."""
        self.of(condition, lambda: RunningTopK(self.k)).add(data, index)

    def set_state_dict(self, dic: Any) -> None:
        super().set_state_dict(dic)
        self.k = max((top.k for top in self.conditionals.values()), default=self.k)


def shape_size(shape: tuple[int, ...]) -> int:
    """Features in a sample of this shape; a single number is one."""
    return torch.Size(shape).numel()
