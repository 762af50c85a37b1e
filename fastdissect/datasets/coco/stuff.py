"""`coco-stuff:MASKS`, COCO-Stuff as pixel maps: things and stuff, one label a pixel.

    stuffthingmaps_trainval2017/val2017/000000000139.png     grey: id - 1, that is 0 to 181; 255 is unlabelled
    val2017/000000000139.jpg

Its annotation files (stuff_val2017.json) are in COCO's form: `coco:` reads them.

Source: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and Stuff Classes in Context", CVPR 2018; its README.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fastdissect.datasets.coco.annotated import spec
from fastdissect.datasets.coco.stuff_names import STUFF_NAMES, WITHOUT_MASKS
from fastdissect.datasets.decoding import MAX_PIXELS, decode_label_map
from fastdissect.datasets.files import read_file
from fastdissect.datasets.folder_tables import list_files
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.listing import named_path
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

__all__ = ["CocoStuff"]

_VOID = 255


class CocoStuff(ImageFiles):
    """COCO's images with a map of things and stuff each.

    All 171 labels are objects; label numbers are COCO-Stuff's ids, 1 to 182 (a pixel's value + 1), without the eleven
    things that were never annotated.

    Args:
        path: the folder of maps: val2017/, or the one above with train2017/ and val2017/.
        images: the folder of images, with the same names below it; None looks in the folder above `path` and in the
            images/ there, and one further up in those for a folder of the name of `path`.
        max_pixels: height x width that an image or map may have.

    Raises:
        DataError: no maps, a map without its image, or one of another form, which shows when it is read.

    Example:
        >>> CocoStuff("/data/stuffthingmaps/val2017", images="/data/coco/val2017").concepts.names[-1]  # doctest: +SKIP
        'wood'
    """

    def __init__(self, path: str | Path, *, images: str | None = None, max_pixels: int = MAX_PIXELS) -> None:
        self.mask_folder = Path(path).expanduser().absolute()
        if not self.mask_folder.is_dir():
            raise DataError(f"there is no folder {self.mask_folder}; expected COCO-Stuff's maps in it.")
        maps = {name[:-4]: name for name in list_files(self.mask_folder) if name.lower().endswith(".png")}
        if not maps:
            raise DataError(
                f"{self.mask_folder} holds no PNG; expected COCO-Stuff's maps, such as 000000000139.png."
            )
        folder = _image_folder(self.mask_folder, min(maps), images)
        names = _images_beside(folder, maps)
        lonely = [stem for stem in maps if stem not in names]
        if lonely:
            raise DataError(
                f"{len(lonely):,} of {len(maps):,} maps have no image in {folder}, such as {maps[lonely[0]]}. Name the "
                "folder of their images with the option images=FOLDER."
            )
        super().__init__(
            spec("coco-stuff", self.mask_folder, images, max_pixels),
            folder,
            [*names.values()],
            make_concepts(
                {id: (name, 0) for id, name in enumerate(STUFF_NAMES, start=1) if id not in WITHOUT_MASKS},
                ("object",),
            ),
            content=[*maps],
            max_pixels=max_pixels,
        )
        self._maps = [maps.get(stem) for stem in names]
        # A pixel's value -> its label number; -1: COCO-Stuff has no such value.
        self._number = np.full(_VOID + 1, -1, np.int32)
        self._number[self.concepts.numbers - 1] = self.concepts.numbers
        self._number[_VOID] = 0

    def mask_files(self, index: int) -> tuple[Path, ...]:
        name = self._maps[index]
        return (self.mask_folder / name,) if name is not None else ()

    def is_labelled(self, index: int) -> bool:
        return self._maps[index] is not None

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self.is_labelled(index):
            return ()
        what = f"map {self._maps[index]!r} of image {self.image_name(index)!r}"
        values = decode_label_map(
            read_file(self.mask_files(index)[0], what), what, max_pixels=self.max_pixels
        )
        self.check_aspect((values.shape[0], values.shape[1]), self.image_size_of(index), what)
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=_VOID + 1))
        wrong = used[(used > _VOID) | (self._number[np.minimum(used, _VOID)] < 0)]
        if wrong.size:
            raise DataError(
                f"{what} holds the value {int(wrong[0])}; expected 0 to 181, an annotated label's id - 1, or 255. Is it "
                "one of COCO-Stuff's stuffthingmaps?"
            )
        return (LabelChannel(0, self._number.astype(np.uint16)[values]),)


def _image_folder(masks: Path, stem: str, given: str | None) -> Path:
    given = named_path(given, "images")
    if given is not None:
        return Path(given)
    above, home = masks.parent, masks.parent.parent
    places = (above / "images", above, home / masks.name, home / "images" / masks.name)
    for folder in places:
        if any((folder / f"{stem}{suffix}").is_file() for suffix in (".jpg", ".png")):
            return folder
    raise DataError(
        f"the images of {masks} were not found in {', '.join(map(str, places))}. Say where they are with the option "
        "images=FOLDER."
    )


def _images_beside(folder: Path, maps: Iterable[str]) -> dict[str, str]:
    """{stem: name} of all images in the folders that have maps, sorted by name."""
    found: dict[str, str] = {}
    for below in sorted({stem.rpartition("/")[0] for stem in maps}):
        inside = folder / below
        for file in sorted(os.listdir(inside)) if inside.is_dir() else ():  # noqa: PTH208
            name = f"{below}/{file}".lstrip("/")
            stem = name.rpartition(".")[0]
            if file[0] == "." or not file.lower().endswith(IMAGE_SUFFIXES):
                continue
            if stem in found:
                raise DataError(f"{folder} holds {found[stem]} and {name}; expected one image for a map.")
            found[stem] = name
    return found
