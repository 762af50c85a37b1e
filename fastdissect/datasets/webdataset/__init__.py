"""Tar shards of the `webdataset` library."""

from __future__ import annotations

from fastdissect.datasets.webdataset.dataset import WebDataset

__all__ = ["WebDataset"]
