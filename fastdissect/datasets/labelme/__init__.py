"""Outlines drawn with labelme."""

from __future__ import annotations

from fastdissect.datasets.labelme.dataset import Labelme

__all__ = ["Labelme"]
