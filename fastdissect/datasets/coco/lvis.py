"""`lvis:ANNOTATIONS.json`, LVIS: 1,203 objects on COCO's images.

    lvis/lvis_v1_val.json     COCO's form, and
                              images: coco_url (".../val2017/000000000139.jpg"), not_exhaustive_category_ids,
                                      neg_category_ids
                              categories: synset ("aerosol.n.02"), synonyms, frequency (r, c, f), def
    coco/train2017, coco/val2017               the validation images are from both

Source: Gupta, Dollar, Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019;
lvisdataset.org, "Dataset".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdissect.datasets.coco.annotated import AnnotationFile, ObjectImages, spec
from fastdissect.datasets.coco.categories import Category
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.errors import DataError

__all__ = ["Lvis"]


class Lvis(ObjectImages):
    """LVIS's images with its annotations.

    Names are the set's own ("bow_(decorative_ribbons)"); its lists of synonyms are in `synonyms`. Label numbers are
    the category ids, 1 to 1,203.

    LVIS is federated: an image was searched for some categories only, and for the categories of `not_exhaustive` not
    to the end. A pixel without a label can therefore show an object of the vocabulary all the same, and a unit's IoU
    counts it as a miss; only the categories of `absent` are known to be absent.

    Args:
        path: the annotation file.
        images: the folder with train2017/ and val2017/; None looks beside the file and one folder up.
        max_pixels: height x width that an image may have.

    Attributes:
        synsets: {label name: WordNet synset}.
        frequencies: {label name: "r", "c" or "f"}: in 1-10, 11-100 or more training images.

    Raises:
        DataError: as `Coco`.

    Example:
        >>> Lvis("/data/lvis/lvis_v1_val.json", images="/data/coco").synonyms["baby_buggy"]  # doctest: +SKIP
        ('baby_carriage', 'perambulator', 'pram', 'stroller')
    """

    def __init__(self, path: str | Path, *, images: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        path = Path(path).expanduser().absolute()
        file = AnnotationFile.read(path, images, max_pixels)
        super().__init__(spec("lvis", path, images, max_pixels), file, max_pixels=max_pixels)
        self.synonyms = {
            category.name: others for category in file.categories if (others := _synonyms(category, path))
        }
        self.synsets = _texts(file.categories, "synset")
        self.frequencies = _texts(file.categories, "frequency")
        entries = file.document.parts["images"]
        self._not_exhaustive = _id_lists(entries, "not_exhaustive_category_ids", path)
        self._negative = _id_lists(entries, "neg_category_ids", path)

    def not_exhaustive(self, index: int) -> tuple[int, ...]:
        """Label numbers of which the image may show more than is annotated."""
        return tuple(self._numbers[id] for id in self._not_exhaustive[index] if id in self._numbers)

    def absent(self, index: int) -> tuple[int, ...]:
        """Label numbers of which the image was found to show none."""
        return tuple(self._numbers[id] for id in self._negative[index] if id in self._numbers)


def _synonyms(category: Category, path: Path) -> tuple[str, ...]:
    listed = category.entry.get("synonyms", [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise DataError(
            f"{path}: the synonyms of {category.name!r} are {listed!r:.60}; expected a list of names."
        )
    return tuple(dict.fromkeys(name for name in listed if name != category.name))


def _texts(categories: list[Category], key: str) -> dict[str, str]:
    return {c.name: c.entry[key] for c in categories if isinstance(c.entry.get(key), str)}


def _id_lists(entries: list[dict[str, Any]], key: str, path: Path) -> list[tuple[int, ...]]:
    """A field of the images that lists category ids; () where there is none."""
    found = []
    for entry in entries:
        ids = entry.get(key, [])
        if not isinstance(ids, list) or not all(type(id) is int for id in ids):
            raise DataError(f"{path}: {key} of image {entry['id']} is {ids!r:.60}; expected a list of ids.")
        found.append(tuple(ids))
    return found
