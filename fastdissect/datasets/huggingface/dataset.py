"""`hf:NAME`: a set of the `datasets` library, from a folder or from the library's own cache.

    column    feature                                        option
    image     Image                                          image=image
    masks     Image (PNG), Array2D, or lists of them         mask=annotation;parts    values are named by names=
              list of {segmentation, category}               mask=objects
    classes   ClassLabel, or a list of it                    label=scene_category

Nothing is downloaded unless `download=yes` asks for it. Boxes without outlines are no masks and are refused.
Source: huggingface.co/docs/datasets (Lhoest et al. 2021), its features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.huggingface.cells import bytes_of, image_titles, maps_of, outside_paths
from fastdissect.datasets.huggingface.columns import (
    check_columns,
    class_column,
    described,
    item_of,
    undecoded,
)
from fastdissect.datasets.huggingface.names import build_vocabulary, mask_names
from fastdissect.datasets.huggingface.opening import library, open_rows
from fastdissect.datasets.huggingface.segments import category_field, segment_channels, segments_of
from fastdissect.datasets.image_files import ImageFiles
from fastdissect.datasets.mask_values import MaskValues
from fastdissect.errors import DataError, SettingError
from fastdissect.types import LabelChannel

__all__ = ["HuggingFace"]


class HuggingFace(ImageFiles):
    """Rows of a table with an image each; label numbers are the masks' values, the classes' follow them.

    An image is called as its file was, where these names differ from row to row; else by its row.

    Args:
        name: a folder made by `Dataset.save_to_disk`, or a name on the hub that is in the local cache.
        split: "train", ...; not needed where there is only one. config: the configuration of a name on the hub.
        image: the column of images.
        mask: the columns of label maps, several with ";". A value means what `names` says.
        label: the columns of classes of the whole image, several with ";"; -1 and null are none.
        names: of the masks' values: a JSON file {"value": "name"} or list, a CSV file number,name[,category], or a
            column of ClassLabel ("objects.category"); default: the masks' own feature, where it is a ClassLabel.
        category: of the masks' labels. label_category: of the classes.
        zero: whether the masks' value 0 is a label (numbers are then values + 1); must be said where 0 has a name
            other than background or the like.
        ignore: a mask value without label.
        download: let the library download what its cache lacks.
        max_pixels: height x width that an image or mask may have.

    Raises:
        BackendError: the library is not installed.
        DataError: not to be had, no row, or names that cannot be read.
        SettingError: columns, split or options that do not fit the set.

    Example:
        >>> HuggingFace("scene_parse_150", split="validation", mask="annotation", names="names.csv")  # doctest: +SKIP
    """

    def __init__(
        self, name: str, *, split: str | None = None, image: str = "image", mask: str = "", label: str = "",
        names: str | None = None, category: str = "object", label_category: str = "scene", zero: bool | None = None,
        ignore: int = 255, config: str | None = None, download: bool = False, max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        rows, name = open_rows(name, split, config, download=download)
        features = rows.features
        self._mask_columns = tuple(mask.split(";")) if mask else ()
        self._label_columns = tuple(label.split(";")) if label else ()
        if not mask and not label:
            raise SettingError(
                f"hf:{name}: expected mask=COLUMN or label=COLUMN, of {described(features)}. Boxes alone are no masks."
            )
        check_columns(features, image, self._mask_columns)
        classes = [class_column(features, column_name) for column_name in self._label_columns]
        named, content, names = mask_names(features, self._mask_columns, names, category)
        found = build_vocabulary(named, classes, zero=zero, ignore=ignore, label_category=label_category)
        self._first = {}  # label column -> number of its class 0, number of classes
        first = found.first_class
        for column_name, own in zip(self._label_columns, classes, strict=True):
            self._first[column_name] = first, len(own)
            first += len(own)
        used = (image, *self._mask_columns, *self._label_columns)
        content += [
            str(len(rows)),
            getattr(rows, "_fingerprint", ""),
            *used,
            str(features),
            str(found.shift),
            str(ignore),
        ]
        items = {name: item_of(features[name])[0] for name in self._mask_columns}
        self._segments = {name for name, item in items.items() if category_field(item) is not None}
        maps = [n for n, item in items.items() if type(item).__name__ != "Image" and n not in self._segments]
        plain = rows.with_format(None).select_columns(list(dict.fromkeys(used)))
        for column_name in (image, *self._mask_columns):
            plain = plain.cast_column(column_name, undecoded(features[column_name], library().Image))
        self._image_column = image
        self._images_alone = plain.select_columns([image])
        alone = plain.select_columns(list(dict.fromkeys(used[1:])))
        self._labels_alone = alone.with_format("numpy", maps, output_all_columns=True) if maps else alone
        self._outside = [
            outside_paths(alone, name)
            for name in self._mask_columns
            if type(features[name]).__name__ == "Image"
        ]
        given = {
            "split": (split, None), "config": (config, None), "image": (image, "image"), "mask": (mask, ""),
            "label": (label, ""), "names": (names, None), "category": (category, "object"),
            "label_category": (label_category, "scene"), "zero": ({None: None, True: "yes", False: "no"}[zero], None),
            "ignore": (ignore, 255), "max_pixels": (max_pixels, MAX_PIXELS),
        }  # fmt: skip
        options = ",".join(f"{key}={value}" for key, (value, default) in given.items() if value != default)
        spec = f"hf:{name}" + f"?{options}" * bool(options)
        self._outside.insert(0, outside_paths(self._images_alone, image))
        alone_outside = set().union(*self._outside[1:]) - self._outside[0].keys()
        if alone_outside:  # the first of `files` is the image
            raise DataError(
                f"hf:{name}, row {min(alone_outside)}: its image lies in the table, its mask in a file outside; expected both "
                "in one place. Write the set by save_to_disk and open that folder."
            )
        titles = image_titles(self._images_alone, image)
        super().__init__(spec, Path(name), titles, found.concepts, content=content, max_pixels=max_pixels)
        self._values = MaskValues(found.concepts, shift=found.shift, end=found.first_class, none=[ignore])
        self._label_category = found.concepts.categories.index(label_category) if label else 0

    def files(self, index: int) -> tuple[Path, ...]:
        found = (paths.get(index) for paths in self._outside)
        return tuple(Path(path) for path in found if path is not None)  # () where all lies in the table

    def image_data(self, index: int) -> bytes:
        """The image file's bytes."""
        return bytes_of(self._images_alone[index][self._image_column], self._what(index))

    def is_labelled(self, index: int) -> bool:
        row = self._labels_alone[index]
        cells = [segments_of(row[n]) if n in self._segments else row[n] for n in self._mask_columns]
        return any(cell is not None and len(cell) for cell in cells) or bool(self._numbers(row, index))

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        row = self._labels_alone[index]
        channels: list[LabelChannel] = []
        size = self.image_size_of(index) if self._mask_columns else (0, 0)
        for name in self._mask_columns:
            what = f"column {name!r} of {self._what(index)}"
            if name in self._segments:
                channels += segment_channels(row[name], self._values, size, what)
                continue
            for values in maps_of(row[name], what, self.max_pixels):
                channels += self._values.channels(values, what)
                self.check_aspect((values.shape[0], values.shape[1]), size, what)
        channels += [LabelChannel(self._label_category, number) for number in self._numbers(row, index)]
        return tuple(sorted(channels, key=lambda channel: channel.category))

    def _what(self, index: int) -> str:
        return f"image {self._images[index]!r}"

    def _numbers(self, row: dict[str, Any], index: int) -> list[int]:
        """Label numbers of the whole image, each once."""
        found: list[int] = []
        for name in self._label_columns:
            value = row[name]
            first, count = self._first[name]
            for number in value if isinstance(value, list) else [value]:
                if number is None or number == -1:
                    continue
                if not 0 <= number < count:
                    raise DataError(
                        f"{self._what(index)}: class {number} in column {name!r}; expected 0 to {count - 1}."
                    )
                found.append(first + number)
        return list(dict.fromkeys(found))
