"""PASCAL VOC: segmentation, Context, and Parts."""

from __future__ import annotations
