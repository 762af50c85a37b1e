"""What a watched forward pass has shown so far; the rules of reading look it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from fastdissect.models.grids import Grids
from fastdissect.models.outputs import Layout, TokenGrid
from fastdissect.models.readings import Reading
from fastdissect.models.shifted_windows import ShiftedWindows
from fastdissect.models.special_tokens import SpecialTokens

__all__ = ["IMAGES", "Call", "Watch"]

IMAGES = 2  # of the pass: what folds something else into the batch has another number


@dataclass(eq=False)
class Call:
    """A module that is being called: what it was handed, and what the modules inside it gave so far."""

    name: str
    module: nn.Module
    input: Tensor | None
    gave: list[tuple[str, Reading]] = field(default_factory=list)
    held: list[Tensor] = field(
        default_factory=list
    )  # the same as tensors, in a block that cuts windows alone
    windows: ShiftedWindows | None = None  # proven, of such a block
    attention: str = ""  # the module that they are handed to

    @property
    def cuts_windows(self) -> bool:
        return hasattr(self.module, "window_size") and hasattr(self.module, "shift_size")


@dataclass(eq=False)
class Watch:
    """What a pass has shown so far."""

    size: tuple[int, int]
    layout: Layout
    tokens: TokenGrid | None
    grids: Grids
    special: dict[str, SpecialTokens]
    _read: Any = field(default_factory=WeakTensorKeyDictionary)  # of tensors that are still there
    counts: set[int] = field(default_factory=set)  # of tokens
    may_mix: bool = True  # the network may give tokens or channels last
    mixed: bool = False  # they were seen
    stack: list[Call] = field(default_factory=list)

    def reading_of(self, tensor: Tensor | None) -> Reading | None:
        """How a tensor was read, if a module gave this very tensor."""
        found = None if tensor is None else self._read.get(tensor)
        return None if found is None else found[0]

    def giver_of(self, tensor: Tensor) -> str:
        """Name of the last module that gave a tensor with a reading."""
        return str(self._read[tensor][1])

    def keep(self, tensor: Tensor, reading: Reading, name: str) -> None:
        if isinstance(tensor, nn.Parameter):
            return
        self._read[tensor] = reading, name
        if self.stack:
            self.stack[-1].gave.append((name, reading))
            if self.stack[-1].cuts_windows:
                self.stack[-1].held.append(tensor)
