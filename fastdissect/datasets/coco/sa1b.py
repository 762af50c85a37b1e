"""`sa1b:PATH`, SA-1B: some hundred masks an image, without classes.

    sa_223750.jpg       anywhere below PATH (the published archives are folders sa_000000 ... or flat)
    sa_223750.json      {"image": {"image_id", "width", "height", "file_name"},
                         "annotations": [{"id", "segmentation": run lengths as text, "area", "bbox",
                                          "predicted_iou", "stability_score", "crop_box", "point_coords"}]}

Source: Kirillov et al., "Segment Anything", ICCV 2023; the dataset's page at ai.meta.com.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets.coco.annotated import spec
from fastdissect.datasets.coco.annotations import whole_number, whole_numbers
from fastdissect.datasets.coco.json_parts import parse_json
from fastdissect.datasets.coco.mask_labels import MaskLabels, read_mask_labels
from fastdissect.datasets.coco.segmentation import read_segmentation
from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import read_file
from fastdissect.datasets.folder_tables import list_files
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.listing import named_path
from fastdissect.datasets.regions.overlapping import BoxedMask, stack_boxes
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["Sa1b"]

_SIZES = {1: "small region", 2: "medium region", 3: "large region"}
_SMALL, _LARGE = (32 * 32, 640 * 480), (96 * 96, 640 * 480)


class Sa1b(ImageFiles):
    """SA-1B's images with their masks, which overlap freely.

    The masks have no classes. What they are labelled with:

    - `labels=FILE.csv`, columns image,id,label: the labels that somebody gave them, of the category "object"; a mask
      without a line has no label, one with several lines has several. `read_regions` gives the masks to label.
    - without it, their size, of the category "region": "small region" below 32 x 32 / (640 x 480) of the image,
      "large region" from 96 x 96 / (640 x 480), else "medium region"; COCO's bounds on its usual image, scaled. (One
      label for all would cover nearly every pixel: every unit would match it.)

    Args:
        path: the folder. An image without a .json is an image without labels.
        labels: the table of labels, or None.
        max_pixels: height x width that an image may have.

    Raises:
        DataError: no image, masks without one, or a table that does not fit; damaged files show when they are read.

    Example:
        >>> Sa1b("/data/sa_000020").concepts.names  # doctest: +SKIP
        ('small region', 'medium region', 'large region')
    """

    def __init__(self, path: str | Path, *, labels: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        path = Path(path).expanduser().absolute()
        if not path.is_dir():
            raise DataError(
                f"there is no folder {path}; expected SA-1B's sa_*.jpg with sa_*.json beside them."
            )
        files = list_files(path)
        images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
        tables = {name.removesuffix(".json") for name in files if name.endswith(".json")}
        stems = [name.rpartition(".")[0] for name in images]
        lonely = sorted(tables.difference(stems))
        if lonely or len(set(stems)) < len(stems):
            raise DataError(
                f"{path}: expected one image for each .json, got {lonely[0]}.json without one."
                if lonely
                else f"{path} holds two images of one name; expected one for each .json."
            )
        table: MaskLabels | None = None
        names, category = _SIZES, "region"
        labels = named_path(labels, "labels")
        if labels is not None:
            table = read_mask_labels(Path(labels), images)
            names, category = table.names, "object"
        super().__init__(
            spec("sa1b", path, None, max_pixels, labels=labels),
            path,
            images,
            make_concepts({number: (name, 0) for number, name in names.items()}, (category,)),
            content=(table.digest,) if table else (),
            max_pixels=max_pixels,
        )
        self._labels = table
        self._tables = [stem in tables for stem in stems]

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self.image_path(index).with_suffix(".json"),) if self._tables[index] else ()

    def is_labelled(self, index: int) -> bool:
        labels = self._labels
        return self._tables[index] and (labels is None or self.image_name(index) in labels.of_image)

    def read_regions(self, index: int) -> tuple[tuple[int, BoxedMask], ...]:
        """An image's masks, labelled or not, each with its id: what a classifier is shown to label them.

        Raises:
            DataError: a file that is damaged or fits another image.
        """
        if not self._tables[index]:
            return ()
        return tuple(self._read_regions(index)[1])

    def _read_regions(self, index: int) -> tuple[tuple[int, int], list[tuple[int, BoxedMask]]]:
        path = self.mask_files(index)[0]
        what = f"the masks {path.name} of image {self.image_name(index)!r}"
        found = parse_json(read_file(path, what), what)
        try:
            size = whole_number(found["image"], "height", path), whole_number(found["image"], "width", path)
            entries = [
                (whole_number(entry, "id", path), entry["segmentation"]) for entry in found["annotations"]
            ]
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{what}: expected SA-1B's form, an image with width and height and annotations with id and "
                f"segmentation ({error} came). Restore the file."
            ) from None
        if min(size) < 1:
            raise DataError(
                f"{what}: expected a height and width of at least 1, got {size[0]} and {size[1]}."
            )
        if size[0] * size[1] > self.max_pixels:
            raise DataError(
                f"{what}: {size[0]} x {size[1]} are {size[0] * size[1]:,} pixels; the limit is {self.max_pixels:,}. If it "
                "is genuine, raise the data set's option max_pixels."
            )
        self.check_aspect(size, self.image_size_of(index), what)
        whole_numbers([id for id, _ in entries], what)
        return size, [
            (id, read_segmentation(value, size, f"mask {id} of image {self.image_name(index)!r}"))
            for id, value in entries
        ]

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self.is_labelled(index):
            return ()
        size, regions = self._read_regions(index)
        if self._labels is None:
            masks = ((_size_label(mask, size), mask) for _, mask in regions)
            # An image in which no mask was found is a labelled one all the same.
            return stack_boxes(masks, size, 0) or (LabelChannel(0, np.zeros(size, np.uint16)),)
        wanted = self._labels.of_image[self.image_name(index)]
        unknown = wanted.keys() - {id for id, _ in regions}
        if unknown:
            raise DataError(
                f"{self._labels.name} labels the mask {min(unknown)} of image {self.image_name(index)!r}, which has none "
                "of that id. Correct the table."
            )
        masks = ((number, mask) for id, mask in regions for number in wanted.get(id, ()))
        return stack_boxes(masks, size, 0)


def _size_label(region: BoxedMask, size: tuple[int, int]) -> int:
    # pixels / area < bound, in whole numbers
    pixels, area = int(region.mask.sum()), size[0] * size[1]
    return 1 + sum(pixels * whole >= part * area for part, whole in (_SMALL, _LARGE))
