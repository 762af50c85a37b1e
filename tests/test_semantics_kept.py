"""Vectors in a folder: found again, torn, damaged, mixed with others, interrupted while they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantics_cases import Planted, dissected, planted_data

from fastdissect.errors import OutputError
from fastdissect.methods.net2vec.result import ConceptVectors
from fastdissect.methods.semantics import SemanticVectors, kept_vectors, semantic_vectors, settings_of
from fastdissect.methods.semantics.space import check_folder

FILES = ("vectors.json", "vectors.csv", "vectors.safetensors", "features.safetensors")


@pytest.fixture(scope="module")
def found() -> tuple[Any, SemanticVectors, SemanticVectors]:
    net, data = Planted().eval(), planted_data()
    d = dissected(net, data)
    options: dict[str, Any] = {"model": net, "data": data, "cache": None, "progress": False}
    return d, semantic_vectors(d, **options), semantic_vectors(d, positions=40, **options)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["cut", "flipped", "longer", "empty", "missing", "another's"])
def test_damaged_files_are_said(found: Any, tmp_path: Path, name: str, how: str) -> None:
    d, study, other = found
    study.save(tmp_path / "own")
    other.save(tmp_path / "other")
    path = tmp_path / "own" / name
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes({
        "cut": good[:middle],
        "flipped": good[:middle] + bytes([good[middle] ^ 0x15]) + good[middle + 1 :],
        "longer": good + b"x",
        "empty": b"",
        "missing": b"",
        "another's": (tmp_path / "other" / name).read_bytes(),
    }[how])  # fmt: skip
    if how == "missing":
        path.unlink()
        if name == "vectors.json":
            assert kept_vectors(tmp_path / "own", settings_of(d, "norm")) is None
            return
    with pytest.raises(OutputError, match="own"):
        kept_vectors(tmp_path / "own", settings_of(d, "norm"))
    with pytest.raises(OutputError, match="own"):
        SemanticVectors.load(tmp_path / "own")


def test_no_flipped_bit_is_read(found: Any, tmp_path: Path) -> None:
    _, study, _ = found
    study.save(tmp_path)
    rng = np.random.default_rng(0)
    for name in FILES[1:]:
        good = (tmp_path / name).read_bytes()
        for at in rng.choice(len(good), 12, replace=False):
            (tmp_path / name).write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
            with pytest.raises(OutputError):
                SemanticVectors.load(tmp_path)
        (tmp_path / name).write_bytes(good)
    SemanticVectors.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"names": ["green", "red", "blue"]},
        {"skipped": [["x", "y"]]},
        {"layer": "other"},
        {"categories": ["z"]},
    ],
)
def test_a_changed_index_is_said(found: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    _, study, _ = found
    study.save(tmp_path)
    index = json.loads((tmp_path / "vectors.json").read_text())
    (tmp_path / "vectors.json").write_text(json.dumps({**index, **change}))
    with pytest.raises(OutputError):
        SemanticVectors.load(tmp_path)


def test_vectors_of_net2vec_are_not_taken_for_ours(found: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    _, study, _ = found
    replace(study.vectors, kind="segmentation").save(tmp_path)
    with pytest.raises(OutputError, match=r"expected semantic vectors in .*Net2Vec"):
        SemanticVectors.load(tmp_path)


def test_an_interrupted_save_leaves_nothing_to_mistake(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    d, study, other = found
    study.save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ConceptVectors, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            other.save(tmp_path)
    assert kept_vectors(tmp_path, settings_of(d, "norm")) is None
    study.save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


def test_folders_that_cannot_be_written_are_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        check_folder(tmp_path / "file" / "below")
    (tmp_path / "own" / "features.safetensors").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"features\.safetensors cannot be written: it is a folder"):
        check_folder(tmp_path / "own")
    check_folder(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
