"""A torch data set of (image, labels), as Python code has it."""

from __future__ import annotations

from fastdissect.datasets.pairs.dataset import Pairs

__all__ = ["Pairs"]
