"""The coupled problem on a device: blocks of examples, and each matrix's scale and weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastdissect.errors import ActivationError, SettingError
from fastdissect.methods.factorization.matrices import FeatureMatrix, check_together
from fastdissect.methods.factorization.row_reading import RowReader
from fastdissect.methods.factorization.settings import FactorizationSettings

__all__ = ["Problem", "Side", "on_device"]


@dataclass(frozen=True, eq=False)
class Side:
    """What the rule needs to know of a matrix besides its values.

    Attributes:
        scale: its values are divided by it.
        weight: of its squared error in the objective.
        square: ||X / scale||^2. mean: of X / scale.
        dead: int64, features that are 0 in every example.
        ridge, linear: of its loadings' penalty.
    """

    scale: float
    weight: float
    square: float
    mean: float
    dead: NDArray[np.int64]
    ridge: float
    linear: float


class Problem:
    """Matrices that are read block by block into buffers of their own.

    Memory: a block of all matrices (block * features * 4 bytes: 115 MB for 1,024 examples of 28,160 features), once on
    the host and, for another device than the CPU, once there; what a memory map holds is never touched, its file is read.

    Use as a context manager: it holds the maps' files open.
    """

    def __init__(
        self,
        matrices: Sequence[FeatureMatrix],
        block: int,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.examples = check_together(matrices)
        self.matrices, self.device, self.dtype = tuple(matrices), on_device(device), dtype
        self.block = min(block, self.examples)
        self.sides: tuple[Side, ...] = ()
        with ExitStack() as opening:
            self._readers = [opening.enter_context(RowReader(one.values)) for one in matrices]
            self._open = opening.pop_all()
        self._buffers = [torch.empty(self.block, one.features, dtype=torch.float32) for one in matrices]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(self, first: int, last: int) -> list[Tensor]:
        """Return examples `first` to `last` of every matrix, [last - first, features] on the device, until the next call."""
        blocks = []
        for reader, buffer in zip(self._readers, self._buffers, strict=True):
            part = buffer[: last - first]
            reader.read(first, last, part.numpy())
            blocks.append(part.to(self.device, self.dtype))
        return blocks

    def parts(self, first: int = 0, last: int | None = None) -> list[tuple[int, int]]:
        """Blocks of examples from `first` to `last`."""
        end = self.examples if last is None else last
        return [(at, min(at + self.block, end)) for at in range(first, end, self.block)]

    def survey(self, settings: FactorizationSettings) -> None:
        """Read everything once: check the values, and find each matrix's scale, weight and dead features.

        Raises:
            ActivationError: negative or non-finite values; the message names the matrix. SettingError: all values are 0.
        """
        squares = [0.0 for _ in self.matrices]
        sums = [torch.zeros(one.features, dtype=torch.float64, device=self.device) for one in self.matrices]
        for first, last in self.parts():
            for i, block in enumerate(self.read_checked(first, last)):
                square, total = _squared_and_summed(block)
                squares[i] += square
                sums[i] += total
        if not any(squares):
            raise SettingError(
                "expected a matrix with a value above 0; got zeros alone in "
                f"{', '.join(one.name for one in self.matrices)}: there is nothing to factorise"
            )
        pictures = sum(one.kind == "pixels" for one in self.matrices)
        sides = []
        for one, square, total in zip(self.matrices, squares, sums, strict=True):
            scale = math.sqrt(square / self.examples) if square and not settings.faithful else 1.0
            shared = one.kind == "pixels" and settings.weights == "picture" and not settings.faithful
            ridge, linear = settings.loadings_penalty(one.kind)
            sides.append(
                Side(
                    scale=scale,
                    weight=1 / pictures if shared else 1.0,
                    square=square / scale**2,
                    mean=float(total.sum()) / scale / one.features / self.examples,
                    dead=np.flatnonzero((total == 0).cpu().numpy()),
                    ridge=ridge,
                    linear=linear,
                )
            )
        self.sides = tuple(sides)

    def read_checked(self, first: int, last: int) -> list[Tensor]:
        """`read`, and look at every value.

        Raises:
            ActivationError: negative or non-finite values; the message names the matrix.
        """
        blocks = self.read(first, last)
        for one, block in zip(self.matrices, blocks, strict=True):
            low, high = (float(bound) for bound in block.aminmax())
            if not (math.isfinite(low) and math.isfinite(high)):
                row = first + int((~block.isfinite()).any(1).nonzero()[0])
                raise ActivationError(
                    f"matrix {one.name!r}: expected finite values; got NaN or an infinity in example {row:,}: "
                    "correct the network or the pictures, or leave the example out"
                )
            if low < 0:
                row = first + int((block < 0).any(1).nonzero()[0])
                raise ActivationError(
                    f"matrix {one.name!r}: expected values of at least 0; got {low:g} (first in example {row:,}): take "
                    "a layer behind a ReLU, or have negative values set to 0 with rectify=True (--rectify)"
                )
        return blocks


def _squared_and_summed(block: Tensor) -> tuple[float, Tensor]:
    """||X||^2, and the sum of each column.

    Rows and columns are added in the block's own dtype, twenty times as fast as in float64, where squares neither overflow
    nor vanish.
    """
    wide = block if 1e-12 < float(block.max()) < 1e12 else block.double()
    square = float(torch.linalg.vector_norm(wide, dim=1).double().square().sum())
    return square, torch.ones(len(wide), dtype=wide.dtype, device=wide.device) @ wide


def on_device(device: str) -> torch.device:
    """The torch device of that name.

    Raises:
        SettingError: torch has no such device here.
    """
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise SettingError(
            f'expected a device that torch has here, such as "cpu" or "cuda"; got {device!r}: {reason}'
        ) from error
