"""What the values of a Hugging Face set's masks are called, and its classes: features or files -> the vocabulary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.files import digest, read_file
from fastdissect.datasets.huggingface.columns import class_names, described, is_class, item_of
from fastdissect.datasets.huggingface.segments import category_field
from fastdissect.datasets.tables import read_table, whole_number
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import Concepts

__all__ = ["Names", "build_vocabulary", "mask_names"]

Named = dict[int, tuple[str, str]]  # value -> name, category

_NONE = {
    "",
    "background",
    "_background_",
    "unlabeled",
    "unlabelled",
    "void",
    "none",
    "ignore",
    "__ignore__",
    "nothing",
}


class Names(NamedTuple):
    concepts: Concepts
    shift: int  # label number less mask value
    first_class: int  # label number of class 0 of the first label column


def _read_file(path: Path, category: str) -> tuple[Named, str]:
    """Read the names of mask values, and the file's digest.

    Args:
        path: JSON: {"value": "name"} (the id2label of transformers) or a list of names from value 0 on; else CSV with
            the columns number and name, and category where it has one.
        category: where the file states none.

    Raises:
        DataError: another content, or a value twice.
    """
    if path.suffix.lower() == ".json":
        data = read_file(path, "the file of names")
        try:
            found: Any = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is no valid JSON ({error}). Restore the file.") from error
        pairs = (
            list(enumerate(found))
            if isinstance(found, list)
            else list(found.items())
            if isinstance(found, dict)
            else []
        )
        if not pairs or not all(re.fullmatch("[0-9]{1,5}", str(v)) and isinstance(n, str) for v, n in pairs):
            raise DataError(
                f'{path} names no values; expected {{"1": "wall", "2": "sky"}} or a list of names from 0 on.'
            )
        named = {int(value): (name, category) for value, name in pairs}
        if len(named) < len(pairs):
            raise DataError(f"{path} names a value twice. Remove one.")
        return named, digest(data)
    table = read_table(path, ["number", "name"])
    number, name = table.columns.index("number"), table.columns.index("name")
    own = table.columns.index("category") if "category" in table.columns else None
    named = {}
    for line, fields in table.rows():
        value = whole_number(fields[number], table.place(line), "number", 0, MAX_LABEL)
        if value in named:
            raise DataError(f"{table.place(line)}: number {value} is listed twice. Remove one.")
        named[value] = fields[name], fields[own] if own is not None else category
    return named, digest(table.data)


def build_vocabulary(
    named: Named, classes: list[list[str]], *, zero: bool | None, ignore: int, label_category: str
) -> Names:
    """Number the labels: masks' values first (one more where 0 is a label), then the classes, column by column.

    Args:
        named: of the masks' values; {} without masks.
        classes: names of each label column.
        zero: whether value 0 is a label; None: it must not be named, or be called background or the like.

    Raises:
        SettingError: value 0 is named and `zero` does not say whether it counts.
        DataError: no label, or more than 65,535.
    """
    named = {value: pair for value, pair in named.items() if value != ignore}
    if zero is None and 0 in named and named[0][0].strip().lower() not in _NONE:
        raise SettingError(
            f"mask value 0 is called {named[0][0]!r}; say zero=yes where it is a label, zero=no where it means none."
        )
    if not zero:
        named.pop(0, None)
    shift = int(bool(zero))
    categories: list[str] = []
    for category in (*(category for _, category in named.values()), *([label_category] if classes else [])):
        if category not in categories:
            categories.append(category)
    labels = {
        value + shift: (name, categories.index(category)) for value, (name, category) in sorted(named.items())
    }
    first = max(labels, default=0) + 1
    for number, name in enumerate((name for names in classes for name in names), first):
        labels[number] = name, categories.index(label_category)
    if not labels or max(labels) > MAX_LABEL:
        raise DataError(
            f"expected 1 to {MAX_LABEL:,} labels; got {len(labels):,}, up to number {max(labels, default=0):,}."
        )
    return Names(make_concepts(labels, tuple(categories)), shift, first)


def mask_names(
    features: Any, masks: tuple[str, ...], names: str | None, category: str
) -> tuple[Named, list[str], str | None]:
    """The names of the masks' values, digests of what they were read from, and `names` with an absolute path.

    Raises:
        SettingError: nothing names them, or `names` without masks.
        DataError: see `_read_file`.
    """
    own = None
    if not masks:
        if names is not None:
            raise SettingError(
                f"names is {names!r}; it names the values of masks: expected mask=COLUMN with it."
            )
        return {}, [], None
    if names is not None:
        own = class_names(features, names)
        if own is None:
            file = Path(names).expanduser().absolute()
            named, content = _read_file(file, category)
            return named, [content], str(file)
    else:
        field = category_field(item_of(features[masks[0]])[0])
        path = masks[0] if field is None else f"{masks[0]}.{field}"
        own = class_names(features, path) if is_class(features, path) else None
    if own is None:
        raise SettingError(
            f"nothing names the values of {masks[0]!r}; expected names=FILE (JSON value: name, or CSV number,name), or "
            f"names=COLUMN of ClassLabel, of {described(features)}."
        )
    return {value: (name, category) for value, name in enumerate(own)}, [], names
