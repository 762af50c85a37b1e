"""Tables of the `datasets` library."""

from __future__ import annotations

from fastdissect.datasets.huggingface.dataset import HuggingFace

__all__ = ["HuggingFace"]
