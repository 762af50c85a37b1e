"""`voc-context:PATH`, PASCAL Context: every pixel of VOC 2010's training and validation images labelled.

The release, 459 labels (read by scipy), and the 59 most frequent of them as PNGs, as segmentation toolboxes write them:

    PATH/labels.txt                     1: accordion
    PATH/trainval/2008_000002.mat       LabelMap, height x width, 1-459

    PATH/VOC2010/SegmentationClassContext/2008_000002.png           0 = background, 1-59
    PATH/VOC2010/ImageSets/SegmentationContext/train.txt, val.txt

    PATH/JPEGImages, PATH/VOC2010/JPEGImages, PATH/VOCdevkit/VOC2010/JPEGImages, or the same beside PATH

Source: Mottaghi et al., "The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014.
The 59 are numbered by the rank of their number among the 459 (MMSegmentation's conversion), which is how the PNGs are
found in practice; the paper's own 59_context_labels count in another order and do not carry this name.
Stuff counts as object, as in Broden; the label "unknown" is no label, also as there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.label_maps import LabelMap, LabelMapFiles
from fastdissect.datasets.listing import find_folder, list_names, named_path, spec_name
from fastdissect.datasets.matfiles import need_scipy, read_mat
from fastdissect.datasets.pascal.classes import VOC_RELATIONS, VOC_SYNONYMS
from fastdissect.datasets.pascal.context_labels import LABELS_59, read_label_list
from fastdissect.datasets.pascal.places import jpeg_folder, read_names, with_files
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["VocContext"]

_UNKNOWN = "unknown"


class VocContext(LabelMapFiles):
    """PASCAL Context, with 459 or 59 labels. Label numbers are the files' own.

    Args:
        path: the folder with labels.txt and trainval/, or one that leads to SegmentationClassContext/.
        labels: "459" or "59"; None takes the 459 where their files are there.
        split: a list below ImageSets/SegmentationContext (59 labels), or None for every image with a map.
        images: the folder with VOC 2010's photographs, where it is not near.
        max_pixels: height x width that an image or map may have.

    Raises:
        BackendError: scipy is not installed (459 labels).
        DataError: a folder, table or image is missing; damaged maps show when they are read.
        SettingError: no such split, or `labels` is something else.

    Example:
        >>> len(VocContext("/data/pascal/context").concepts)  # doctest: +SKIP
        458
    """

    def __init__(
        self,
        path: str | Path,
        *,
        labels: str | None = None,
        split: str | None = None,
        images: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        if labels not in (None, "459", "59"):
            raise SettingError(f"labels is {labels!r}; expected 459 or 59.")
        years = ("", "VOC2010/", "VOCdevkit/VOC2010/")
        full = [name for name in (".", "context") if (self.path / name / "labels.txt").is_file()]
        self._mat = bool(full) if labels is None else labels == "459"
        if self._mat:
            home = self.path / (full[0] if full else ".")
            table = read_label_list(home / "labels.txt")
            self._maps, suffix = find_folder(home, ["trainval"], "a .mat file an image"), ".mat"
            need_scipy()
        else:
            table = dict(enumerate(LABELS_59, 1))
            places = [f"{year}SegmentationClassContext" for year in years]
            self._maps, suffix = (
                find_folder(self.path, places, "a PNG an image (or labels.txt and trainval/)"),
                ".png",
            )
        self._void = [number for number, name in table.items() if name == _UNKNOWN]
        names = [(self._maps.name, name.removesuffix(suffix)) for name in list_names(self._maps, (suffix,))]
        if split is not None:
            lists = find_folder(
                self.path, [f"{year}ImageSets/SegmentationContext" for year in years], "lists of splits"
            )
            names = read_names(lists, split, self.path)
        images = named_path(images, "images")
        photographs = jpeg_folder(self.path, images)
        files = with_files(names, photographs)
        self._files = tuple(with_files(names, self._maps, (suffix,), "map"))
        super().__init__(
            spec_name("voc-context", self.path, max_pixels, labels=labels, split=split, images=images),
            photographs,
            files,
            make_concepts({n: (name, 0) for n, name in table.items() if name != _UNKNOWN}, ("object",)),
            table="labels.txt" if self._mat else "PASCAL Context's list of 59 labels",
            max_pixels=max_pixels,
        )
        self._known[self._void] = True
        there = set(self.concepts.names)
        self.relations = tuple(relation for relation in VOC_RELATIONS if relation.child in there)
        self.synonyms = {name: other for name, other in VOC_SYNONYMS.items() if name in there}

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        labels = self.decode_map(index, self.mask_files(index)[0], _label_map if self._mat else None)
        for number in self._void:
            labels = np.where(labels == number, np.zeros_like(labels), labels)
        return (LabelChannel(0, labels),)

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self._maps / self._files[index],)


def _label_map(data: bytes, what: str) -> LabelMap:
    found = read_mat(data, what, "LabelMap")
    if not (isinstance(found, np.ndarray) and found.ndim == 2 and found.dtype.kind in "uif"):
        raise DataError(f"{what}: LabelMap is no map of numbers; expected height x width. Restore the file.")
    with np.errstate(invalid="ignore"):  # NaN is found by the comparison
        labels = found.astype(np.uint16)
    if not np.array_equal(labels, found):
        raise DataError(f"{what}: LabelMap holds a number that is no whole number from 0 to {MAX_LABEL}.")
    return labels
