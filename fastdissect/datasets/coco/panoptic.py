"""`coco-panoptic:PANOPTIC.json`, COCO's panoptic segmentation: every pixel is of one segment, or void.

    coco/annotations/panoptic_val2017.json     {"images": [...], "categories": [{"id", "name", "supercategory",
                                                "isthing"}],
                                                "annotations": [{"image_id", "file_name", "segments_info":
                                                    [{"id", "category_id", "iscrowd", "area", "bbox"}]}]}
    coco/annotations/panoptic_val2017/000000000139.png     a segment's id is R + 256 G + 65536 B; 0 is void
    coco/val2017/000000000139.jpg

Source: Kirillov et al., "Panoptic Segmentation", CVPR 2019; cocodataset.org, "Data format", 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastdissect.datasets.coco.annotated import spec
from fastdissect.datasets.coco.annotations import read_document, whole_number
from fastdissect.datasets.coco.categories import (
    check_known,
    label_numbers,
    read_categories,
    super_categories,
)
from fastdissect.datasets.coco.images import check_present, find_folder, read_images
from fastdissect.datasets.coco.segments import label_segments
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import read_file
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.listing import named_path
from fastdissect.datasets.paths import escape_reason
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["CocoPanoptic"]


class CocoPanoptic(ImageFiles):
    """Images with one segment map each.

    Things and stuff are objects; "isthing" is in `things`. Names stay as published ("sky-other-merged"). Crowd
    segments are segments of their category. Label numbers are the category ids, as `Coco` has them.

    Args:
        path: the annotation file.
        images: the folder of the images; None looks in COCO's usual places beside the file.
        masks: the folder of the segment maps; None takes the one beside the file that has its name.
        max_pixels: height x width that an image or map may have.

    Attributes:
        things: the names of the labels that are things.

    Raises:
        DataError: the file, its entries, the images or the maps do not fit each other; a map shows it when it is read.

    Example:
        >>> CocoPanoptic("/data/coco/annotations/panoptic_val2017.json").concepts.names[-1]  # doctest: +SKIP
        'rug-merged'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        images: str | None = None,
        masks: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        path = Path(path).expanduser().absolute()
        masks = named_path(masks, "masks")
        self.mask_folder = Path(masks) if masks is not None else path.with_suffix("")
        if not self.mask_folder.is_dir():
            raise DataError(
                f"there is no folder of segment maps {self.mask_folder}. Say where the maps of {path.name} are with the "
                "option masks=FOLDER."
            )
        used: set[int] = set()
        maps: dict[int, str] = {}

        def inspect(annotation: dict[str, Any]) -> bool:
            image, name, listed = (annotation[key] for key in ("image_id", "file_name", "segments_info"))
            if image in maps:
                raise DataError(f"{path}: image_id {image} has two segment maps. Remove one.")
            reason = escape_reason(name) if isinstance(name, str) and name else "it is no file name"
            if reason:
                raise DataError(
                    f"{path}: the segment map {name!r:.60} of image_id {image} is refused: {reason}."
                )
            if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
                raise DataError(
                    f"{path}: segments_info of image_id {image} is {listed!r:.60}; expected a list of objects."
                )
            maps[image] = name
            for entry in listed:
                whole_number(entry, "id", path)
                used.add(whole_number(entry, "category_id", path))
            return True

        document = read_document(path, inspect)
        listed = read_images(document.parts["images"], path, max_pixels)
        categories = read_categories(document.parts.get("categories"), path)
        check_known(used, {category.id for category in categories}, path)
        folder = find_folder(path, listed.names[0], images)
        check_present(folder, listed.names, "images")
        check_present(self.mask_folder, [*maps.values()], "segment maps")
        self._numbers = label_numbers(category.id for category in categories)
        super().__init__(
            spec("coco-panoptic", path, images, max_pixels, masks=masks),
            folder,
            listed.names,
            make_concepts({self._numbers[c.id]: (c.name, 0) for c in categories}, ("object",)),
            content=(document.digest,),
            max_pixels=max_pixels,
        )
        self.annotations = document.by_image(listed.ids)
        self.relations = super_categories(categories)
        self.things = frozenset(c.name for c in categories if c.entry.get("isthing") == 1)
        self._maps = [maps.get(image) for image in listed.ids.tolist()]

    def mask_files(self, index: int) -> tuple[Path, ...]:
        name = self._maps[index]
        return (self.mask_folder / name,) if name is not None else ()

    def is_labelled(self, index: int) -> bool:
        return self._maps[index] is not None

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self.is_labelled(index):
            return ()
        what = f"segment map {self._maps[index]!r} of image {self.image_name(index)!r}"
        segments: dict[int, int] = {}
        for entry in self.annotations.read(index)[0]["segments_info"]:
            id: int = entry["id"]
            if id in segments:
                raise DataError(f"{what}: the segment id {id} comes twice in {self.annotations.path.name}.")
            segments[id] = self._numbers[entry["category_id"]]
        data = read_file(self.mask_files(index)[0], what)
        labels = label_segments(data, segments, what, max_pixels=self.max_pixels)
        self.check_aspect((labels.shape[0], labels.shape[1]), self.image_size_of(index), what)
        return (LabelChannel(0, np.ascontiguousarray(labels)),)
