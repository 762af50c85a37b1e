"""What is factorised together: matrices of non-negative features, a row an example.

The paper's D_c and A_j are their transposes. Rows are examples here because that is how a network gives them, and because
everything that an iteration needs of an example is in its row: one reading of the data an iteration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import SettingError, nearest

__all__ = ["KINDS", "FeatureMatrix", "check_together"]

KINDS = ("pixels", "neurons", "features")


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """One matrix of the coupled problem.

    Attributes:
        name: "red", "green", "blue"; a layer's name; or any other, each once in a problem.
        kind: "pixels" (a latent image can be drawn from it), "neurons" (of a layer) or "features" (anything else).
        shape: (channels, height, width) of an example; features without places have (features, 1, 1).
        values: float32 [examples, channels * height * width], finite, >= 0, C-contiguous rows; an array, or a memory map
            that is read block by block. The values themselves are looked at when they are first read, by
            `factorize_matrices` and `project`.

    Raises:
        SettingError: a name, kind, shape or dtype that does not hold this.

    >>> FeatureMatrix("layer4", "neurons", (512, 1, 1), np.ones((3, 512), np.float32)).examples
    3
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name:
            raise SettingError(f"expected a matrix's name as text; got {name!r}")
        if self.kind not in KINDS:
            raise SettingError(
                f"matrix {self.name!r}: expected a kind of {', '.join(KINDS)}; got {self.kind!r}"
                f"{nearest(str(self.kind), KINDS)}"
            )
        shape: tuple[Any, ...] = tuple(self.shape)
        if len(shape) != 3 or any(not isinstance(n, int | np.integer) or n < 1 for n in shape):
            raise SettingError(
                f"matrix {self.name!r}: expected shape (channels, height, width), each at least 1; got {self.shape!r}"
            )
        values: Any = self.values
        if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != 2:
            got = (
                f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
            )
            raise SettingError(
                f"matrix {self.name!r}: expected values as a NumPy array or memory map, float32 [examples, "
                f"{self.features:,}]; got {got}"
            )
        if values.shape[1] != self.features:
            raise SettingError(
                f"matrix {self.name!r}: expected {self.features:,} features for shape {tuple(self.shape)}; "
                f"got {values.shape[1]:,} columns"
            )

    @property
    def examples(self) -> int:
        return len(self.values)

    @property
    def features(self) -> int:
        return math.prod(self.shape)


def check_together(matrices: Sequence[FeatureMatrix]) -> int:
    """Return the number of examples that the matrices share.

    Raises:
        SettingError: none, other things than matrices, a name twice, no examples, or unequal numbers of them.
    """
    if not matrices or not all(isinstance(one, FeatureMatrix) for one in matrices):
        raise SettingError(
            f"expected one FeatureMatrix or more; got {[type(one).__name__ for one in matrices]}"
        )
    names = [one.name for one in matrices]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(f"expected each matrix under its own name; got {', '.join(twice)} more than once")
    examples = matrices[0].examples
    if len({one.examples for one in matrices}) > 1:
        counts = ", ".join(f"{one.name} {one.examples:,}" for one in matrices)
        raise SettingError(
            f"expected the same examples in every matrix; got numbers of examples {counts}: gather them in one pass"
        )
    if not examples:
        raise SettingError("expected one example or more; got none")
    return examples
