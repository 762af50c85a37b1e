"""Every file of every published layout, damaged: what comes of it is a message, never another error."""

from __future__ import annotations

import copy
import importlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import FastdissectError, SettingError

FORMATS = (
    "ade20k", "ade20k_150", "cityscapes", "coco", "coco_panoptic", "coco_stuff", "dtd", "imagenet_s", "lvis",
    "opensurfaces", "paco", "sa1b", "voc", "voc_context", "voc_parts",
)  # fmt: skip
JSON = ("ade20k", "coco", "coco_panoptic", "paco", "sa1b")  # lvis: as coco
VALUES = (
    None, True, -1, 1.5, 1e999, 1 << 70, "", "x" * 300, "\ud800", "a/b\0c", [], [[]], {}, {"a": 1}, [[1e999] * 6],
    {"size": [32, 48], "counts": [2**63, 2**63]},
)  # fmt: skip


def read(spec: str) -> tuple[Counter[object], list[str]]:
    """Pixels of each label number, and the messages of the images that could not be read."""
    data = open_dataset(spec)
    found: Counter[object] = Counter()
    messages = []
    for index in range(len(data)):
        try:
            data.read_image(index)
            for channel in data.read_labels(index):
                if isinstance(channel.labels, int):
                    found["whole", channel.labels] += 1
                    continue
                assert channel.labels.ndim == 2
                assert channel.labels.size
                assert np.isin(channel.labels, [0, *data.concepts.numbers]).all()
                found.update(np.ravel(channel.labels).tolist())
        except FastdissectError as error:
            messages.append(str(error))
    return found, messages


def damages(content: bytes) -> Iterator[bytes]:
    rng = random.Random(len(content))
    yield b""
    yield bytes(len(content))
    yield content + content
    yield content.decode("latin-1").encode("utf-16")
    for part in (1, 2, 3):
        yield content[: len(content) * part // 4]
    for _ in range(4):
        place = rng.randrange(len(content))
        yield content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    spec = importlib.import_module(f"written_{name}").write(tmp_path)
    whole, messages = read(spec)
    assert whole
    assert not messages
    refused = 0
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for damaged in (*damages(content), None):
            path.unlink()
            if damaged is None:
                path.mkdir()
            else:
                path.write_bytes(damaged)
            try:
                refused += bool(read(spec)[1])
            except FastdissectError as error:
                refused += bool(str(error))
            if damaged is None:
                path.rmdir()
            path.write_bytes(content)
    assert refused > 20
    assert read(spec) == (whole, [])


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON value, one of each shape: the first element stands for its list."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def changed(document: Any, at: tuple[str | int, ...]) -> Iterator[Any]:
    """The document with other values at a place, and without it."""
    for value in (..., *VALUES):
        if not at:
            if value is not ...:
                yield value
            continue
        other = copy.deepcopy(document)
        inner = other
        for key in at[:-1]:
            inner = inner[key]
        if value is ...:
            del inner[at[-1]]
        else:
            inner[at[-1]] = value
        yield other


@pytest.mark.parametrize("name", JSON)
def test_json_of_other_types(name: str, tmp_path: Path) -> None:
    spec = importlib.import_module(f"written_{name}").write(tmp_path)
    path = max(tmp_path.rglob("*.json"), key=lambda path: path.stat().st_size)
    document = json.loads(path.read_text())
    refused = 0
    for at in places(document):
        for other in changed(document, at):
            path.write_text(json.dumps(other))
            try:
                refused += bool(read(spec)[1])
            except FastdissectError as error:
                refused += bool(str(error))
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("coco", "images"), ("coco_panoptic", "masks"), ("coco_stuff", "images"), ("imagenet_s", "names"), ("sa1b", "labels"),
        ("voc_context", "images"), ("voc_parts", "images"),
    ],
)  # fmt: skip
def test_an_empty_path_is_not_the_working_folder(
    name: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.import_module(f"written_{name}").write(tmp_path).partition("?")[0]
    monkeypatch.chdir(next(iter(tmp_path.rglob("*street*.png"))).parent)
    with pytest.raises(SettingError, match=f"the option {option} is empty"):
        open_dataset(f"{spec}?{option}=")
