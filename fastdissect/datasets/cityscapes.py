"""`cityscapes:PATH`, street scenes of 50 cities.

    leftImg8bit/<split>/<city>/<city>_000000_000019_leftImg8bit.png
    gtFine/<split>/<city>/<city>_000000_000019_gtFine_labelIds.png         8-bit grey, the ids below
    gtCoarse/<split>/<city>/<city>_000000_000019_gtCoarse_labelIds.png     the same, coarse; also of train_extra

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016; ids and groups as in
labels.py of cityscapesScripts. Label numbers are those ids. Ids 0-3 (unlabeled, ego vehicle, rectification
border, out of roi) say why a pixel was left out and are never labels; nor is -1 (license plate, 255 where written).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.label_maps import LabelMapFiles
from fastdissect.datasets.listing import check_pairs, list_names, spec_name
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.types import LabelChannel

__all__ = ["Cityscapes"]

_EVALUATED = {
    "flat": {7: "road", 8: "sidewalk"},
    "construction": {11: "building", 12: "wall", 13: "fence"},
    "object": {17: "pole", 19: "traffic light", 20: "traffic sign"},
    "nature": {21: "vegetation", 22: "terrain"},
    "sky": {23: "sky"},
    "human": {24: "person", 25: "rider"},
    "vehicle": {26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"},
}
_RARE = {
    "void": {4: "static", 5: "dynamic", 6: "ground"},
    "flat": {9: "parking", 10: "rail track"},
    "construction": {14: "guard rail", 15: "bridge", 16: "tunnel"},
    "object": {18: "polegroup"},
    "vehicle": {29: "caravan", 30: "trailer"},
}
_NEVER = (0, 1, 2, 3, 255)
_IMAGE = "_leftImg8bit.png"


class Cityscapes(LabelMapFiles):
    """The 19 classes of the benchmark as objects, with their groups as is-a relations.

    Args:
        path: the folder with leftImg8bit/ and the annotations.
        split: "train", "val", "test" or "train_extra"; None takes all that are annotated, without test, whose public
            masks mark left-out pixels alone.
        annotations: "gtFine" or "gtCoarse".
        ignored: also the 11 classes that the benchmark ignores for their rarity or vagueness: static, dynamic,
            ground, parking, rail track, guard rail, bridge, tunnel, polegroup, caravan, trailer.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a folder, image or mask is missing; damaged masks show when they are read.
        SettingError: there is no such split or kind of annotation.

    Example:
        >>> len(Cityscapes("/data/cityscapes", split="val").concepts)  # doctest: +SKIP
        19
    """

    def __init__(
        self,
        path: str | Path,
        *,
        split: str | None = None,
        annotations: str = "gtFine",
        ignored: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        if annotations not in ("gtFine", "gtCoarse"):
            raise SettingError(f"annotations is {annotations!r}; expected gtFine or gtCoarse.")
        for folder in ("leftImg8bit", annotations):
            if not (self.path / folder).is_dir():
                raise DataError(
                    f"{self.path} has no folder {folder}/; expected leftImg8bit/ and {annotations}/."
                )
        there = sorted(
            folder.name
            for folder in (self.path / annotations).iterdir()
            if folder.is_dir() and folder.name[0] != "."
        )
        if split is not None and split not in there:
            raise SettingError(
                f"{self.path / annotations} has no split {split!r}; there are {', '.join(there)}"
                f"{nearest(split, there)}."
            )
        splits = [split] if split is not None else [name for name in there if name != "test"]
        self._annotations, self._mask = annotations, f"_{annotations}_labelIds.png"
        shown = [_EVALUATED, _RARE] if ignored else [_EVALUATED]
        labels = {
            number: (name, 0)
            for groups in shown
            for group in groups.values()
            for number, name in group.items()
        }
        super().__init__(
            spec_name(
                "cityscapes",
                self.path,
                max_pixels,
                split=split,
                annotations=annotations if annotations != "gtFine" else None,
                ignored=ignored,
            ),
            self.path / "leftImg8bit",
            [image for name in splits for image in self._pairs(name)],
            make_concepts(labels, ("object",)),
            table="the list of Cityscapes' ids (-1 to 33)",
            content=(annotations,),
            max_pixels=max_pixels,
        )
        self._shown = self._known.copy()
        self._known[list(_NEVER)] = True
        self._known[[number for group in _RARE.values() for number in group]] = True
        self.relations = tuple(
            Relation(name, group, "is-a")
            for groups in shown
            for group, members in groups.items()
            for name in members.values()
            if name != group
        )

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        labels = self.decode_map(index, self.mask_files(index)[0])
        return (LabelChannel(0, np.where(self._shown.take(labels), labels, np.zeros_like(labels))),)

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self.path / self._annotations / f"{self.image_name(index).removesuffix(_IMAGE)}{self._mask}",)

    def _pairs(self, split: str) -> list[str]:
        """The images of a split, each with its mask."""
        images, masks = (
            self._listed("leftImg8bit", split, _IMAGE),
            self._listed(self._annotations, split, self._mask),
        )
        check_pairs(images, masks, f"{self.path}, split {split}")
        return [f"{stem}{_IMAGE}" for stem in images]

    def _listed(self, folder: str, split: str, suffix: str) -> list[str]:
        """Files of a split that end so, without this end."""
        home = self.path / folder / split
        cities = sorted(city.name for city in home.iterdir() if city.is_dir()) if home.is_dir() else []
        return [
            f"{split}/{city}/{name.removesuffix(suffix)}"
            for city in cities
            for name in list_names(home / city, (suffix.lower(),))
        ]
