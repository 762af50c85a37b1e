"""`labelme:PATH`: outlines drawn in labelme, a JSON file an image.

    PATH/any/where/NAME.jpg
    PATH/any/where/NAME.json     {"imagePath": "NAME.jpg", "imageData": null or base64, "imageHeight": h, "imageWidth": w,
                                  "shapes": [{"label": ..., "shape_type": "polygon", "points": [[x, y], ...]}, ...]}

Source: the files of labelme 4 and 5 (github.com/wkentaro/labelme, Wada 2018); shapes become masks as in its own
converter to Pascal VOC (see shapes). Flags and group ids carry no label and are not read.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from pathlib import Path

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.folder_tables import list_files
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.labelme.annotations import Annotation, read_annotation
from fastdissect.datasets.labelme.shapes import draw_shape
from fastdissect.datasets.paths import escape_reason
from fastdissect.datasets.regions.overlapping import stack_boxes
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["Labelme"]

_NO_LABEL = ("_background_", "__ignore__")  # labelme's words for none and void
_LINES = ("", "draw", "skip")


class Labelme(ImageFiles):
    """Images with labelme's outlines; a label's number is its rank among the sorted labels, from 1.

    The image of a JSON file is the one its imagePath names, else the one of its own name beside it, else the copy
    in its imageData. Images without a JSON file have no label. Shapes that overlap stay overlapping.

    Args:
        path: the folder of JSON files and images.
        category: of all labels.
        lines: what becomes of lines and points, which have no area: "draw" as labelme's converter does (10 pixels
            wide, 5 pixels around a point), "skip" leaves them out; by default they are an error.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a JSON file that does not hold what labelme writes or has no image, two of one image, no label.
        SettingError: `lines` is unknown or `max_pixels` below 1.

    Example:
        >>> Labelme("/data/outlines").concepts.names  # doctest: +SKIP
        ('bottle', 'cup')
    """

    def __init__(
        self, path: str | Path, *, category: str = "object", lines: str = "", max_pixels: int = MAX_PIXELS
    ) -> None:
        root = Path(path).expanduser().absolute()
        if lines not in _LINES:
            raise SettingError(f"lines is {lines!r}; expected draw or skip.")
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; expected one with labelme's JSON files and images.")
        files = list_files(root)
        on_disk = {name for name in files if name.lower().endswith(IMAGE_SUFFIXES)}
        annotated: dict[str, str] = {}  # image -> JSON file
        labels: dict[str, set[str]] = {}  # JSON file -> labels of its shapes
        for file in files:
            if not file.lower().endswith(".json"):
                continue
            annotation = read_annotation(root / file, file, lines=lines)
            image = _image_of(file, annotation, on_disk)
            other = annotated.setdefault(image, file)
            if other != file:
                raise DataError(f"{root}: {other} and {file} both name the image {image}. Keep one of them.")
            labels[file] = {shape.label for shape in annotation.shapes if shape.label not in _NO_LABEL}
        names = sorted(set().union(*labels.values()))
        if not names:
            raise DataError(
                f"{root} has no JSON file of labelme with a label; expected NAME.json beside NAME.jpg."
            )
        if len(names) > MAX_LABEL:
            raise DataError(f"{root} has {len(names):,} labels; at most {MAX_LABEL:,} can be numbered.")
        given = {
            "category": (category, "object"),
            "lines": (lines, ""),
            "max_pixels": (max_pixels, MAX_PIXELS),
        }
        options = ",".join(f"{key}={value}" for key, (value, default) in given.items() if value != default)
        images = sorted(on_disk | annotated.keys())
        super().__init__(
            f"labelme:{root}" + f"?{options}" * bool(options),
            root,
            images,
            make_concepts({rank: (name, 0) for rank, name in enumerate(names, 1)}, (category,)),
            content=(category, lines, *(f"{image}\0{file}" for image, file in sorted(annotated.items()))),
            max_pixels=max_pixels,
        )
        self._lines = lines
        self._json = tuple(annotated.get(image) for image in images)
        self._embedded = tuple(image not in on_disk for image in images)
        self._labelled = tuple(file is not None and bool(labels[file]) for file in self._json)
        self._number = {name: rank for rank, name in enumerate(names, 1)}

    def mask_files(self, index: int) -> tuple[Path, ...]:
        file = self._json[index]
        return () if file is None else (self.root / file,)

    def files(self, index: int) -> tuple[Path, ...]:
        return self.mask_files(index) if self._embedded[index] else super().files(index)

    def image_data(self, index: int) -> bytes:
        """The image file's bytes: of the file, or of the copy in the JSON file."""
        if not self._embedded[index]:
            return super().image_data(index)
        text = self._annotation(index).data
        try:
            return base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(
                f"{self._json[index]}: imageData is no base64 ({error}). Restore the file."
            ) from error

    def is_labelled(self, index: int) -> bool:
        return self._labelled[index]

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        if not self._labelled[index]:
            return ()
        annotation, image, file = self._annotation(index), self.image_size_of(index), self._json[index]
        size = annotation.size or image
        if size[0] * size[1] > self.max_pixels:
            raise DataError(
                f"{file} states an image of {size[0]} x {size[1]} pixels; the limit is {self.max_pixels:,}. Correct "
                "imageHeight and imageWidth, or raise the option max_pixels if they are genuine."
            )
        self.check_aspect(size, image, f"the drawing of {file}")
        masks = []
        for shape in annotation.shapes:
            if shape.label in _NO_LABEL:
                continue
            number = self._number.get(shape.label)
            if number is None:
                raise DataError(
                    f"{file}: label {shape.label!r} was not there when the set was opened. Open it again."
                )
            masks.append((number, draw_shape(shape, size, max_pixels=self.max_pixels)))
        return stack_boxes(masks, size, 0)

    def _annotation(self, index: int) -> Annotation:
        file = self._json[index]
        assert file is not None
        return read_annotation(self.root / file, file, lines=self._lines)


def _image_of(file: str, annotation: Annotation, on_disk: set[str]) -> str:
    """Name of a JSON file's image below the root."""
    stated = annotation.image_path.replace("\\", "/")  # written on Windows
    folder, stem = posixpath.dirname(file), file[: -len(".json")]
    named = posixpath.normpath(posixpath.join(folder, stated)) if stated else ""
    beside = [
        name
        for suffix in IMAGE_SUFFIXES
        for name in (stem + suffix, stem + suffix.upper())
        if name in on_disk
    ]
    if named in on_disk:
        return named
    if len(beside) == 1:
        return beside[0]
    if len(beside) > 1:
        raise DataError(
            f"{file} has several images beside it ({', '.join(beside)}); let its imagePath name one."
        )
    if annotation.data:
        suffix = posixpath.splitext(stated)[1]
        return stem + (suffix if suffix.lower() in IMAGE_SUFFIXES else ".png")
    reason = escape_reason(named)
    advice = (
        f"imagePath is refused, {reason}: open the folder that holds both"
        if reason
        else "put the image there"
    )
    raise DataError(
        f"{file} has no image: expected {stated or stem + '.jpg'} beside it, or imageData; {advice}."
    )
