"""Blocks and memory maps: where the values lie changes nothing, how many are read at once only rounding."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from factorization_cases import small

from fastdissect.errors import OutputError
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.row_reading import RowReader, _file_behind
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings

RULES = [
    {},
    {"faithful": True},
    {"penalty": "group-sparse", "groups": 3, "mixtures": 0.1},
    {"faithful": True, "penalty": "group-sparse", "groups": 2, "mixtures": 0.01},
]


def _mapped(matrices, folder, mode="r"):
    """The same values as maps: of .npy files with a header in front, in the middle of a file, rows of a longer map."""
    found = []
    for i, one in enumerate(matrices):
        path = folder / f"{i}.bin"
        if i == 0:
            np.save(folder / "0.npy", one.values)
            values = np.load(folder / "0.npy", mmap_mode=mode)
        elif i == 1:
            path.write_bytes(b"12345678" * 700 + one.values.tobytes())
            values = np.memmap(path, np.float32, mode, 5600, one.values.shape)
        else:
            path.write_bytes(
                b"\xff" * 2 * 4 * one.features + one.values.tobytes() + b"\xff" * 4 * one.features
            )
            values = np.memmap(path, np.float32, mode, 0, (one.examples + 3, one.features))[2:-1]
        found.append(dataclasses.replace(one, values=values))
    return found


def _same(a, b):
    assert a.mixtures.tobytes() == b.mixtures.tobytes()
    for one, other in zip(a.loadings, b.loadings, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        assert (one.scale, one.fit) == (other.scale, other.fit)
    assert a.history.equals(b.history)


@pytest.mark.parametrize("rule", RULES)
def test_a_memory_map_gives_the_bits_of_an_array(tmp_path, rule):
    settings = Settings(rank=3, iterations=6, restarts=2, block=7, **rule)
    matrices = small()
    maps = _mapped(matrices, tmp_path)
    assert all(_file_behind(one.values) is not None for one in maps)
    found = factorize_matrices(matrices, settings)
    _same(found, factorize_matrices(maps, settings))
    _same(found, factorize_matrices(matrices, settings))
    assert project(found, matrices).tobytes() == project(found, maps).tobytes()


def test_unaligned_arrays_give_the_same_bits():
    matrices = small()
    room = np.zeros(matrices[2].values.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(23, 9)
    room[...] = matrices[2].values
    wide = np.repeat(matrices[2].values, 2, axis=1)[:, ::2]
    for values in (room, wide, np.asfortranarray(matrices[2].values)):
        moved = [*matrices[:2], dataclasses.replace(matrices[2], values=values)]
        _same(factorize_matrices(matrices, Settings(rank=3)), factorize_matrices(moved, Settings(rank=3)))


def test_changes_in_a_copy_on_write_map_are_seen(tmp_path):
    matrices = _mapped(small(), tmp_path, mode="c")
    assert all(_file_behind(one.values) is None for one in matrices)
    matrices[2].values[:, 4] = 5
    assert not len(factorize_matrices(matrices, Settings(rank=2, iterations=1)).dead_features("layer"))


def test_changes_in_a_shared_map_are_seen(tmp_path):
    matrices = _mapped(small(), tmp_path, mode="r+")
    matrices[2].values[:, 4] = 5
    assert not len(factorize_matrices(matrices, Settings(rank=2, iterations=1)).dead_features("layer"))


@pytest.mark.parametrize("rule", RULES)
def test_the_block_changes_rounding_alone(rule):
    found = [
        factorize_matrices(small(), Settings(rank=3, iterations=6, tolerance=0.0, block=block, **rule))
        for block in (1, 5, 23, 1000)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.mixtures, found[0].mixtures, rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(other.history["objective"], found[0].history["objective"], rtol=1e-4)
    assert found[2].mixtures.tobytes() == found[3].mixtures.tobytes()


def test_a_file_cut_after_it_was_mapped_is_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(np.ones(40, np.float32).tobytes())
    values = np.memmap(path, np.float32, "r", 0, (10, 4))
    os.truncate(path, 100)
    with RowReader(values) as reader, pytest.raises(OutputError, match=r"28 more bytes.*was cut"):
        reader.read(5, 8, np.empty((3, 4), np.float32))  # bytes 80 to 128


def test_a_file_that_is_gone_is_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(np.ones(40, np.float32).tobytes())
    values = np.memmap(path, np.float32, "r", 0, (10, 4))
    path.unlink()
    with pytest.raises(OutputError, match="cannot be read"):
        RowReader(values)
