"""Data sets: images with labels, by name or from your own reader of `Dataset`.

protocol      what a data set is (relations)     opening   "broden:PATH", "coco:FILE", "shapes", ...
image_files   what readers of files share        regions/  run lengths, outlines, overlapping masks
files, paths, tables, decoding, label_maps, listing, matfiles, mask_values     what they read with

shapes/       a generator, built in              folder    our own simplest format (folder_tables)
broden        Broden 1.1: index, vocabulary      coco/     COCO, LVIS, PACO, SA-1B
ade20k/, pascal/, cityscapes, dtd, opensurfaces, imagenet_s           as they are published
class_folders, labelme/, webdataset/, huggingface/, pairs/            the general forms
segmented/    labels made by a network           merging/  several sets as one
labelled      a part of a set

resize        images and label maps to other sizes
writing, writing_folder   any set in Broden's format or ours (writing_files, naming, label_tables, tallying)
check         is a data set what it says? (overlays, broden_totals)
"""

from __future__ import annotations

from typing import Any

from fastdissect.datasets.broden import Broden
from fastdissect.datasets.check import DatasetReport, check_dataset
from fastdissect.datasets.folder import Folder
from fastdissect.datasets.merging import Merged, merge_datasets
from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.pairs import Pairs
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.resize import resize_image, resize_labels
from fastdissect.datasets.shapes import Shapes
from fastdissect.datasets.writing import write_broden
from fastdissect.datasets.writing_folder import write_folder

__all__ = [
    "Broden",
    "Dataset",
    "DatasetReport",
    "Folder",
    "Merged",
    "Pairs",
    "Shapes",
    "check_dataset",
    "merge_datasets",
    "open_dataset",
    "resize_image",
    "resize_labels",
    "write_broden",
    "write_folder",
]

_WITH_TORCH = {
    "Generated": "generated",
    "Samples": "samples",
    "Segmented": "dataset",
    "Segmenter": "segmenter",
}


def __getattr__(name: str) -> Any:
    """Those that need torch, imported when they are asked for."""
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.segmented.{_WITH_TORCH[name]}"), name)
