"""`voc:PATH`, the segmentation masks of PASCAL VOC.

    VOCdevkit/VOC2012/                      PATH is VOC2012, VOCdevkit or its parent; the last year wins
        ImageSets/Segmentation/trainval.txt        one name a line: 2007_000032; also train.txt, val.txt
        JPEGImages/2007_000032.jpg
        SegmentationClass/2007_000032.png          palette: 0 = background, 1-20 = class, 255 = void

Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010 (its development kit).
Background and void are no label. Label numbers are the set's own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.label_maps import LabelMapFiles
from fastdissect.datasets.listing import spec_name
from fastdissect.datasets.pascal.classes import VOC_CLASSES, VOC_RELATIONS, VOC_SYNONYMS
from fastdissect.datasets.pascal.places import read_names, with_files, year_folder
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.types import LabelChannel

__all__ = ["Voc"]

_VOID = 255


class Voc(LabelMapFiles):
    """Twenty classes of PASCAL VOC as objects.

    Args:
        path: VOC2012, VOCdevkit or the folder that holds it.
        split: the list below ImageSets/Segmentation: "train", "val", "trainval", or another that is there.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a folder, list or image is missing; damaged masks show when they are read.
        SettingError: there is no such list.

    Example:
        >>> Voc("/data/VOCdevkit/VOC2012", split="val").concepts.names[:2]  # doctest: +SKIP
        ('aeroplane', 'bicycle')
    """

    relations = VOC_RELATIONS
    synonyms = VOC_SYNONYMS

    def __init__(self, path: str | Path, *, split: str = "trainval", max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        year = year_folder(self.path, "SegmentationClass")
        names = read_names(year / "ImageSets" / "Segmentation", split, self.path)
        images = with_files(names, year / "JPEGImages")
        self._masks = year / "SegmentationClass"
        self._files = tuple(with_files(names, self._masks, (".png",), "mask"))
        super().__init__(
            spec_name("voc", self.path, max_pixels, split=None if split == "trainval" else split),
            year / "JPEGImages",
            images,
            make_concepts({n: (name, 0) for n, name in enumerate(VOC_CLASSES, 1)}, ("object",)),
            table="PASCAL VOC's list of 20 classes (255 = void)",
            max_pixels=max_pixels,
        )
        self._known[_VOID] = True

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        labels = self.decode_map(index, self.mask_files(index)[0])
        return (LabelChannel(0, np.where(labels == _VOID, np.uint8(0), labels)),)

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self._masks / self._files[index],)
