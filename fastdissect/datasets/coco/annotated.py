"""What the readers of COCO's annotation files share: images with annotations, each of one category and one mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastdissect.datasets.coco.annotations import Document, read_document, whole_number, whole_numbers
from fastdissect.datasets.coco.categories import (
    Category,
    check_known,
    label_numbers,
    read_categories,
    super_categories,
)
from fastdissect.datasets.coco.images import ListedImages, check_present, find_folder, read_images
from fastdissect.datasets.coco.segmentation import read_segmentation
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.listing import named_path, spec_name
from fastdissect.datasets.regions.overlapping import BoxedMask, stack_boxes
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

__all__ = ["AnnotatedImages", "AnnotationFile", "ObjectImages", "spec"]


def spec(scheme: str, path: Path, images: str | None, max_pixels: int, **others: str | None) -> str:
    """The name that opens a set again.

    >>> spec("coco", Path("/data/a.json"), "/data/images", 1 << 26)
    'coco:/data/a.json?images=/data/images'
    """
    return spec_name(scheme, path, max_pixels, images=named_path(images, "images"), **others)


class AnnotationFile(NamedTuple):
    """An annotation file, parsed and checked by itself."""

    document: Document
    images: ListedImages
    folder: Path
    categories: list[Category]
    boxes: int  # annotations that are boxes alone, left out

    @classmethod
    def read(cls, path: Path, images: str | None, max_pixels: int, *, boxes: bool = False) -> AnnotationFile:
        """Parse the file and hold its lists against each other and against the folder of images.

        Args:
            path: the annotation file.
            images: the folder of images, or None for the usual places.
            max_pixels: height x width that an image may have.
            boxes: the set is published with annotations that have a box and no mask: they are left out.

        Raises:
            DataError: see `Coco`.
        """
        ids: list[Any] = []
        used: set[int] = set()
        left_out = 0

        def inspect(annotation: dict[str, Any]) -> bool:
            nonlocal left_out
            ids.append(annotation["id"])
            used.add(whole_number(annotation, "category_id", path))
            if annotation["segmentation"]:
                return True
            if not boxes:
                raise DataError(
                    f"{path}: annotation {annotation['id']!r:.30} has an empty segmentation; expected a mask (a box "
                    "alone is none). Remove the annotation or restore it."
                )
            left_out += 1
            return False

        document = read_document(path, inspect)
        whole_numbers(ids, f"{path}, annotations")
        listed = read_images(document.parts["images"], path, max_pixels)
        categories = read_categories(document.parts.get("categories"), path)
        check_known(used, {category.id for category in categories}, path)
        folder = find_folder(path, listed.names[0], images)
        check_present(folder, listed.names, "images")
        return cls(document, listed, folder, categories, left_out)


class AnnotatedImages(ImageFiles):
    """Images with the annotations of one file; a subclass says what an annotation's mask is labelled with.

    Args:
        name: the spec that opens the set again.
        file: the annotation file.
        concepts: the vocabulary.
        content: options that decide what a mask is labelled with.
        max_pixels: height x width that an image may have.
    """

    def __init__(
        self,
        name: str,
        file: AnnotationFile,
        concepts: Concepts,
        *,
        content: tuple[str, ...] = (),
        max_pixels: int,
    ) -> None:
        super().__init__(
            name,
            file.folder,
            file.images.names,
            concepts,
            content=(file.document.digest, *content),
            max_pixels=max_pixels,
        )
        self.annotations = file.document.by_image(file.images.ids)
        self._sizes = file.images.sizes

    def is_labelled(self, index: int) -> bool:
        return self.annotations.count(index) > 0

    def mask_size(self, index: int) -> tuple[int, int]:
        """Height and width of an image's masks: as the annotation file states them."""
        height, width = self._sizes[index].tolist()
        return height, width

    def read_masks(self, index: int) -> Iterator[tuple[dict[str, Any], BoxedMask]]:
        """An image's annotations with their masks, in the file's order.

        Raises:
            DataError: a mask that is corrupt, or an image file of another aspect than the annotation file states.
        """
        size = self.mask_size(index)
        what = f"image {self.image_name(index)!r} as {self.annotations.path.name} has it"
        self.check_aspect(size, self.image_size_of(index), what)
        for annotation in self.annotations.read(index):
            what = f"annotation {annotation['id']} of image {self.image_name(index)!r}"
            yield annotation, read_segmentation(annotation["segmentation"], size, what)

    def or_blank(self, channels: tuple[LabelChannel, ...], index: int) -> tuple[LabelChannel, ...]:
        """An image whose outlines hold no pixel is a labelled one all the same: it gets an empty map."""
        if channels or not self.is_labelled(index):
            return channels
        return (LabelChannel(0, np.zeros(self.mask_size(index), np.uint16)),)


class ObjectImages(AnnotatedImages):
    """Annotated images whose categories are all objects; super-categories are kept as is-a relations."""

    def __init__(self, name: str, file: AnnotationFile, *, max_pixels: int) -> None:
        self._numbers = label_numbers(category.id for category in file.categories)
        labels = {self._numbers[category.id]: (category.name, 0) for category in file.categories}
        super().__init__(name, file, make_concepts(labels, ("object",)), max_pixels=max_pixels)
        self.relations = super_categories(file.categories)

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self.is_labelled(index):
            return ()
        masks = ((self._numbers[entry["category_id"]], mask) for entry, mask in self.read_masks(index))
        return self.or_blank(stack_boxes(masks, self.mask_size(index), 0), index)
