"""A factorisation on disk: back bit by bit, or a clear error."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from factorization_cases import planted, small

from fastdissect.errors import OutputError
from fastdissect.methods.factorization.contributions import contributions
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.sealing import sealed, unsealed
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings

FILES = ("factorization.safetensors", "history.csv", "restarts.csv", "factorization.json")


@pytest.fixture
def found():
    matrices = small()
    matrices[1] = dataclasses.replace(matrices[1], values=np.zeros_like(matrices[1].values))
    names = [f"pictures/ä {i}.png" for i in range(23)]
    return factorize_matrices(
        matrices, Settings(rank=3, restarts=2, mixtures=0.1, iterations=4), example_names=names
    )


def test_all_comes_back(found, tmp_path):
    found.save(tmp_path / "a")
    again = Factorization.load(tmp_path / "a")
    assert again.settings == found.settings
    assert again.example_names == found.example_names
    assert again.record == found.record
    assert again.mixtures.dtype == np.float32
    assert again.mixtures.tobytes() == found.mixtures.tobytes()
    assert again.history.equals(found.history)
    assert again.restarts.equals(found.restarts)
    assert again.zero_matrices == ("green",)
    for one, other in zip(again.loadings, found.loadings, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        assert one.dead.tolist() == other.dead.tolist()
        assert one.shape == other.shape
        assert (one.name, one.kind, one.scale, one.weight) == (
            other.name,
            other.kind,
            other.scale,
            other.weight,
        )
        assert one.fit == other.fit or (np.isnan(one.fit) and np.isnan(other.fit))
    matrices = small()
    assert project(again, matrices).tobytes() == project(found, matrices).tobytes()
    again.save(tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(found, tmp_path, name):
    found.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(OutputError, match=name):
        Factorization.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(found, tmp_path, name):
    found.save(tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(OutputError, match=rf"{name}.*damaged"):
        Factorization.load(tmp_path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(OutputError, match=rf"{name}.*damaged"):
        Factorization.load(tmp_path)


@pytest.mark.parametrize("rule", [{}, {"faithful": True}, {"initial": "random"}, {"penalty": "group-sparse"}])
def test_what_is_read_again_adds_up_to_the_same_bits(tmp_path, rule):
    found = factorize_matrices(planted(0)[0], Settings(rank=4, iterations=3, mixtures=0.1, **rule))
    for array in (found.mixtures, *(one.values for one in found.loadings)):
        assert array.flags.c_contiguous
    found.save(tmp_path)
    assert contributions(Factorization.load(tmp_path)).tobytes() == contributions(found).tobytes()


def test_a_changed_letter_of_the_index_is_noticed(found, tmp_path):
    found.save(tmp_path)
    path = tmp_path / FILES[-1]
    text = path.read_text()
    assert '"penalty": "elastic-net"' in text
    path.write_text(text.replace('"penalty": "elastic-net"', '"penalty": "group-sparse"'))
    with pytest.raises(OutputError, match=r"factorization.json is damaged"):
        Factorization.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format 2; got 99"),
        ({"settings": {"rank": 0}}, "damaged"),
        ({"settings": {"unheard": 1}}, "damaged"),
        ({"matrices": [{"name": "x"}]}, "damaged"),
        ({"columns": {"history": {"a": "int64"}, "restarts": {}}}, "damaged"),
        ({"files": {}}, "not the file"),
        ({"files": 3}, "damaged"),
    ],
)
def test_an_index_that_makes_no_sense(found, tmp_path, change, message):
    found.save(tmp_path)
    path = tmp_path / FILES[-1]
    path.write_text(json.dumps(sealed(unsealed(json.loads(path.read_text())) | change)))
    with pytest.raises(OutputError, match=message):
        Factorization.load(tmp_path)


def test_a_record_that_json_cannot_hold_writes_nothing(found, tmp_path):
    with pytest.raises(TypeError):
        dataclasses.replace(found, record={"a": object()}).save(tmp_path / "a")
    assert not (tmp_path / "a").exists()
