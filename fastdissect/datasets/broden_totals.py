"""Broden 1.1 as it was released: what is known of it, and a folder held against that.

Known for certain are the images, the labels, the categories and their order: Bau et al., "Network Dissection", CVPR
2017, and what programs that ran on the released set print. Labels by category are as people remember them: a hint.
No checksum of the released files is known; `content_fingerprint` lets two people compare theirs.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastdissect.datasets.broden import Broden
from fastdissect.datasets.files import digest, read_file
from fastdissect.errors import DataError

__all__ = [
    "CATEGORIES",
    "IMAGES",
    "LABELS",
    "REMEMBERED",
    "SIZES",
    "BrodenFinding",
    "check_broden",
    "content_fingerprint",
]

IMAGES = 63_305
LABELS = 1_197
CATEGORIES = ("color", "object", "part", "material", "scene", "texture")  # in the order of category.csv
SIZES = (224, 227, 384)  # the released sides of images; masks have half, rounded down
REMEMBERED = {"scene": 468, "object": 584, "part": 234, "material": 32, "texture": 47, "color": 11}
"""Labels by category, from memory: hints. They add up to more than 1,197: a label may be in several categories."""

_SHOWN = 10


@dataclass(frozen=True)
class BrodenFinding:
    """What a folder holds, beside what Broden 1.1 holds."""

    path: Path
    images: int
    labels: int
    categories: dict[str, int]  # labels by category, those that its c_<category>.csv lists
    splits: dict[str, int]
    sizes: dict[tuple[int, int, int, int], int]  # (ih, iw, sh, sw) -> images
    missing: tuple[str, ...]  # the first ten files that index.csv names and that are not there
    missing_count: int
    fingerprint: str  # of the tables
    differences: tuple[str, ...]  # from what is known for certain
    hints: tuple[str, ...]  # differences from what is remembered

    @property
    def ok(self) -> bool:
        """True if nothing differs from what is known and no file is missing."""
        return not self.differences and not self.missing_count


def check_broden(path: str | Path, progress: Callable[[int, int], None] | None = None) -> BrodenFinding:
    """Hold a folder against the released Broden 1.1. Tables are read, files looked for; no image is decoded.

    Args:
        path: a folder such as broden1_224.
        progress: called with (images done, images) after each image.

    Raises:
        DataError: no folder, or a table is missing or wrong.
    """
    home = Path(path).expanduser()
    if not (home / "index.csv").is_file():
        inside = (
            sorted(p.name for p in home.iterdir() if (p / "index.csv").is_file()) if home.is_dir() else []
        )
        hint = f" There is one in {home / inside[0]}." if inside else ""
        raise DataError(
            f"{home} holds no index.csv; expected the unpacked folder, such as broden1_224.{hint}"
        )
    data = Broden(home)
    missing, count = _missing(data, progress)
    categories = {name: _rows(home / f"c_{name}.csv") for name in data.concepts.categories}
    sizes = Counter(tuple(int(n) for n in row) for row in data._sizes)
    labels = len(data.concepts)
    return BrodenFinding(
        path=home,
        images=len(data),
        labels=labels,
        categories=categories,
        splits=dict(Counter(data.splits)),
        sizes={(a, b, c, d): images for (a, b, c, d), images in sizes.items()},
        missing=missing,
        missing_count=count,
        fingerprint=data.fingerprint(),
        differences=_differences(len(data), labels, data.concepts.categories, sizes),
        hints=tuple(
            f"{categories.get(name, 0):,} labels of category {name}, remembered are {expected:,}"
            for name, expected in REMEMBERED.items()
            if categories.get(name, 0) != expected
        ),
    )


def _rows(path: Path) -> int:
    """Labels of a category's table; its form was checked when the set was opened."""
    return (
        max(0, sum(1 for line in path.read_bytes().splitlines() if line.strip()) - 1) if path.exists() else 0
    )


def _differences(
    images: int, labels: int, categories: tuple[str, ...], sizes: Counter[tuple[int, ...]]
) -> tuple[str, ...]:
    found = []
    if images != IMAGES:
        found.append(f"{images:,} images; Broden 1.1 has {IMAGES:,}")
    if labels != LABELS:
        found.append(f"{labels:,} labels; Broden 1.1 has {LABELS:,} (and the number 0, no label)")
    if set(categories) != set(CATEGORIES):
        found.append(f"categories {', '.join(categories)}; Broden 1.1 has {', '.join(CATEGORIES)}")
    elif categories != CATEGORIES:
        found.append(
            f"categories in the order {', '.join(categories)}; Broden 1.1 has {', '.join(CATEGORIES)}"
        )
    known = {(side, side, side // 2, side // 2) for side in SIZES}
    if len(sizes) != 1 or not set(sizes) <= known:
        commonest = ", ".join(f"{a} x {b} with masks {c} x {d}" for (a, b, c, d), _ in sizes.most_common(3))
        expected = " or ".join(f"{side} x {side} with masks {side // 2} x {side // 2}" for side in SIZES)
        found.append(f"images of {len(sizes):,} sizes ({commonest}); Broden 1.1 has {expected} throughout")
    return tuple(found)


def _missing(data: Broden, progress: Callable[[int, int], None] | None) -> tuple[tuple[str, ...], int]:
    """The first files that are not there, and how many. Folders are listed once: no call a file."""
    listed: dict[str, frozenset[str]] = {}
    missing: list[str] = []
    count = 0
    for index in range(len(data)):
        for path in data.files(index):
            folder, name = os.path.split(path)
            if folder not in listed:
                try:
                    listed[folder] = frozenset(os.listdir(folder))  # noqa: PTH208 (names alone, a million of them)
                except OSError:
                    listed[folder] = frozenset()
            if name not in listed[folder]:
                count += 1
                if len(missing) < _SHOWN:
                    missing.append(str(path))
        if progress is not None:
            progress(index + 1, len(data))
    return tuple(missing), count


def content_fingerprint(path: str | Path, progress: Callable[[int, int], None] | None = None) -> str:
    """Hex digest (blake2b, 16 bytes) of the tables and of every image and mask that they name: reads all files.

    Two copies have the same one exactly if their tables and files are equal, wherever they lie.

    Args:
        path: the folder.
        progress: called with (images done, images) after each image.

    Raises:
        DataError: a table or file is missing or cannot be read.
    """
    data = Broden(path)
    state = hashlib.blake2b(data.fingerprint().encode(), digest_size=16)
    for index in range(len(data)):
        for file in data.files(index):
            state.update(digest(read_file(file, f"a file of image {data.image_name(index)!r}")).encode())
        if progress is not None:
            progress(index + 1, len(data))
    return state.hexdigest()
