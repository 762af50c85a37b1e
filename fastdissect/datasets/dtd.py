"""`dtd:PATH`, the Describable Textures Dataset: photographs that show one texture, named by one or more words.

    PATH/ (or PATH/dtd)
        images/banded/banded_0002.jpg
        labels/labels_joint_anno.txt        banded/banded_0002.jpg banded striped
        labels/train1.txt ... test10.txt    banded/banded_0005.jpg          (ten splits into train, val and test)

Source: Cimpoi et al., "Describing Textures in the Wild", CVPR 2014 (dtd-r1.0.1). The words are labels of whole images,
numbered by their rank from 1. The table names every image of the folders.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.listing import find_folder, list_names, read_lines, spec_name
from fastdissect.datasets.paths import escape_reason
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.types import LabelChannel

__all__ = ["Dtd"]

_JOINT = "labels_joint_anno.txt"


class Dtd(ImageFiles):
    """Images with the textures that they show, in the order of labels_joint_anno.txt.

    Args:
        path: the folder with images/ and labels/, or the one above it.
        split: a list of labels/, such as "train1", "val1" or "test10"; None takes all 5,640 images.
        max_pixels: height x width that an image may have.

    Raises:
        DataError: a folder, list or image is missing, a line is wrong, or the table lacks an image.
        SettingError: there is no such split.

    Example:
        >>> data = Dtd("/data/dtd")  # doctest: +SKIP
        >>> [data.concepts.names[c.labels - 1] for c in data.read_labels(0)]  # doctest: +SKIP
        ['banded']
    """

    def __init__(self, path: str | Path, *, split: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        home = find_folder(self.path, ["labels", "dtd/labels"], "images/ and labels/ of DTD").parent
        joint = _read_joint(home / "labels" / _JOINT)
        textures = sorted({word for words in joint.values() for word in words})
        numbers = {word: number for number, word in enumerate(textures, 1)}
        images = list(joint) if split is None else _read_split(home / "labels", split, joint)
        _check_images(home / "images", images, joint)
        self._textures = tuple(tuple(numbers[word] for word in joint[image]) for image in images)
        super().__init__(
            spec_name("dtd", self.path, max_pixels, split=split),
            home / "images",
            images,
            make_concepts({number: (word, 0) for word, number in numbers.items()}, ("texture",)),
            content=(repr(self._textures),),
            max_pixels=max_pixels,
        )

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return tuple(LabelChannel(0, number) for number in self._textures[index])

    def is_labelled(self, index: int) -> bool:
        return bool(self._textures[index])


def _read_joint(path: Path) -> dict[str, tuple[str, ...]]:
    joint: dict[str, tuple[str, ...]] = {}
    for place, line in read_lines(path, f"the table {_JOINT}"):
        image, *words = line.split()
        reason = escape_reason(image)
        if reason:
            raise DataError(f"{place}: image path {image!r} is refused: {reason}.")
        if image in joint:
            raise DataError(f"{place}: image {image!r} is listed twice. Remove one line.")
        joint[image] = tuple(dict.fromkeys(words))
    if not any(joint.values()):
        raise DataError(
            f"{path} names no texture; expected lines such as 'banded/banded_0002.jpg banded striped'."
        )
    return joint


def _read_split(folder: Path, split: str, joint: dict[str, tuple[str, ...]]) -> list[str]:
    there = [name[:-4] for name in list_names(folder, (".txt",)) if name != _JOINT]
    if split not in there:
        raise SettingError(
            f"{folder} has no split {split!r}; there are {', '.join(there)}{nearest(split, there)}."
        )
    images = []
    for place, image in read_lines(folder / f"{split}.txt", f"the list {split}.txt"):
        if image not in joint:
            raise DataError(f"{place}: image {image!r} is not in {_JOINT}; its textures are unknown.")
        images.append(image)
    return images


def _check_images(folder: Path, images: list[str], joint: Collection[str]) -> None:
    """See that the images are there, and that the table was not cut: it names all that are there."""
    homes = sorted({image.rpartition("/")[0] for image in (*joint, *images)} | _folders(folder))
    there = [
        f"{home}/{name}".lstrip("/")
        for home in homes
        if (folder / home).is_dir()
        for name in list_names(folder / home, IMAGE_SUFFIXES)
    ]
    missing = sorted(set(images).difference(there))
    if missing:
        raise DataError(
            f"image {missing[0]!r} of DTD is missing ({len(missing):,} in all): expected the file {folder / missing[0]}. "
            "Restore them."
        )
    unlisted = [image for image in there if image not in joint]
    if unlisted:
        raise DataError(
            f"{_JOINT} lacks {len(unlisted):,} of the {len(there):,} images in {folder}, the first {unlisted[0]}. Restore "
            "the table, or remove the images."
        )


def _folders(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != "."}
