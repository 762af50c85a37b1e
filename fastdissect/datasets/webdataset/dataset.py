"""`webdataset:PATH`: tar files of samples, as the webdataset library writes and streams them.

    PATH                 one tar, a folder of tars, or data-{000000..000009}.tar
      a/0001.jpg         the sample a/0001: all members with this name up to the first dot of the file's name
      a/0001.png         its label map beside an image of another kind; or
      a/0001.mask.png    (a/0001.mask.NAME.png: further ones)
      a/0001.cls         text: the class of the whole image, a number or a name
      a/0001.json        read where the option json=FIELD names the field of its image's labels
      labels.csv         number,name,category of the values in masks, unless the option labels=FILE has them

Source: github.com/webdataset/webdataset (Aizman, Maltby, Breuel 2019), its format of shards.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fastdissect.datasets.decoding import MAX_PIXELS, decode_label_map
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.datasets.webdataset.labels import read_names
from fastdissect.datasets.webdataset.shards import Shards
from fastdissect.datasets.webdataset.tars import list_shards
from fastdissect.errors import DataError, nearest
from fastdissect.types import LabelChannel

__all__ = ["WebDataset"]


class WebDataset(ImageFiles):
    """Samples of uncompressed tar files, read by position; each shard's table of members is read at opening.

    A sample's image is its member .jpg, .jpeg, .webp, .bmp, .tif, .tiff, .ppm or .gif, else .png. A mask's values are
    label numbers of labels.csv; 0 and `ignore` carry none. Members of other names are not read.

    Args:
        path: a tar, a folder of tars (sorted, all levels), or a name with one or more braces {first..last}.
        labels: a CSV file of number, name and category; default: the member labels.csv of the shards.
        classes: a text file of class names, a line each from class 0 on, for .cls and `json`; their label numbers
            follow those of `labels`. Without it classes are numbers or names of `labels`.
        category: of `classes`.
        json: field of KEY.json that holds a class, or a list of them. A dot leads into an object.
        mask: the masks' member names behind the key, several with ";" ("seg.png;parts.png").
        ignore: a mask value without label, unless the labels have it.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: no tar, a compressed or damaged one, or one that was cut short (names shard and member); a sample
            without image or with two members of one name; labels that are not named.
        SettingError: `max_pixels` is below 1.

    Example:
        >>> len(WebDataset("/data/shards/train-{0000..0099}.tar", classes="classes.txt"))  # doctest: +SKIP
        100000
    """

    def __init__(
        self, path: str | Path, *, labels: str | None = None, classes: str | None = None, category: str = "scene",
        json: str = "", mask: str = "", ignore: int = 255, max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        where = Path(path).expanduser().absolute()
        shards = list_shards(where)
        masks = tuple(mask.split(";")) if mask else ()
        self._shards = Shards(shards, masks)
        listed = Path(labels).expanduser().absolute() if labels is not None else None
        line_file = Path(classes).expanduser().absolute() if classes is not None else None
        concepts, self._first_class, tables = read_names(self._shards, listed, line_file, category)
        given = {
            "labels": (listed, None), "classes": (line_file, None), "category": (category, "scene"),
            "json": (json, ""), "mask": (mask, ""), "ignore": (ignore, 255), "max_pixels": (max_pixels, MAX_PIXELS),
        }  # fmt: skip
        options = ",".join(f"{key}={value}" for key, (value, default) in given.items() if value != default)
        super().__init__(
            f"webdataset:{where}" + f"?{options}" * bool(options),
            where.parent,
            self._shards.image_names(),
            concepts,
            content=(*tables, json, mask, str(ignore), str(self._first_class)),
            max_pixels=max_pixels,
        )
        self._field = json
        self._values = MaskValues(concepts, end=self._first_class, none=[ignore])
        self._named: dict[str, list[int]] = {}
        for number, name in zip(concepts.numbers.tolist(), concepts.names, strict=True):
            if self._first_class is None or number >= self._first_class:
                self._named.setdefault(name, []).append(number)

    def image_path(self, index: int) -> Path:
        """The shard of an image."""
        return self._shards.path_of(index)

    def image_data(self, index: int) -> bytes:
        """The image file's bytes."""
        return self._shards.read(index, self._shards.image_of(index))

    def is_labelled(self, index: int) -> bool:
        if self._shards.masks_of(index) or self._shards.has(index, "cls"):
            return True
        return bool(self._field and self._shards.has(index, "json") and self._classes(index))

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        channels: list[LabelChannel] = []
        masks = self._shards.masks_of(index)
        size = self.image_size_of(index) if masks else (0, 0)
        for member in masks:
            what = f"mask {member!r} of {self._what(index)}"
            values = decode_label_map(self._shards.read(index, member), what, max_pixels=self.max_pixels)
            self.check_aspect((values.shape[0], values.shape[1]), size, what)
            channels += self._values.channels(values, what)
        category = dict(zip(self.concepts.numbers.tolist(), self.concepts.category.tolist(), strict=True))
        channels += [LabelChannel(category[number], number) for number in self._classes(index)]
        return tuple(sorted(channels, key=lambda channel: channel.category))

    def _what(self, index: int) -> str:
        return f"image {self._images[index]!r}"

    def _classes(self, index: int) -> list[int]:
        """Label numbers of the whole image, each once."""
        found: list[Any] = []
        if self._shards.has(index, "cls"):
            found.append(self._text(index, "cls").strip())
        if self._field and self._shards.has(index, "json"):
            found += self._field_values(index)
        numbers = [self._class_number(value, self._what(index)) for value in found]
        return list(dict.fromkeys(numbers))

    def _text(self, index: int, member: str) -> str:
        try:
            return self._shards.read(index, member).decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self._what(index)}: its member {member} is no UTF-8 text ({error})."
            ) from error

    def _field_values(self, index: int) -> list[Any]:
        text = self._text(index, "json")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self._what(index)}: its member json is no valid JSON ({error}).") from error
        for key in self._field.split("."):
            if not isinstance(value, dict) or key not in value:
                raise DataError(f"{self._what(index)}: its member json has no field {self._field!r}.")
            value = value[key]
        return value if isinstance(value, list) else [] if value is None else [value]

    def _class_number(self, value: Any, what: str) -> int:
        """The label number of a class, by number or by name."""
        if type(value) is int or (isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value)):
            number = int(value) + (self._first_class or 0)
            if number > 0 and number in self.concepts.numbers:
                return number
        elif isinstance(value, str) and len(self._named.get(value, [])) == 1:
            return self._named[value][0]
        hint = nearest(value, self._named, 2) if isinstance(value, str) else ""
        zero = (
            " Classes that count from 0 take the option classes=FILE, a name a line."
            if self._first_class is None
            else ""
        )
        raise DataError(
            f"{what} is of class {value!r}, which is not the number or name of one label{hint}.{zero}"
        )
