"""`imagenet-s:PATH`, ImageNet-S: masks of the main objects of ImageNet's images.

    ImageNetS919/ (PATH; also ImageNetS300, ImageNetS50)
        validation/n01440764/ILSVRC2012_val_00009111.JPEG
        validation-segmentation/n01440764/ILSVRC2012_val_00009111.png     RGB: R + 256 G, 0 = other, 1000 = ignored
        train-semi/..., train-semi-segmentation/...                       the same for ten training images a class
    ImageNetS_categories_im919.txt      a wnid a line; in PATH or beside it (optional)

Source: Gao et al., "Large-scale Unsupervised Semantic Segmentation", TPAMI 2022 (github.com/LUSSeg/ImageNet-S). Class
n is the n-th wnid in sorted order; the wnids are those of the list, else the class folders.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS, decode_label_map
from fastdissect.datasets.image_files import IMAGE_SUFFIXES
from fastdissect.datasets.label_maps import LabelMap, LabelMapFiles, check_rgb
from fastdissect.datasets.listing import by_stem, check_pairs, list_names, named_path, read_lines, spec_name
from fastdissect.datasets.tables import read_table
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["ImageNetS"]

_IGNORED = 1000


class ImageNetS(LabelMapFiles):
    """ImageNet's classes as objects, with masks. Label numbers are the set's own.

    Args:
        path: ImageNetS919, ImageNetS300 or ImageNetS50.
        split: "validation" or "train-semi"; another folder of images that has no masks (test) is unlabelled.
        names: a CSV file with the columns wnid and name, for readable labels; without it labels are wnids. A name
            that two classes share (ImageNet has two cranes) gets its wnid behind it: "crane (n03126707)".
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a folder, mask or class is missing, or `names` is wrong; damaged masks show when they are read.
        SettingError: there is no such split.

    Example:
        >>> ImageNetS("/data/ImageNetS50", names="wnids.csv").concepts.names[0]  # doctest: +SKIP
        'goldfish'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        split: str = "validation",
        names: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        if not self.path.is_dir():
            raise DataError(f"{self.path} is no folder; expected ImageNetS919 or one like it.")
        there = [each for each in _folders(self.path) if not each.endswith("-segmentation")]
        if split not in there:
            raise SettingError(f"{self.path} has no split {split!r}; there are {', '.join(there)}.")
        masks = self.path / f"{split}-segmentation"
        wnids = _wnids(self.path, masks if masks.is_dir() else self.path / split)
        images = [
            f"{wnid}/{name}"
            for wnid in _folders(self.path / split)
            for folder in [self.path / split / wnid]
            for name in by_stem(list_names(folder, IMAGE_SUFFIXES), folder).values()
        ]
        self._masks = masks if masks.is_dir() else None
        if self._masks:
            pairs = (
                f"{wnid}/{_stem(name)}"
                for wnid in _folders(masks)
                for name in list_names(masks / wnid, (".png",))
            )
            check_pairs(map(_stem, images), pairs, str(masks))
        names = named_path(names, "names")
        readable = _readable(Path(names), wnids) if names is not None else wnids
        super().__init__(
            spec_name(
                "imagenet-s",
                self.path,
                max_pixels,
                split=None if split == "validation" else split,
                names=names,
            ),
            self.path / split,
            images,
            make_concepts({number: (name, 0) for number, name in enumerate(readable, 1)}, ("object",)),
            table=f"the list of {len(wnids)} classes",
            max_pixels=max_pixels,
        )
        self._known[_IGNORED] = True

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return tuple(self._channel(index, path) for path in self.mask_files(index))

    def _channel(self, index: int, path: Path) -> LabelChannel:
        def decode(data: bytes, what: str) -> LabelMap:
            check_rgb(data, what)
            return decode_label_map(data, what, max_pixels=self.max_pixels)

        labels = self.decode_map(index, path, decode)
        return LabelChannel(0, np.where(labels == _IGNORED, np.zeros_like(labels), labels))

    def is_labelled(self, index: int) -> bool:
        del index
        return self._masks is not None

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self._masks / f"{_stem(self.image_name(index))}.png",) if self._masks else ()


def _stem(image: str) -> str:
    return image.rpartition(".")[0]


def _folders(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if each.is_dir() and each.name[0] != ".")


def _wnids(home: Path, classes: Path) -> list[str]:
    """The sorted wnids, whose ranks are the class numbers."""
    size = re.search(r"[0-9]+$", home.name)
    lists = [
        folder / f"ImageNetS_categories_im{size[0]}.txt" for folder in (home, home.parent) if size is not None
    ]
    found = next((path for path in lists if path.is_file()), None)
    if found:
        wnids = sorted(line for _, line in read_lines(found, f"the list {found.name}"))
        if len(set(wnids)) < len(wnids):
            raise DataError(f"{found} lists a class twice. Restore it.")
    else:
        wnids = _folders(classes)
    if (
        not wnids
        or len(wnids) >= _IGNORED
        or (home.name.startswith("ImageNetS") and size and len(wnids) != int(size[0]))
    ):
        raise DataError(
            f"{found or classes} has {len(wnids)} classes; {home.name} says {size[0] if size else 'another number'}, "
            "and the numbers of the masks are their ranks. Restore the folders, or put "
            f"{lists[0].name if lists else 'a list'} of the release beside them."
        )
    return wnids


def _readable(path: Path, wnids: list[str]) -> list[str]:
    table = read_table(path, ["wnid", "name"])
    wnid, name = table.columns.index("wnid"), table.columns.index("name")
    names = {fields[wnid]: fields[name].strip() for _, fields in table.rows()}
    missing = [each for each in wnids if not names.get(each)]
    if missing:
        raise DataError(f"{path} has no name for {len(missing)} classes, the first {missing[0]}. Add them.")
    found = [names[each] for each in wnids]
    return [
        f"{each} ({wnid})" if found.count(each) > 1 else each for each, wnid in zip(found, wnids, strict=True)
    ]
