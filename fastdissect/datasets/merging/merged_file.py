"""A merge as a file, `merged:FILE.json`: which sets, which options, and what was counted. No image is in it.

    {"format": "fastdissect merged 1",
     "data": ["broden:/data/broden1_224", "coco:/data/instances_val2017.json"],
     "options": {"synonyms": {"tv": "television"}, "min_images": 10, ...},
     "fingerprints": ["...", "..."],
     "categories": ["object", "part"],
     "labels": [["object", "sky"], ["object", "wall"], ...]}

`data` alone is enough: a file may be written by hand. `labels` (in the order of their numbers) and `categories` spare
counting when the set is opened; with them come the sets' fingerprints. A path that lies beside the file may be
relative to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fastdissect.datasets.files import read_file
from fastdissect.datasets.merging.building import decide, opened
from fastdissect.datasets.merging.folding import fold
from fastdissect.datasets.merging.merged import Merged
from fastdissect.datasets.merging.options import MergeOptions
from fastdissect.datasets.merging.prefixes import is_spec
from fastdissect.datasets.merging.unifying import Unified, UnifiedLabel, unify
from fastdissect.datasets.opening import has_path
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError, OutputError, SettingError, nearest
from fastdissect.files import write_bytes

__all__ = ["MergedFile", "write_merged"]

log = logging.getLogger("fastdissect")

_FORMAT = "fastdissect merged 1"
_KEYS = ("format", "data", "options", "fingerprints", "categories", "labels")
_OPENING: ContextVar[tuple[Path, ...]] = ContextVar("files whose sets are being opened", default=())


class MergedFile(Merged):
    """Merged data sets, as a file lists them.

    Args:
        path: the file.

    Raises:
        DataError: no such file, wrong JSON, or its sets changed since labels were counted.
        SettingError: an unknown option.

    Example:
        >>> MergedFile("everything.json")  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        found = _parse(read_file(self.path, f"the merged set {self.path.name}"), self.path)
        options = _options(found.get("options", {}), self.path)
        with _noted(self.path):
            sets = opened([_beside(spec, self.path.parent) for spec in found["data"]])
        labels: Sequence[UnifiedLabel]
        if "labels" in found:
            _check_fingerprints(sets, found.get("fingerprints"), self.path)
            unified = unify(sets, options)
            labels, categories = (
                _listed(unified, found["labels"], options, self.path),
                tuple(found["categories"]),
            )
        else:
            if options.counts:
                log.warning(
                    "%s: labels are counted each time that it is opened; `fastdissect data merge --to json` writes "
                    "what was counted into the file",
                    self.path,
                )
            unified, labels, categories = decide(sets, options)
        super().__init__(sets, unified, labels, categories, options)
        self.name = f"merged:{self.path}"


def write_merged(merged: Merged, path: str | Path) -> Path:
    """Write a merge as a file that `merged:FILE.json` opens.

    Raises:
        OutputError: the file exists or cannot be written.
        SettingError: a set was made in Python; no name opens it.
    """
    target = Path(path).expanduser()
    if target.exists() or target.is_symlink():
        raise OutputError(f"{target} exists already; remove it or choose another name.")
    for data in merged.sets:
        if not is_spec(data.name):
            raise SettingError(
                f"{data.name} has no name that opens it; write a folder (broden, folder) instead."
            )
    record = {
        "format": _FORMAT,
        "data": [data.name for data in merged.sets],
        "options": merged.options.record(),
        "fingerprints": [data.fingerprint() for data in merged.sets],
        "categories": list(merged.concepts.categories),
        "labels": [[label.category, label.name] for label in merged.labels],
    }
    write_bytes(
        target, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")
    )
    return target


@contextlib.contextmanager
def _noted(path: Path) -> Iterator[None]:
    """Note that the sets of a file are being opened: one of them may be a merged file, which must not lead back here."""
    real, above = path.resolve(), _OPENING.get()
    if real in above:
        raise DataError(
            f"{path} is merged into itself. Take it, or a file that lists it, out of its data sets."
        )
    token = _OPENING.set((*above, real))
    try:
        yield
    finally:
        _OPENING.reset(token)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON ({error}); expected what `data merge --to json` writes."
        ) from error
    if not isinstance(found, dict) or found.get("format", _FORMAT) != _FORMAT:
        raise DataError(
            f'{path}: expected {{"format": "{_FORMAT}", "data": [...]}}; it is another kind of JSON.'
        )
    for key in found:
        if key not in _KEYS:
            raise DataError(
                f"{path}: unknown entry {key!r}; expected {', '.join(_KEYS)}{nearest(key, _KEYS)}."
            )
    if not _is_texts(found.get("data")) or not found["data"]:
        raise DataError(
            f'{path}: "data" must list the names of data sets, such as "broden:/data/broden1_224".'
        )
    if "labels" in found:
        pairs = found["labels"]
        if not isinstance(pairs, list) or not all(_is_texts(pair) and len(pair) == 2 for pair in pairs):
            raise DataError(f'{path}: "labels" must list pairs [category, name].')
        known = found.get("categories", [])
        if (
            not _is_texts(known)
            or not {pair[0] for pair in pairs} <= set(known)
            or len(set(known)) < len(known)
        ):
            raise DataError(f'{path}: "categories" must list the categories of "labels", each once.')
    return found


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _options(given: object, path: Path) -> MergeOptions:
    known = {field.name: field for field in dataclasses.fields(MergeOptions)}
    if not isinstance(given, dict):
        raise DataError(f'{path}: "options" must be an object with {", ".join(known)}.')
    for name, value in given.items():
        if name not in known:
            raise SettingError(
                f"{path}: unknown option {name!r}; expected {', '.join(known)}{nearest(name, known)}."
            )
        example = getattr(MergeOptions(), name)
        kinds: tuple[type, ...] = (int, float) if isinstance(example, float) else (type(example),)
        texts = not isinstance(value, dict) or _is_texts([*value, *value.values()])
        if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(example, bool) or not texts:
            raise SettingError(f"{path}: option {name} is {value!r}; expected a value such as {example!r}.")
    return MergeOptions(**given)


def _beside(spec: str, folder: Path) -> str:
    """A name whose path, where it is relative and lies beside the file, is told from the root."""
    scheme, colon, rest = spec.partition(":")
    path, question, options = rest.partition("?")
    if not colon or not has_path(spec) or not path or path.startswith("~"):
        return spec
    return f"{scheme}:{folder / path}{question}{options}" if (folder / path).exists() else spec


def _check_fingerprints(sets: Sequence[Dataset], known: object, path: Path) -> None:
    if not _is_texts(known) or known != [data.fingerprint() for data in sets]:
        raise DataError(
            f"{path}: its data sets are not those whose labels were counted (their tables changed since). Merge them "
            'again (`fastdissect data merge`), or remove "labels" from the file to count when it is opened.'
        )


def _listed(
    unified: Unified, pairs: Sequence[Sequence[str]], options: MergeOptions, path: Path
) -> list[UnifiedLabel]:
    """The labels that the file keeps, in its order."""

    def key(category: str, name: str) -> tuple[str, str]:
        return ("" if options.across_categories else fold(category)), fold(name)

    by_key = {key(label.category, label.name): label for label in unified.labels}
    kept = []
    for category, name in pairs:
        label = by_key.pop(key(category, name), None)
        if label is None:
            raise DataError(f"{path}: no set has the label {name!r} ({category}), or it is listed twice.")
        label.category = category
        kept.append(label)
    if len(kept) > MAX_LABEL:
        raise DataError(f"{path} lists {len(kept):,} labels; masks hold numbers up to {MAX_LABEL:,}.")
    for label in by_key.values():
        label.dropped = "left out when the file was written"
    return kept
