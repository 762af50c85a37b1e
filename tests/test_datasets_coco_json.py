"""Annotation files, parsed part by part: against a parser that takes them whole, and cut at every byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_coco import document

from fastdissect.datasets.coco.annotations import read_document
from fastdissect.datasets.coco.json_parts import read_parts
from fastdissect.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(), VALUES, max_size=5),
    st.lists(VALUES, max_size=6),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_parts_are_what_a_whole_parse_gives(
    others: dict, listed: list, ascii_only: bool, indent: int | None
) -> None:
    content = {**others, "long": listed, "tail": 1}
    data = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()
    found = []
    parts = read_parts(data, "a.json", {"long": lambda value, start, end: found.append((value, start, end))})
    assert parts == {**content, "long": len(listed)}
    assert [json.loads(data[start:end]) for _, start, end in found] == listed
    # what is handed over is the value itself, as long as it is ASCII
    assert not ascii_only or [value for value, _, _ in found] == listed


def test_every_cut_and_every_addition_is_seen() -> None:
    data = json.dumps(document()).encode()
    ignore = {"annotations": lambda *part: None}
    assert read_parts(b"\xef\xbb\xbf " + data + b"\n\t ", "a.json", ignore) == read_parts(
        data, "a.json", ignore
    )
    for end in range(len(data)):
        with pytest.raises(DataError, match=r"a.json is no valid JSON object .* Restore the file"):
            read_parts(data[:end], "a.json", ignore)
    for more in (b"}", b"{}", b",", b"\0"):
        with pytest.raises(DataError, match=r"a.json is no valid JSON object"):
            read_parts(data + more, "a.json", ignore)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"3", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{,}", b'{"a":1 "b":2}', b"{1:2}", b'{"a":1,"a":2}',
        b'{"a":NaN}', b'{"x":[1,]}', b'{"x":[,]}', b'{"x":[1 2]}', b'{"x":{}}', b'{"x":3}', b'{"x":[-Infinity]}',
        b'{"a":' + b"[" * 200_000, b'{"a":"\xff"}', b'{"a":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object(text: bytes) -> None:
    with pytest.raises(DataError, match=r"a.json is no valid JSON object"):
        read_parts(text, "a.json", {"x": lambda *part: None})


def test_annotations_are_found_by_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ids = rng.permutation(10_000)[:60]
    annotations = [
        {"id": i, "image_id": int(rng.choice(ids[:50])), "x": "é" * int(rng.integers(9))} for i in range(400)
    ]
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps({"annotations": annotations, "images": []}, ensure_ascii=False), encoding="utf-8"
    )
    # every third is left out
    table = read_document(path, lambda annotation: annotation["id"] % 3 > 0).by_image(ids.astype(np.int64))
    for image, id in enumerate(ids):
        wanted = [a for a in annotations if a["image_id"] == id and a["id"] % 3]
        assert table.read(image) == wanted
        assert table.count(image) == len(wanted)
    with pytest.raises(DataError, match=r"are of images that are not listed, such as image_id \d+"):
        read_document(path, lambda annotation: True).by_image(ids[1:].astype(np.int64))


def test_a_file_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    text = json.dumps({"annotations": [{"id": 5, "image_id": 1}], "images": []})
    path.write_text(text)
    table = read_document(path, lambda annotation: True).by_image(np.array([1]))
    assert table.read(0) == [{"id": 5, "image_id": 1}]
    path.write_text(text.replace('"id": 5', '"id": 6'))
    with pytest.raises(DataError, match=r"has changed since it was opened"):
        table.read(0)
    path.write_text("")
    with pytest.raises(DataError, match=r"has changed since it was opened"):
        table.read(0)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be read"):
        table.read(0)
