"""`voc-parts:PATH`, Pascal-Part: objects of VOC 2010 and the masks of their parts (read by scipy).

    PATH/Annotations_Part/2008_000008.mat       also below PATH/trainval or PATH/part
        anno.imname, anno.objects[]: class, class_ind, mask, parts[]: part_name, mask        (masks: 0 and 1)
    PATH/JPEGImages, PATH/VOC2010/JPEGImages, PATH/VOCdevkit/VOC2010/JPEGImages, or the same beside PATH

Source: Chen et al., "Detect What You Can: Detecting and Representing Objects using Holistic Models and Body Parts",
CVPR 2014. Objects are numbered as in VOC (1-20), parts from 101 by the rank of their names. A part is one label over
all classes, as in Broden ("lear" of cats and of dogs), unless `by_class`. Masks that overlap stay overlapping; one
without a pixel says nothing and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import read_file
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.listing import find_folder, list_names, named_path, spec_name
from fastdissect.datasets.matfiles import elements, field, need_scipy, read_mat, text
from fastdissect.datasets.pascal.classes import VOC_CLASSES, VOC_RELATIONS, VOC_SYNONYMS
from fastdissect.datasets.pascal.part_names import PARTS, READABLE, merged_name, short_name
from fastdissect.datasets.pascal.places import jpeg_folder, with_files
from fastdissect.datasets.regions.overlapping import stack_masks
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError, nearest
from fastdissect.types import LabelChannel

__all__ = ["VocParts"]

_FIRST_PART = 101
_OBJECT, _PART = 0, 1


class VocParts(ImageFiles):
    """Pascal-Part: 20 objects and their parts, under the published short names ("lear": left ear).

    Args:
        path: the folder that leads to Annotations_Part/.
        merge_sides: readable names without left, right, front, back, upper, lower and side, as Broden has them.
        by_class: a part's name has its class before it: "cat lear".
        images: the folder with VOC 2010's photographs, where it is not near.
        max_pixels: height x width that an image may have.

    Raises:
        BackendError: scipy is not installed.
        DataError: a folder or image is missing; damaged annotations show when they are read.

    Example:
        >>> VocParts("/data/pascal/part", merge_sides=True).synonyms["ear"]  # doctest: +SKIP
        ('lear', 'left ear', 'rear', 'right ear')
    """

    def __init__(
        self,
        path: str | Path,
        *,
        merge_sides: bool = False,
        by_class: bool = False,
        images: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        places = [f"{place}Annotations_Part" for place in ("", "trainval/", "part/")]
        self._folder = find_folder(self.path, places, "a .mat file an image")
        need_scipy()
        self._names = tuple(Path(name).stem for name in list_names(self._folder, (".mat",)))
        images = named_path(images, "images")
        photographs = jpeg_folder(self.path, images)
        files = with_files([(self._folder.name, name) for name in self._names], photographs)
        labels = {
            (kind, part): f"{kind} {name}" if by_class else name
            for kind, parts in PARTS.items()
            for part in parts
            for name in [merged_name(part) if merge_sides else part]
        }
        ranks = {name: number for number, name in enumerate(sorted(set(labels.values())), _FIRST_PART)}
        self._numbers = {key: ranks[name] for key, name in labels.items()}
        vocabulary = {number: (name, _OBJECT) for number, name in enumerate(VOC_CLASSES, 1)}
        vocabulary |= {number: (name, _PART) for name, number in ranks.items()}
        super().__init__(
            spec_name(
                "voc-parts", self.path, max_pixels, merge_sides=merge_sides, by_class=by_class, images=images
            ),
            photographs,
            files,
            make_concepts(vocabulary, ("object", "part")),
            max_pixels=max_pixels,
        )
        part_of = sorted({Relation(name, kind, "part-of") for (kind, _), name in labels.items()})
        self.relations = (*VOC_RELATIONS, *part_of)
        self.synonyms = {**VOC_SYNONYMS, **_synonyms(labels, by_class)}

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        name = f"{self._names[index]}.mat"
        what = f"annotation {name!r} of image {self.image_name(index)!r}"
        anno = read_mat(read_file(self._folder / name, what), what, "anno")
        objects: list[tuple[int, NDArray[np.bool_]]] = []
        parts: list[tuple[int, NDArray[np.bool_]]] = []
        for number, each in enumerate(_structs(field(anno, "objects", what))):
            where = f"{what}, object {number + 1}"
            kind = text(field(each, "class", where), f"{where}, class")
            if kind not in VOC_CLASSES:
                raise DataError(f"{where} is of the unknown class {kind!r}{nearest(kind, VOC_CLASSES)}.")
            objects.append((VOC_CLASSES.index(kind) + 1, _mask(field(each, "mask", where), where)))
            for part in _structs(field(each, "parts", where)):
                published = text(field(part, "part_name", where), f"{where}, part_name")
                key = kind, short_name(published)
                if key not in self._numbers:
                    known = PARTS[kind]
                    raise DataError(
                        f"{where} ({kind}) has the unknown part {published!r}{nearest(published, known)}."
                    )
                parts.append(
                    (self._numbers[key], _mask(field(part, "mask", where), f"{where}, part {published!r}"))
                )
        return self._stack(index, objects, parts, what)

    def _stack(
        self,
        index: int,
        objects: list[tuple[int, NDArray[np.bool_]]],
        parts: list[tuple[int, NDArray[np.bool_]]],
        what: str,
    ) -> tuple[LabelChannel, ...]:
        sizes = {mask.shape for _, mask in (*objects, *parts)}
        if not sizes:
            return ()
        if len(sizes) > 1:
            raise DataError(
                f"{what} has masks of several sizes ({sorted(sizes)}); expected that of its image."
            )
        height, width = sizes.pop()
        self.check_aspect((height, width), self.image_size_of(index), what)
        size = height, width
        return (*stack_masks(objects, size, _OBJECT), *stack_masks(parts, size, _PART))

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self._folder / f"{self._names[index]}.mat",)


def _synonyms(labels: dict[tuple[str, str], str], by_class: bool) -> dict[str, tuple[str, ...]]:
    """Label -> the other names of the parts that it stands for."""
    other: dict[str, set[str]] = {}
    for (kind, part), name in labels.items():
        prefix = f"{kind} " if by_class else ""
        other.setdefault(name, set()).update((f"{prefix}{part}", f"{prefix}{READABLE[part]}"))
    return {name: tuple(sorted(names - {name})) for name, names in other.items() if names - {name}}


def _structs(value: Any) -> Iterator[Any]:
    """The structs of an array; an object without parts has an empty one."""
    return iter(elements(value))


def _mask(value: Any, what: str) -> NDArray[np.bool_]:
    if not (isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "buif"):
        raise DataError(f"{what} has no mask; expected 0 and 1, height x width. Restore the file.")
    mask: NDArray[np.bool_] = value != 0
    return mask
