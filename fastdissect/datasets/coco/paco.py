"""`paco:ANNOTATIONS.json`, PACO: 75 objects, 456 object parts and 55 attributes on LVIS and Ego4D images.

    paco_lvis_v1_val.json     COCO's form, masks as run lengths or outlines, and
                              categories: "car_(automobile)" of super-category OBJECT,
                                          "car_(automobile):wheel" of super-category PART
                              attributes: {"id", "name"};  attr_type_to_attr_idxs: {"color": [0, 1, ...],
                                          "pattern_marking": [...], "material": [...], "transparency": [...]}
                              annotations: attribute_ids; obj_ann_id: the object's annotation, on its parts too
    coco/train2017/000000000009.jpg            PACO-EGO4D: the folder paco_frames

Source: Ramanathan et al., "PACO: Parts and Attributes of Common Objects", CVPR 2023; docs/PACO_DATASET.md there.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from fastdissect.datasets.coco.annotated import AnnotatedImages, AnnotationFile, spec
from fastdissect.datasets.coco.attributes import read_attributes
from fastdissect.datasets.coco.categories import Category, label_numbers
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.regions.overlapping import BoxedMask, stack_boxes
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["Paco"]

_OBJECT, _PART = 0, 1
_CHOICES = ("finest", "all", "none")

log = logging.getLogger("fastdissect")


class Paco(AnnotatedImages):
    """PACO's images with objects, parts and attributes.

    Objects have the category "object", parts "part", attributes "color", "texture" (pattern and marking), "material"
    and "transparency". A part lies on its object: both label the pixel. Label numbers of objects and parts are the
    category ids, those of attributes follow the highest category id: 1 + it + the attribute id.

    An attribute labels the mask of the annotation that has it. The set describes objects and their parts, and an object
    has every colour that one of its parts has: a car with black wheels is black and red. By default such an attribute
    labels the parts alone.

    Relations: "car_(automobile):wheel" is part of "car_(automobile)", and is a "wheel".

    Args:
        path: the annotation file.
        images: the folder that the file's image names are below (COCO's, with train2017/ and val2017/).
        attributes: "finest": an object's attribute does not label the object where a part of it has the same; "all":
            it does; "none": no attributes.
        max_pixels: height x width that an image may have.

    Raises:
        DataError: as `Coco`; PACO-EGO4D has annotations that are boxes alone: they are no labels, said once.
        SettingError: another word for `attributes`.

    Example:
        >>> Paco("/data/paco/paco_lvis_v1_val.json", images="/data/coco").concepts.categories  # doctest: +SKIP
        ('object', 'part', 'color', 'texture', 'material', 'transparency')
    """

    def __init__(
        self,
        path: str | Path,
        *,
        images: str | None = None,
        attributes: str = "finest",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        path = Path(path).expanduser().absolute()
        if attributes not in _CHOICES:
            raise SettingError(f"attributes is {attributes!r}; expected one of {', '.join(_CHOICES)}.")
        file = AnnotationFile.read(path, images, max_pixels, boxes=True)
        if file.boxes:
            log.warning(
                "%s: %d annotations are boxes without a mask; they give no label", path.name, file.boxes
            )
        numbers = label_numbers(category.id for category in file.categories)
        # What an annotation of a category id, or with an attribute id, is labelled with: (number, category).
        self._category = {c.id: (numbers[c.id], _kind(c, path)) for c in file.categories}
        labels = {number: (c.name, kind) for c in file.categories for number, kind in [self._category[c.id]]}
        categories = ["object", "part"]
        self._attribute: dict[int, tuple[int, int]] = {}
        for id, name, kind in read_attributes(file.document.parts, path) if attributes != "none" else ():
            if kind not in categories:
                categories.append(kind)
            self._attribute[id] = max(numbers.values()) + 1 + id, categories.index(kind)
            labels[self._attribute[id][0]] = name, categories.index(kind)
        if max(labels) > MAX_LABEL:
            raise DataError(
                f"{path}: an attribute would have the label number {max(labels)}, above {MAX_LABEL}."
            )
        self._finest = attributes == "finest"
        super().__init__(
            spec("paco", path, images, max_pixels, attributes=None if self._finest else attributes),
            file,
            make_concepts(labels, tuple(categories)),
            content=(attributes,),
            max_pixels=max_pixels,
        )
        self.relations = tuple(relation for c in file.categories for relation in _relations(c))

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self.is_labelled(index):
            return ()
        found = list(self.read_masks(index))
        # {object's annotation: the attributes that its parts have}
        described: dict[int, set[int]] = {}
        for entry, _ in found if self._finest else ():
            whole = entry.get("obj_ann_id")
            if self._is_part(entry) and isinstance(whole, int):
                described.setdefault(whole, set()).update(self._attribute_ids(entry))
        masks: list[list[tuple[int, BoxedMask]]] = [[] for _ in self.concepts.categories]
        for entry, mask in found:
            number, category = self._category[entry["category_id"]]
            masks[category].append((number, mask))
            below = set[int]() if self._is_part(entry) else described.get(entry["id"], set())
            for id in self._attribute_ids(entry):
                if id not in below:
                    number, category = self._attribute[id]
                    masks[category].append((number, mask))
        size = self.mask_size(index)
        channels = (
            channel for category, some in enumerate(masks) for channel in stack_boxes(some, size, category)
        )
        return self.or_blank(tuple(channels), index)

    def _is_part(self, entry: dict[str, Any]) -> bool:
        return self._category[entry["category_id"]][1] == _PART

    def _attribute_ids(self, entry: dict[str, Any]) -> list[int]:
        ids = entry.get("attribute_ids", []) if self._attribute else []
        if not isinstance(ids, list) or not all(type(id) is int and id in self._attribute for id in ids):
            raise DataError(
                f"{self.annotations.path}: annotation {entry['id']} has the attribute_ids {ids!r:.60}; expected ids of "
                "the file's list of attributes. Restore the file."
            )
        return ids


def _kind(category: Category, path: Path) -> int:
    kinds = {"OBJECT": _OBJECT, "PART": _PART}
    if category.above not in kinds or (":" in category.name) != (category.above == "PART"):
        raise DataError(
            f"{path}: the category {category.name!r} has the super-category {category.above!r}; expected OBJECT, or "
            'PART with a name such as "car_(automobile):wheel". For files of COCO\'s own form write coco:.'
        )
    return kinds[category.above]


def _relations(category: Category) -> tuple[Relation, ...]:
    whole, colon, part = category.name.partition(":")
    if not colon:
        return ()
    return Relation(category.name, whole, "part-of"), Relation(category.name, part, "is-a")
