"""`ade20k-150:PATH`, the scene parsing benchmark: ADE20K with its 150 most frequent classes.

    ADEChallengeData2016/ (PATH or below it)
        images/training/ADE_train_00000001.jpg          images/validation/ADE_val_00000001.jpg
        annotations/training/ADE_train_00000001.png     8-bit grey, 0 = other, 1-150
        objectInfo150.txt         Idx Ratio Train Val Name, by tabs:    1 0.1576 11664 1172 wall
        sceneCategories.txt       ADE_train_00000001 airport_terminal   (optional)

Source: Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017 (sceneparsing.csail.mit.edu). Stuff counts as
object, as in Broden. Label numbers are the set's own; scenes follow from 151 by the rank of their name. Scenes called
misc or outliers say that there is none.
"""

from __future__ import annotations

import re
from pathlib import Path

from fastdissect.datasets.ade20k.names import class_names
from fastdissect.datasets.ade20k.tree import splits_of
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import digest
from fastdissect.datasets.label_maps import LabelMapFiles
from fastdissect.datasets.listing import by_stem, check_pairs, find_folder, list_names, read_lines, spec_name
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["SceneParsing150"]

_CLASSES = 150
_NO_SCENE = ("misc", "outliers")
_IMAGES = (".jpg", ".png")


class SceneParsing150(LabelMapFiles):
    """The benchmark's 150 classes as objects, and the scene of each image.

    Args:
        path: ADEChallengeData2016, or the folder that holds it.
        split: "training" or "validation"; None takes both.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a folder, table, image or mask is missing; damaged masks show when they are read.
        SettingError: there is no such split.

    Example:
        >>> SceneParsing150("/data/ADEChallengeData2016").concepts.names[:3]  # doctest: +SKIP
        ('wall', 'building', 'sky')
    """

    def __init__(self, path: str | Path, *, split: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        places = ("annotations", "ADEChallengeData2016/annotations")
        home = find_folder(self.path, places, "ADEChallengeData2016 with images/ and annotations/").parent
        names, self.synonyms = class_names(_read_classes(home / "objectInfo150.txt"))
        table = home / "sceneCategories.txt"
        scene_of = _read_scenes(table) if table.exists() else {}
        scenes = sorted(set(scene_of.values()) - {""})
        numbers = {scene: number for number, scene in enumerate(scenes, _CLASSES + 1)}
        images = [image for each in splits_of(home / "annotations", split) for image in _pairs(home, each)]
        lost = [image for image in images if Path(image).stem not in scene_of] if table.exists() else []
        if lost:
            raise DataError(
                f"{table} lacks {len(lost):,} of {len(images):,} images, the first {lost[0]}. Restore it, or remove it: then "
                "no image has a scene."
            )
        self._scenes = tuple(numbers.get(scene_of.get(Path(image).stem, ""), 0) for image in images)
        self._masks = home / "annotations"
        labels = {number: (name, 0) for number, name in names.items()}
        labels |= {number: (scene, 1) for scene, number in numbers.items()}
        super().__init__(
            spec_name("ade20k-150", self.path, max_pixels, split=split),
            home / "images",
            images,
            make_concepts(labels, ("object", "scene") if scenes else ("object",)),
            table="objectInfo150.txt",
            content=(digest(repr(self._scenes).encode()),),
            max_pixels=max_pixels,
        )
        self._known[_CLASSES + 1 :] = False  # scenes are no pixels' labels

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        channel = LabelChannel(0, self.decode_map(index, self.mask_files(index)[0]))
        return (channel, LabelChannel(1, self._scenes[index])) if self._scenes[index] else (channel,)

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self._masks / f"{self.image_name(index).rpartition('.')[0]}.png",)


def _pairs(home: Path, split: str) -> list[str]:
    """The images of a split, each with its mask."""
    images = by_stem(list_names(home / "images" / split, _IMAGES), home / "images" / split)
    masks = [Path(name).stem for name in list_names(home / "annotations" / split, (".png",))]
    check_pairs(images, masks, f"{home}, {split}")
    return [f"{split}/{images[stem]}" for stem in sorted(images)]


def _read_classes(path: Path) -> dict[int, str]:
    classes: dict[int, str] = {}
    for place, line in read_lines(path, f"the table {path.name}"):
        # Idx, Ratio, Train, Val, and the name, which has blanks; some copies pad the columns with blanks.
        fields = re.split(r"\s+", line, maxsplit=4)
        if fields[0] == "Idx":
            continue
        if (
            len(fields) < 5
            or not fields[0].isdecimal()
            or not 1 <= int(fields[0]) <= _CLASSES
            or int(fields[0]) in classes
        ):
            raise DataError(
                f"{place}: {line!r} came; expected a new number from 1 to {_CLASSES}, Ratio, Train, Val, Name."
            )
        classes[int(fields[0])] = fields[4]
    if len(classes) != _CLASSES:
        raise DataError(f"{path} lists {len(classes)} classes; expected {_CLASSES}. Restore it.")
    return classes


def _read_scenes(path: Path) -> dict[str, str]:
    """sceneCategories.txt -> {image without suffix: scene, "" for none}."""
    scenes: dict[str, str] = {}
    for place, line in read_lines(path, f"the table {path.name}"):
        image, *scene = line.split()
        if len(scene) != 1 or image in scenes:
            raise DataError(f"{place}: {line!r} came; expected a new image and its scene.")
        scenes[image] = "" if scene[0] in _NO_SCENE or scene[0].startswith("~") else scene[0]
    return scenes
