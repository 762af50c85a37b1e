"""`opensurfaces:PATH`, OpenSurfaces: photographs of interiors with materials, objects and the scene.

    PATH/photos.csv                      photo_id,scene_category_name,...
    PATH/photos/101.jpg                  as taken
    PATH/photos-labels/101.png           1024 rows; red = material, green = object, blue = scene, 0 = none
    PATH/label-substance-colors.csv      substance_id,substance_name,red_color
    PATH/label-name-colors.csv           name_id,name_name,green_color
    PATH/label-scene-colors.csv          scene_category_id,scene_category_name,blue_color

Source: Bell et al., "OpenSurfaces: A Richly Annotated Catalog of Surface Appearance", SIGGRAPH 2013. The release
(opensurfaces-release-0) has JSON; these files are what its own process_opensurfaces_release_0.py writes from it, and
what the builders of Broden read. Names stay as published ("Carpet/rug"), with their words in small letters as
synonyms. Numbers: materials are their red, objects 256 + green, scenes 512 + blue. A scene is taken from photos.csv,
the blue pixels repeat it. Names that begin with "~" mean unlabelled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.label_maps import LabelMapFiles, decode_rgb
from fastdissect.datasets.listing import list_names, spec_name
from fastdissect.datasets.tables import Table, read_table, whole_number
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.errors import DataError, nearest
from fastdissect.types import LabelChannel

__all__ = ["OpenSurfaces"]

_CODES = (  # category, table, name, colour
    ("material", "label-substance-colors.csv", "substance_name", "red_color"),
    ("object", "label-name-colors.csv", "name_name", "green_color"),
    ("scene", "label-scene-colors.csv", "scene_category_name", "blue_color"),
)
_STEP = 256
_SCENE = 2


class OpenSurfaces(LabelMapFiles):
    """Photographs in the order of photos.csv, with maps of materials and objects and a scene each.

    Args:
        path: the folder with the tables, photos/ and photos-labels/.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: a table, photograph or mask is missing, or a line is wrong; damaged masks show when they are read.

    Example:
        >>> OpenSurfaces("/data/opensurfaces").concepts.names[0]  # doctest: +SKIP
        'Brick'
    """

    def __init__(self, path: str | Path, *, max_pixels: int = MAX_PIXELS) -> None:
        self.path = Path(path).expanduser().absolute()
        if not self.path.is_dir():
            raise DataError(f"{self.path} is no folder; expected photos.csv, photos/ and photos-labels/.")
        labels: dict[int, tuple[str, int]] = {}
        tables = [read_table(self.path / file, [name, colour]) for _, file, name, colour in _CODES]
        for category, (table, (_, _, name, colour)) in enumerate(zip(tables, _CODES, strict=True)):
            labels |= _read_codes(table, name, colour, category)
        photos = read_table(self.path / "photos.csv", ["photo_id", "scene_category_name"])
        ids, self._scenes = _read_photos(photos, labels)
        for folder, suffix in (("photos", ".jpg"), ("photos-labels", ".png")):
            missing = sorted(
                {f"{each}{suffix}" for each in ids} - set(list_names(self.path / folder, (suffix,)))
            )
            if missing:
                raise DataError(
                    f"{self.path / folder} lacks {len(missing)} files of photos.csv, the first {missing[0]}. Restore "
                    "them, or remove their lines."
                )
        super().__init__(
            spec_name("opensurfaces", self.path, max_pixels),
            self.path / "photos",
            [f"{each}.jpg" for each in ids],
            make_concepts(labels, tuple(code[0] for code in _CODES)),
            table="the label-*-colors.csv tables",
            content=(digest(*(table.data for table in (*tables, photos))),),
            max_pixels=max_pixels,
        )
        words = {
            name: tuple(word.strip().lower() for word in name.split("/")) for name in self.concepts.names
        }
        self.synonyms = {name: other for name, other in words.items() if other != (name,)}

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        path = self.mask_files(index)[0]
        what = f"mask {path.name!r} of image {self.image_name(index)!r}"
        codes = decode_rgb(read_file(path, what), what, self.max_pixels)
        channels = []
        for category in (0, 1):
            code = codes[..., category]
            labels = np.where(code > 0, code + np.uint16(category * _STEP), np.uint16(0))
            self.check_map(index, labels, f"{what} ({_CODES[category][0]})")
            channels.append(LabelChannel(category, labels))
        if self._scenes[index]:
            channels.append(LabelChannel(_SCENE, self._scenes[index]))
        return tuple(channels)

    def is_labelled(self, index: int) -> bool:
        del index
        return True

    def mask_files(self, index: int) -> tuple[Path, ...]:
        return (self.path / "photos-labels" / f"{Path(self.image_name(index)).stem}.png",)


def _read_codes(table: Table, name: str, colour: str, category: int) -> dict[int, tuple[str, int]]:
    name_at, colour_at = table.columns.index(name), table.columns.index(colour)
    labels: dict[int, tuple[str, int]] = {}
    for line, fields in table.rows():
        code = whole_number(fields[colour_at], table.place(line), colour, 1, _STEP - 1)
        number = category * _STEP + code
        if number in labels or not fields[name_at].strip():
            raise DataError(
                f"{table.place(line)}: {colour} {code} is listed twice, or has no name. Correct the line."
            )
        labels[number] = fields[name_at].strip(), category
    return labels


def _read_photos(table: Table, labels: dict[int, tuple[str, int]]) -> tuple[list[str], tuple[int, ...]]:
    """photos.csv -> photo ids as text, and each one's scene number (0 = none)."""
    id_at, scene_at = table.columns.index("photo_id"), table.columns.index("scene_category_name")
    numbers = {name: number for number, (name, category) in labels.items() if category == _SCENE}
    ids, scenes = [], []
    for line, fields in table.rows():
        photo, scene = (
            whole_number(fields[id_at], table.place(line), "photo_id", 0, 10**17),
            fields[scene_at].strip(),
        )
        unlabelled = not scene or scene.startswith("~")
        if not unlabelled and scene not in numbers:
            raise DataError(
                f"{table.place(line)}: scene {scene!r} is not in label-scene-colors.csv{nearest(scene, numbers)}."
            )
        ids.append(str(photo))
        scenes.append(0 if unlabelled else numbers[scene])
    return ids, tuple(scenes)
