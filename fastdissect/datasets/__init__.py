"""Data sets: images with labels, by name or from your own reader of `Dataset`.

protocol     what a data set is                opening   "broden:PATH", "folder:PATH", "shapes"
shapes/      a generator, built in             resize    images and label maps to other sizes
broden       Broden 1.1, its index.csv         writing   any data set -> Broden 1.1 (naming, label_tables,
             (index) and label tables                    with totals from tallying)
             (vocabulary)                      check     is a data set what it says? (tallying, overlays)
folder       our own simplest format           files, paths, tables, decoding   what readers share
             (folder_tables)
"""

from __future__ import annotations

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
