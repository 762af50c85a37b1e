"""`classes:PATH`: folders of images, a folder a class, as image classifiers are trained on.

    PATH/<class>/any/where/photo.jpg        the label of the whole image is <class>
    PATH/photo.jpg                          an image without a label

Source: the layout of ImageNet (Russakovsky et al. 2015) as torchvision's ImageFolder reads it.
"""

from __future__ import annotations

from pathlib import Path

from fastdissect.datasets.decoding import MAX_PIXELS
from fastdissect.datasets.files import digest
from fastdissect.datasets.folder_tables import list_files
from fastdissect.datasets.image_files import IMAGE_SUFFIXES, ImageFiles
from fastdissect.datasets.tables import Table, read_table
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError, nearest
from fastdissect.types import LabelChannel

__all__ = ["ClassFolders"]

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


class ClassFolders(ImageFiles):
    """Images that have a label each, of the whole image: the name of their folder below `path`.

    A label's number is the rank of its folder's name, from 1. A folder without an image is no class; the order of
    images is that of their paths.

    Args:
        path: the folder that holds the classes.
        category: of all labels.
        names: a CSV file with the columns wnid and name, for folders with names such as n01440764. A name that two
            folders share (ImageNet has two cranes) gets the folder behind it: "crane (n03126707)".
        max_pixels: height x width that an image may have.

    Raises:
        DataError: no class, more than 65,535, a folder that `names` lacks, or folders that are splits.
        SettingError: `category` is empty or `max_pixels` below 1.

    Example:
        >>> ClassFolders("/data/imagenet/val", names="wnids.csv").concepts.names[:2]  # doctest: +SKIP
        ('tench', 'goldfish')
    """

    def __init__(
        self,
        path: str | Path,
        *,
        category: str = "scene",
        names: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        root = Path(path).expanduser().absolute()
        if not category.strip():
            raise SettingError(f"category is {category!r}; expected a word such as scene or object.")
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; expected one with a folder of images a class.")
        images = [name for name in list_files(root) if name.lower().endswith(IMAGE_SUFFIXES)]
        folders = [image.partition("/")[0] if "/" in image else "" for image in images]
        classes = sorted(set(folders) - {""})
        if not classes:
            raise DataError(
                f"{root} has no folder with images ({', '.join(IMAGE_SUFFIXES)}); expected one a class: "
                "<class>/photo.jpg."
            )
        if len(classes) > MAX_LABEL:
            raise DataError(f"{root} has {len(classes):,} classes; at most {MAX_LABEL:,} can be numbered.")
        if {name.lower() for name in classes} <= _SPLITS:
            raise DataError(
                f"{root} has no folders but {', '.join(classes)}, which are splits rather than classes. Open one of "
                f"them: classes:{root / classes[0]}."
            )
        options, content = [], [category]
        if category != "scene":
            options.append(f"category={category}")
        labels = classes
        if names is not None:
            listed = Path(names).expanduser().absolute()
            table = read_table(listed, ["wnid", "name"])
            labels = _named(classes, table, listed)
            options.append(f"names={listed}")
            content.append(digest(table.data))
        if max_pixels != MAX_PIXELS:
            options.append(f"max_pixels={max_pixels}")
        name = f"classes:{root}" + ("?" if options else "") + ",".join(options)
        concepts = make_concepts({rank: (label, 0) for rank, label in enumerate(labels, 1)}, (category,))
        super().__init__(name, root, images, concepts, content=content, max_pixels=max_pixels)
        rank = {"": 0} | {name: number for number, name in enumerate(classes, 1)}
        self._class = tuple(rank[folder] for folder in folders)  # label numbers; 0: none

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        number = self._class[index]
        return (LabelChannel(0, number),) if number else ()

    def is_labelled(self, index: int) -> bool:
        return self._class[index] > 0


def _named(folders: list[str], table: Table, path: Path) -> list[str]:
    """The classes' names by a table of wnid and name; folders of one name are told apart."""
    wnid, name = table.columns.index("wnid"), table.columns.index("name")
    found: dict[str, str] = {}
    for line, fields in table.rows():
        if fields[wnid] in found:
            raise DataError(f"{table.place(line)}: {fields[wnid]!r} is listed twice. Remove one.")
        if not fields[name]:
            raise DataError(f"{table.place(line)}: the name of {fields[wnid]!r} is empty.")
        found[fields[wnid]] = fields[name]
    lacking = [folder for folder in folders if folder not in found]
    if lacking:
        raise DataError(
            f"{path} lacks {len(lacking)} of {len(folders)} folders, the first is {lacking[0]!r}"
            f"{nearest(lacking[0], found, 2)}. List them all."
        )
    names = [found[folder] for folder in folders]
    counts = {name: names.count(name) for name in set(names)} if len(set(names)) < len(names) else {}
    return [
        f"{name} ({folder})" if counts.get(name, 1) > 1 else name
        for folder, name in zip(folders, names, strict=True)
    ]
