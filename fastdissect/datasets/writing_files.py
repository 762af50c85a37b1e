"""What the writers of data sets share: a folder that is there whole or not at all, images, and tables."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fastdissect.datasets.decoding import MAX_PIXELS, image_size
from fastdissect.datasets.files import read_file
from fastdissect.datasets.label_tables import write_table
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError, OutputError
from fastdissect.types import Array, LabelChannel

__all__ = ["check_labels", "new_folder", "save_png", "write_image", "write_relations"]


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[tuple[Path, Path]]:
    """Yield (the folder to fill, the folder that it becomes): it is renamed when the block ends without an error.

    Raises:
        OutputError: `path` exists or cannot be written; nothing half-written is left.
    """
    target = Path(path).expanduser()
    if target.exists() or target.is_symlink():
        raise OutputError(f"{target} exists already; remove it or choose another folder.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial, target
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{target} cannot be written: {error}. Nothing was left there.") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_image(dataset: Dataset, index: int, path: Path) -> tuple[int, int]:
    """Copy an image's file as it is; an image without a file of its own is written as PNG, whatever its name ends in.

    Returns:
        Height and width.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files = dataset.files(index)
    # A file that holds many images (a tar, a table) is not this image's own.
    if files and files[0].suffix.lower() == path.suffix.lower():
        what = f"image {dataset.image_name(index)!r}"
        data = read_file(files[0], what)
        size = image_size(data, what, max_pixels=getattr(dataset, "max_pixels", MAX_PIXELS))
        path.write_bytes(data)
        return size
    pixels, _ = dataset.read_image(index)
    save_png(pixels, path)
    return pixels.shape[0], pixels.shape[1]


def save_png(pixels: Array, path: Path) -> None:
    """Write an array as PNG, whatever the suffix is."""
    # Level 1 is a tenth larger and several times faster than the default.
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG", compress_level=1)


def check_labels(channels: Sequence[LabelChannel], name: str) -> None:
    """See that label numbers fit both formats.

    Raises:
        DataError: one is above 65535.
    """
    for channel in channels:
        highest = channel.labels if isinstance(channel.labels, int) else int(channel.labels.max(initial=0))
        if highest > MAX_LABEL:
            raise DataError(
                f"image {name!r} has label {highest}; the format ends at {MAX_LABEL}. Renumber it."
            )


def write_relations(folder: Path, relations: Sequence[Relation]) -> None:
    """Write relations.csv, where there are any."""
    if relations:
        write_table(folder / "relations.csv", ("child", "parent", "kind"), relations)
