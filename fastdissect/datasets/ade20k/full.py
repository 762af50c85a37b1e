"""`ade20k:PATH`, the full ADE20K: objects, their parts and the parts of these, and scenes; both releases.

    ADE20K_2016_07_26/                                    ADE20K_2021_17_01/
        index_ade20k.mat            (scipy reads it)
        images/training/a/abbey/                              images/ADE/training/urban/street/
            ADE_train_00000001.jpg                                ADE_train_00016869.jpg
            ADE_train_00000001_seg.png                            ADE_train_00016869_seg.png
            ADE_train_00000001_parts_1.png, _parts_2.png ...      ADE_train_00016869_parts_1.png ...
            ADE_train_00000001_atr.txt  (not read)                ADE_train_00016869.json
                                                                  ADE_train_00016869/instance_...  (not read)

    PNG, 8-bit RGB: class = (R // 10) * 256 + G, instance in B (not read); 0 = none

Source: Zhou et al., "Semantic Understanding of Scenes through the ADE20K Dataset", IJCV 2019; the releases' own
loaders (groups.csail.mit.edu/vision/datasets/ADE20K, github.com/CSAILVision/ADE20K).

Label numbers are the set's class numbers; scenes follow from 10001 by the rank of their name over all splits. A
level of parts is a channel of its own. A class may be object here and part there ("door"): its category is the one
it has more often. Scenes are the folders' ("abbey", "casino/outdoor"); misc and outliers are none. A class is named
by the first of its names, the others are synonyms; classes that begin alike keep the whole list. The 2021 release
states its numbers in the JSON files alone (and in a pickle, which is never loaded), so opening it reads them all:
about 0.6 ms each, some 20 s for 27,574; a split reads its own. 2016's index takes 2 s and, for a moment, 0.7 GB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.ade20k.releases import read_2016, read_2021
from fastdissect.datasets.ade20k.tree import find_tree, list_pictures, splits_of
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.label_maps import LabelMap, LabelMapFiles, decode_rgb
from fastdissect.datasets.listing import spec_name
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.types import LabelChannel

__all__ = ["Ade20k"]

_FIRST_SCENE = 10001
_OBJECT, _PART, _SCENE = 0, 1, 2


class Ade20k(LabelMapFiles):
    """ADE20K with all its classes.

    Args:
        path: the folder of a release, or the one that holds it (the later release, if both).
        split: "training" or "validation"; None takes both.
        max_pixels: height x width that an image or mask may have.

    Raises:
        BackendError: scipy is not installed (release of 2016).
        DataError: a folder, table, image or mask is missing; damaged masks show when they are read.
        SettingError: there is no such split.

    Example:
        >>> data = Ade20k("/data/ADE20K_2021_17_01", split="validation")  # doctest: +SKIP
        >>> data.synonyms["car"]  # doctest: +SKIP
        ('auto', 'automobile', 'machine', 'motorcar')
    """

    def __init__(self, path: str | Path, *, split: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        tree, is_2021 = find_tree(self.path)
        chosen = splits_of(tree, split)
        listed = {name: list_pictures(tree, name) for name in splits_of(tree, None)}
        pictures = [picture for name in chosen for picture in listed[name]]
        if is_2021:
            found = read_2021(tree / f"{_stem(picture.image)}.json" for picture in pictures)
        else:
            found = read_2016(tree.parent / "index_ade20k.mat")
        scenes = sorted({picture.scene for each in listed.values() for picture in each} - {""})
        numbers = {scene: number for number, scene in enumerate(scenes, _FIRST_SCENE)}
        labels = {n: (name, _PART if n in found.parts else _OBJECT) for n, name in found.names.items()}
        labels |= {number: (scene, _SCENE) for scene, number in numbers.items()}
        super().__init__(
            spec_name("ade20k", self.path, max_pixels, split=split),
            tree,
            [picture.image for picture in pictures],
            make_concepts(labels, ("object", "part", "scene")),
            table="the JSON files of the images" if is_2021 else "index_ade20k.mat",
            max_pixels=max_pixels,
        )
        self._levels = tuple(picture.levels for picture in pictures)
        self._scenes = tuple(numbers.get(picture.scene, 0) for picture in pictures)
        self.relations, self.synonyms = found.relations, found.synonyms
        # "-", class 1 of 2016, is a name for none.
        self._nameless = tuple(set() if is_2021 else {1} - found.names.keys())
        self._known[list(self._nameless)] = True

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        channels = [
            LabelChannel(_PART if level else _OBJECT, self._read_map(index, path))
            for level, path in enumerate(self.mask_files(index))
        ]
        if self._scenes[index]:
            channels.append(LabelChannel(_SCENE, self._scenes[index]))
        return tuple(channels)

    def _read_map(self, index: int, path: Path) -> LabelMap:
        def decode(data: bytes, what: str) -> LabelMap:
            pixels = decode_rgb(data, what, self.max_pixels)
            high = np.left_shift(pixels[..., 0] // np.uint8(10), 8, dtype=np.uint16)
            classes: NDArray[np.uint16] = np.add(high, pixels[..., 1], dtype=np.uint16)
            return classes

        labels = self.decode_map(index, path, decode)
        for number in self._nameless:
            labels[labels == number] = 0
        return labels

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        stem = _stem(self.image_name(index))
        kinds = ("seg", *(f"parts_{level}" for level in range(1, self._levels[index] + 1)))
        return tuple(self.root / f"{stem}_{kind}.png" for kind in kinds)


def _stem(image: str) -> str:
    return image.rpartition(".")[0]
