"""What is known of the examples: names, which copy, classes, and the concepts that their images show."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.datasets import Dataset
from fastdissect.errors import DataError, OutputError, SettingError, nearest
from fastdissect.files import write_bytes
from fastdissect.methods.factorization.sealing import sealed, unsealed
from fastdissect.types import Concepts

__all__ = ["UNKNOWN", "ClassTable", "Examples", "classes_from"]

UNKNOWN = -1
"""The class of an image whose class is not known."""


@dataclass(frozen=True, eq=False)
class ClassTable:
    """The class of every example.

    Attributes:
        names: of the classes.
        numbers: int64 [examples], in `names`; -1: unknown.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """The rows of gathered matrices.

    Attributes:
        names: of the examples, each once: the image's name, with the perturbation behind it where it is a copy.
        images: int64 [examples], the image's number in its data set.
        groups: "clean" and the perturbations, in `names`'s rows by number; None: all examples are clean.
        classes, superclasses: None where nothing says what they are.
        concepts: a mask data set's vocabulary, or None.
        shares: float32 [examples, concepts]: the share of the image's pixels that shows each; None without masks.
        correct: bool [examples]: the network was right about it; None where that is not known.
    """

    names: tuple[str, ...]
    images: NDArray[np.int64]
    groups: ClassTable | None = None
    classes: ClassTable | None = None
    superclasses: ClassTable | None = None
    concepts: Concepts | None = None
    shares: NDArray[np.float32] | None = None
    correct: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def save(self, folder: str | Path) -> None:
        """Write examples.json and examples.npz.

        Raises:
            OutputError: they cannot be written.
        """
        place = Path(folder)
        arrays: dict[str, NDArray[Any]] = {"images": self.images}
        words: dict[str, Any] = {"names": list(self.names)}
        for name in ("groups", "classes", "superclasses"):
            table = getattr(self, name)
            if table is not None:
                arrays[name], words[name] = table.numbers, list(table.names)
        if self.correct is not None:
            arrays["correct"] = self.correct
        if self.concepts is not None and self.shares is not None:
            arrays["shares"] = self.shares
            arrays["concept numbers"], arrays["concept categories"] = (
                self.concepts.numbers,
                self.concepts.category,
            )
            words["concepts"], words["categories"] = (
                list(self.concepts.names),
                list(self.concepts.categories),
            )
        write_arrays(place / "examples.npz", arrays)
        write_bytes(place / "examples.json", json.dumps(sealed(words), indent=1).encode())

    @classmethod
    def load(cls, folder: str | Path) -> Examples:
        """Read what `save` wrote.

        Raises:
            OutputError: a file is missing or damaged.
        """
        place = Path(folder)
        arrays = read_arrays(place / "examples.npz")
        try:
            words = unsealed(json.loads((place / "examples.json").read_text(encoding="utf-8")))
            tables = {
                name: ClassTable(tuple(words[name]), arrays[name])
                for name in ("groups", "classes", "superclasses")
                if name in words
            }
            concepts = None
            if "concepts" in words:
                numbers, category = arrays["concept numbers"], arrays["concept categories"]
                concepts = Concepts(numbers, tuple(words["concepts"]), category, tuple(words["categories"]))
            return cls(
                tuple(words["names"]),
                arrays["images"],
                concepts=concepts,
                shares=arrays.get("shares"),
                correct=arrays.get("correct"),
                **tables,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{place / 'examples.json'} is missing or damaged ({error}); remove the folder and begin again"
            ) from error


def classes_from(
    given: Sequence[str | int] | Mapping[str, str | int] | None,
    dataset: Dataset | None,
    image_names: Sequence[str],
) -> tuple[ClassTable | None, ClassTable | None]:
    """Return the images' classes and superclasses: what was given, else the data set's own (`classes`, `target(i)`;
    `superclasses`, `superclass(i)`); None where there are none.

    Args:
        given: a class for each image, by name or number, or {image name: class}; images that it lacks are unknown.

    Raises:
        SettingError: the number of classes is wrong. DataError: `given` names an image that there is not.
    """
    if given is not None:
        return _given(given, image_names), None
    return (
        _own(dataset, "classes", "target", len(image_names)),
        _own(dataset, "superclasses", "superclass", len(image_names)),
    )


def _own(dataset: Dataset | None, names: str, of: str, images: int) -> ClassTable | None:
    listed: Sequence[str] | None = getattr(dataset, names, None)
    number: Callable[[int], int] | None = getattr(dataset, of, None)
    if not listed or number is None:
        return None
    return ClassTable(tuple(listed), np.array([int(number(i)) for i in range(images)], np.int64))


def _given(given: Sequence[str | int] | Mapping[str, str | int], image_names: Sequence[str]) -> ClassTable:
    of_images: list[str | None]
    if isinstance(given, Mapping):
        known = set(image_names)
        for name in given:
            if name not in known:
                raise DataError(
                    f"classes: the data set has no image {name!r}{nearest(str(name), image_names)}"
                )
        of_images = [str(given[name]) if name in given else None for name in image_names]
    else:
        listed: Any = None if isinstance(given, str) else np.asarray(given).tolist()
        if not isinstance(listed, list) or len(listed) != len(image_names):
            got = f"{len(listed):,}" if isinstance(listed, list) else repr(given)[:60]
            raise SettingError(
                f"classes: expected a class for each of the {len(image_names):,} images; got {got}"
            )
        of_images = [None if one == UNKNOWN else str(one) for one in listed]
    names = sorted({one for one in of_images if one is not None}, key=_order)
    number = {name: n for n, name in enumerate(names)}
    return ClassTable(
        tuple(names), np.array([UNKNOWN if one is None else number[one] for one in of_images], np.int64)
    )


def _order(name: str) -> tuple[int, int, str]:
    """Numbers by their value, before other names."""
    whole = name.isascii() and name.isdecimal() and len(name) < 19
    return (0, int(name), name) if whole else (1, 0, name)
