"""`coco:ANNOTATIONS.json`, COCO's instances and stuff, and whatever else comes in their annotation file.

    coco/annotations/instances_val2017.json      {"images": [{"id", "file_name", "height", "width"}],
                                                  "categories": [{"id", "name", "supercategory"}],
                                                  "annotations": [{"id", "image_id", "category_id", "segmentation",
                                                                   "iscrowd", "area", "bbox"}]}
    coco/val2017/000000000139.jpg
    coco/annotations/stuff_val2017.json          the same form; 183 is "other": all things at once

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; cocodataset.org, "Data format". Stuff:
Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018.
"""

from __future__ import annotations

from pathlib import Path

from fastdissect.datasets.coco.annotated import AnnotationFile, ObjectImages, spec
from fastdissect.datasets.decoding import MAX_PIXELS

__all__ = ["Coco"]


class Coco(ObjectImages):
    """Images with annotations in COCO's form.

    A category is an object, be it a thing or stuff; its super-category is kept as an is-a relation. Crowd regions are
    masks of their category, as published. Masks that overlap stay so, on several label maps.

    Label numbers are the category ids; where one lies outside 1 ... 65,535 (files that count from 0) they are the
    ids' ranks, from 1. Masks have the size that the file states; an image file of another size and the same aspect
    is allowed.

    Args:
        path: the annotation file.
        images: the folder of the images; None looks in COCO's usual places beside the file.
        max_pixels: height x width that an image may have.

    Raises:
        DataError: the file, its entries or the images do not fit each other; masks show it when they are read.
        BackendError: pycocotools is missing, once an outline is read.

    Example:
        >>> Coco("/data/coco/annotations/instances_val2017.json").concepts.names[:2]  # doctest: +SKIP
        ('person', 'bicycle')
    """

    def __init__(self, path: str | Path, *, images: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        path = Path(path).expanduser().absolute()
        file = AnnotationFile.read(path, images, max_pixels)
        super().__init__(spec("coco", path, images, max_pixels), file, max_pixels=max_pixels)
