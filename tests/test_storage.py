from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from fastdissect.arrays_file import read_arrays, write_arrays
from fastdissect.conventions import PROFILES, profile
from fastdissect.errors import OutputError, SettingError
from fastdissect.files import atomic_write, write_bytes
from fastdissect.results import Dissection, LayerDissection, load
from fastdissect.storage import layer_folder, mapped_arrays
from fastdissect.storage.mapped_arrays import map_arrays
from fastdissect.storage.tensors_file import read_tensors, write_tensors
from fastdissect.types import Concepts, Counts, SparseActivations
from fastdissect.upsampling import make_upsampling

IMAGES, UNITS, CELLS = 9, 6, (4, 5)
EVIL = (
    '=HYPERLINK("x")',
    '<script>"&',
    "line\nbreak",
    "return\rcarriage",
    ", comma",
    "日本 ´",
    "NA",
    " padded ",
)
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}


def sparse(rng: np.random.Generator, kind: str, cells: tuple[int, int]) -> SparseActivations:
    owners = [(u, i) for u in range(UNITS) for i in range(IMAGES) if rng.random() < 0.4]
    lengths = rng.integers(1, min(6, cells[0] * cells[1] + 1), len(owners))
    inside = [np.sort(rng.choice(cells[0] * cells[1], n, replace=False)) for n in lengths]
    bits = rng.integers(0, 2**15, int(lengths.sum())).astype(np.uint16)
    values = bits if kind == "bfloat16" else rng.standard_normal(len(bits)).astype(DTYPES[kind])
    return SparseActivations(
        shape=(IMAGES, UNITS, *cells),
        kind=kind,
        unit_start=np.searchsorted([u for u, _ in owners], np.arange(UNITS + 1)).astype(np.int64),
        images=np.array([i for _, i in owners], np.uint32),
        cell_start=np.append(0, np.cumsum(lengths)).astype(np.int64),
        cells=np.concatenate(inside).astype(np.uint16 if cells[0] * cells[1] <= 65536 else np.uint32),
        values=values,
    )


def layer(
    seed: int, name: str, kind: str = "float32", cells=CELLS, mode="half-pixel", **changes
) -> LayerDissection:
    rng = np.random.default_rng(seed)
    items = {
        "name": name,
        "profile": profile("netdissect", quantile="1/150"),
        "concepts": Concepts(np.arange(3, 11), EVIL, rng.integers(0, 2, 8), ("object", "texture")),
        "shape": (IMAGES, UNITS, *cells),
        "thresholds": rng.standard_normal(UNITS).astype(np.float32),
        "seen": np.full(UNITS, 180),
        "counts": Counts(
            rng.integers(0, 9, (UNITS, 8)),
            rng.integers(9, 30, (UNITS, 2)),
            rng.integers(9, 30, 8),
            rng.integers(30, 40, UNITS),
        ),
        "upsampling": make_upsampling(mode, cells, (8, 9)),
        "activations": sparse(rng, kind, cells),
        "means": rng.standard_normal((IMAGES, UNITS)).astype(np.float32),
        "maxima": rng.standard_normal((IMAGES, UNITS)).astype(np.float32),
    }
    return LayerDissection(**{**items, **changes})


NAMES = (
    *(f"a/{i}.png" for i in range(IMAGES - 2)),
    'comma, quote " and\r\nbreak.png',
    "undecodable \udcff.png",
)


def dissection(*layers: LayerDissection, **run) -> Dissection:
    layers = layers or (layer(1, "layer4"), layer(2, "a/../b", "bfloat16"), layer(3, "", "float16"))
    first = layers[0]
    return Dissection(
        {one.name: one for one in layers}, first.profile, first.concepts, NAMES, {"seed": 3, **run}
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def equal(a, b) -> bool:
    """Arrays by dtype, shape and bytes (NaN included); dataclasses and tuples by their parts."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(equal(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)
    return type(a) is type(b) and a == b


# --- round trip ---


def test_what_is_saved_is_loaded(tmp_path):
    d = dissection(note="<&>")
    d.save(tmp_path / "run")
    e = load(tmp_path / "run")
    assert list(e) == list(d)
    for name, one in d.items():
        assert equal(one, e[name])
        assert one.units().equals(e[name].units())
    assert (e.profile, e.image_names) == (d.profile, NAMES)
    assert equal(e.concepts, d.concepts)
    assert (e.run["seed"], e.run["note"], e.run["format"]) == (3, "<&>", 1)
    assert (e["layer4"].unit_mask(2, 3) == d["layer4"].unit_mask(2, 3)).all()
    assert not list((tmp_path / "run").rglob("*.part"))


@pytest.mark.parametrize("mode", ["half-pixel", "half-pixel-zero", "pil"])
@pytest.mark.parametrize("cells", [(4, 5), (1, 1), (20, 30), (256, 257)])
def test_every_table_and_cell_width_survives(tmp_path, mode, cells):
    one = layer(4, "x", cells=cells, mode=mode)
    dissection(one).save(tmp_path)
    assert equal(load(tmp_path)["x"], one)


@pytest.mark.parametrize("kept", [(), ("activations",), ("means", "maxima"), ("maxima",)])
def test_what_was_left_out_stays_out_also_over_an_older_save(tmp_path, kept):
    full = layer(5, "x")
    dissection(full).save(tmp_path)
    changes = {name: None for name in ("activations", "means", "maxima") if name not in kept}
    some = layer(5, "x", **changes)
    dissection(some).save(tmp_path)
    assert equal(load(tmp_path)["x"], some)
    assert (tmp_path / "layers/x/activations.safetensors").exists() == bool(kept)


def test_empty_layers_survive(tmp_path):
    nothing = SparseActivations(
        (IMAGES, UNITS, *CELLS),
        "float16",
        np.zeros(UNITS + 1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint16),
        np.zeros(0, np.float16),
    )
    counts = Counts(*(np.zeros(s, np.int64) for s in ((UNITS, 0), (UNITS, 0), 0, UNITS)))
    vocabulary = Concepts(np.zeros(0, np.int64), (), np.zeros(0, np.int64), ())
    one = layer(6, "x", activations=nothing, concepts=vocabulary, counts=counts)
    dissection(one).save(tmp_path)
    assert equal(load(tmp_path)["x"], one)
    assert not load(tmp_path)["x"].unit_mask(0, 0).any()


def test_activations_are_mapped_not_read(tmp_path):
    dissection().save(tmp_path)
    found = load(tmp_path)["layer4"]
    for array in (found.maxima, found.means, found.activations.values, found.activations.cells):
        base = array
        while not isinstance(base, np.memmap):
            base = base.base
        assert array.flags.aligned
        assert not array.flags.writeable


def test_safetensors_own_library_reads_the_file(tmp_path):
    dissection().save(tmp_path)
    tensors = load_file(tmp_path / "layers/layer4/activations.safetensors")
    expected = layer(1, "layer4")
    assert equal(tensors["maxima"], expected.maxima)
    assert equal(tensors["cells"], expected.activations.cells)
    assert sorted(tensors) == ["cell_start", "cells", "images", "maxima", "means", "unit_start", "values"]


def test_numpy_reads_the_counts(tmp_path):
    dissection().save(tmp_path)
    with np.load(tmp_path / "layers/layer4/counts.npz", allow_pickle=False) as counts:
        assert tuple(counts["concept_names"].tolist()) == EVIL
        assert counts["categories"].tolist() == ["object", "texture"]
        assert equal(counts["intersection"], layer(1, "layer4").intersection)


def test_pandas_reads_the_tables_and_hostile_names_stay_cells(tmp_path):
    dissection().save(tmp_path)
    folder = tmp_path / "layers/layer4"
    expected = load(tmp_path)["layer4"].units()
    assert pd.read_parquet(folder / "units.parquet").equals(expected)
    read = pd.read_csv(folder / "units.csv", keep_default_na=False)
    assert read["label"].tolist() == expected["label"].tolist()
    assert np.allclose(read["iou"], expected["iou"], rtol=1e-15, atol=0)  # pandas 2 parses to an ulp
    assert np.array_equal(read["threshold"].astype(np.float32), expected["threshold"])
    for file in ("units.csv", "tally.csv"):
        with (folder / file).open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened, strict=True))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert len(rows) == UNITS + 1


def test_loading_needs_neither_torch_nor_numba(tmp_path):
    dissection().save(tmp_path)
    code = (
        "import sys; from fastdissect.results import load; d = load(sys.argv[1]); d['layer4'].units();"
        "d['layer4'].unit_mask(0, 0); print([m for m in ('torch', 'numba') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


# --- the same bytes ---


def test_two_saves_are_equal_byte_for_byte(tmp_path, monkeypatch):
    dissection(time=1).save(tmp_path / "one")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    dissection(time=2).save(tmp_path / "two")
    load(tmp_path / "one").save(tmp_path / "three")
    one, two, three = (files(tmp_path / name) for name in ("one", "two", "three"))
    assert one.pop("run.json") != two.pop("run.json")
    assert three.pop("run.json")
    assert one == two == three
    assert len(one) == 1 + 3 * 5


def test_a_loaded_run_can_be_saved_over_itself(tmp_path):
    dissection().save(tmp_path)
    before = files(tmp_path)
    load(tmp_path).save(tmp_path)
    assert files(tmp_path) == before


def test_results_that_differ_give_other_bytes(tmp_path):
    base = layer(1, "layer4")
    dissection(base).save(tmp_path / "one")
    seen = base.seen.copy()
    seen[0] += 1
    dissection(layer(1, "layer4", seen=seen)).save(tmp_path / "two")
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one["layers/layer4/counts.npz"] != two["layers/layer4/counts.npz"]


# --- damage ---


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "run"
    dissection(layer(1, "layer4"), layer(2, "b", "bfloat16")).save(folder)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


READ = ["run.json", "images.csv", "layers/b/counts.npz", "layers/layer4/activations.safetensors"]


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.99, "all but one byte"])
@pytest.mark.parametrize("name", READ)
def test_a_truncated_file_is_named(copy, name, share):
    data = (copy / name).read_bytes()
    kept = len(data) - 1 if isinstance(share, str) else int(len(data) * share)
    if name == "run.json" and kept == len(data) - 1:
        kept -= 1  # the last byte is the line's end
    (copy / name).write_bytes(data[:kept])
    with pytest.raises(OutputError, match="truncated or damaged") as caught:
        load(copy)
    assert str(copy / name) in str(caught.value)


@pytest.mark.parametrize("name", READ)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(OutputError) as caught:
        load(copy)
    assert str(copy / name) in str(caught.value)


@pytest.mark.parametrize("name", READ[1:])
def test_longer_files_are_damaged_too(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(OutputError, match=Path(name).name):
        load(copy)


def test_no_flipped_bit_in_the_counts_or_names_goes_unnoticed(copy):
    rng = np.random.default_rng(0)
    for name in READ[1:3]:
        data = (copy / name).read_bytes()
        for at in rng.integers(0, len(data), 40):
            broken = bytearray(data)
            broken[at] ^= 1 << int(rng.integers(0, 8))
            (copy / name).write_bytes(broken)
            with pytest.raises(OutputError, match=Path(name).name):
                load(copy)
        (copy / name).write_bytes(data)
    load(copy)


def outcome(folder: Path) -> str:
    try:
        load(folder)
    except OutputError as error:
        return str(error)
    return "loaded"


def test_a_flipped_bit_in_a_header_is_noticed(copy):
    rng = np.random.default_rng(1)
    data = (copy / READ[3]).read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for at in rng.integers(0, header, 60):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(0, 8))
        (copy / READ[3]).write_bytes(broken)
        assert str(copy / READ[3]) in outcome(copy)
    # run.json may be edited; whatever is in it, the run loads or the message says which file is wrong
    (copy / READ[3]).write_bytes(data)
    assert outcome(copy) == "loaded"
    data = (copy / "run.json").read_bytes()
    for at in rng.integers(0, len(data), 200):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(0, 8))
        (copy / "run.json").write_bytes(broken)
        said = outcome(copy)
        assert said == "loaded" or str(copy) in said


@pytest.mark.parametrize("broken", ["unit_start", "cell_start"])
def test_records_that_point_outside_are_refused(tmp_path, broken):
    one = layer(1, "x")
    offsets = getattr(one.activations, broken)
    offsets[1] = 10**6
    dissection(one).save(tmp_path)
    with pytest.raises(OutputError, match=f"activations.safetensors is damaged: {broken}"):
        load(tmp_path)


def test_activations_of_another_run_are_refused(copy, tmp_path):
    dissection(layer(9, "layer4")).save(tmp_path / "other")
    file = "layers/layer4/activations.safetensors"
    shutil.copy(tmp_path / "other" / file, copy / file)
    with pytest.raises(OutputError, match=r"not the one that run\.json describes"):
        load(copy)
    shutil.copy(tmp_path / "other/layers/layer4/counts.npz", copy / "layers/layer4/counts.npz")
    with pytest.raises(OutputError, match=r"counts\.npz is not the file that run\.json describes"):
        load(copy)


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_format_is_refused(copy, version):
    record = json.loads((copy / "run.json").read_bytes())
    (copy / "run.json").write_text(json.dumps({**record, "format": version, "files": "somewhere else"}))
    with pytest.raises(
        OutputError, match=rf"run\.json was written by a newer fastdissect \(format {version}"
    ):
        load(copy)


@pytest.mark.parametrize(
    "text", ["[]", "null", "{}", '{"format": "1"}', '{"format": 1}', '{"format": true}', "\xff"]
)
def test_a_run_json_that_says_something_else_is_refused(copy, text):
    (copy / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError, match=r"run\.json is (truncated or )?damaged"):
        load(copy)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="no finished run"):
        load(tmp_path)


def test_a_bare_array_or_pickle_is_no_counts_file(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros(3))
    np.savez(tmp_path / "pickle.npz", x=np.array([{}], object))
    for name in ("bare.npy", "pickle.npz"):
        with pytest.raises(OutputError, match=f"{name} is truncated or damaged"):
            read_arrays(tmp_path / name)


@pytest.mark.parametrize(
    "entry", [{"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, {"dtype": "F32"}, 3, None]
)
def test_a_tensor_that_does_not_fit_is_refused(tmp_path, entry):
    header = json.dumps({"x": entry}).encode()
    (tmp_path / "t").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    with pytest.raises(OutputError, match="truncated or damaged"):
        read_tensors(tmp_path / "t")


# --- writing ---


def test_a_folder_of_another_run_is_refused(tmp_path):
    dissection(layer(1, "layer3")).save(tmp_path)
    before = files(tmp_path)
    with pytest.raises(OutputError, match="layer 'layer3' of another run"):
        dissection(layer(1, "layer4")).save(tmp_path)
    assert files(tmp_path) == before


def test_settings_that_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(SettingError, match="JSON"):
        dissection(device=object()).save(tmp_path)


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "new" / "counts.npz"
    write_arrays(path, {"a": np.zeros(5)})
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="the disk is full") as caught:
        write_arrays(path, {"a": np.zeros(1000)})
    assert str(path) in str(caught.value)
    assert "8,512 bytes" in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["counts.npz"]


def test_a_save_on_a_full_disk_leaves_no_half_written_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match=r"images\.csv"):
        dissection().save(tmp_path)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert files(tmp_path) == {"a.txt": b"old"}


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    (tmp_path / ".a.txt.part").write_bytes(b"half of something much longer")
    write_bytes(tmp_path / "a.txt", b"whole")
    assert files(tmp_path) == {"a.txt": b"whole"}


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        dissection().save(tmp_path / "out")


# --- names and formats ---


def test_plain_layer_names_are_folders_as_they_are():
    for name in ("layer4", "features.3", "blocks.0.mlp.fc1", "_orig-mod.x", "日本"):
        assert (layer_folder(name) == name) == name.isascii()
    assert layer_folder("日本") == "%E6%97%A5%E6%9C%AC"


@given(
    st.lists(st.text(max_size=8) | st.sampled_from(["", ".", "..", "%2E", "CON", "con.x", "a."]), min_size=2)
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_layer_folders_are_safe_and_never_shared(names):
    folders = {name: layer_folder(name) for name in names}
    assert len(set(folders.values())) == len(folders)
    for folder in folders.values():
        assert folder.isascii()
        assert folder
        assert not set(folder) & set('/\\:*?"<>|\0 ')
        assert not folder.startswith(".")
        assert not folder.endswith(".")
        assert folder.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


dtypes = st.sampled_from(
    [np.float32, np.float16, np.uint16, np.uint32, np.int64, np.uint64, np.float64, np.int32]
)


@given(
    st.dictionaries(st.text('abc"é', max_size=3), st.tuples(dtypes, st.lists(st.integers(0, 3), max_size=3)))
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_tensors_survive_in_any_layout(tmp_path_factory, described):
    path = tmp_path_factory.mktemp("tensors") / "x.safetensors"
    rng = np.random.default_rng(0)
    arrays = {
        name: (
            rng.integers(0, 99, shape).astype(dtype)
            if i % 2
            else rng.integers(0, 99, shape[::-1]).astype(dtype).T
        )
        for i, (name, (dtype, shape)) in enumerate(described.items())
    }
    write_tensors(path, arrays, {"text": '<"\n>'})
    read, text = read_tensors(path)
    assert text == {"text": '<"\n>'}
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        assert equal(np.ascontiguousarray(read[name]), np.ascontiguousarray(array))
    assert len(path.read_bytes()) % 2 == 0 or any(a.size for a in arrays.values())


def test_big_endian_arrays_are_written_little(tmp_path):
    big = np.arange(5, dtype=">f4")
    write_tensors(tmp_path / "t", {"x": big}, {})
    assert load_file(tmp_path / "t")["x"].tolist() == [0, 1, 2, 3, 4]
    write_arrays(tmp_path / "a.npz", {"x": big})
    assert read_arrays(tmp_path / "a.npz")["x"].dtype == np.dtype("<f4")


def test_profiles_differ_per_layer(tmp_path):
    one, two = layer(1, "a"), layer(2, "b", profile=PROFILES["dissect-2020"])
    dissection(one, two).save(tmp_path)
    assert load(tmp_path)["b"].profile == PROFILES["dissect-2020"]
    assert load(tmp_path).profile == one.profile


def test_a_folder_of_runs_names_them(tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "run.json").write_text("{}")
    with pytest.raises(OutputError, match=r"is no finished run; it holds trained: name one"):
        load(tmp_path)


# --- large counts are mapped ---


def test_large_counts_are_mapped_and_equal_what_is_read(tmp_path, monkeypatch):
    d = dissection()
    d.save(tmp_path / "run")
    read = load(tmp_path / "run")
    monkeypatch.setattr(mapped_arrays, "_LEAST", 200)
    mapped = load(tmp_path / "run")
    for name, one in mapped.items():
        assert not one.intersection.flags.writeable  # of a map
        assert read[name].intersection.flags.writeable
        assert equal(one.counts, read[name].counts)
        assert equal(one.iou(), read[name].iou())
        assert equal(one.labels, read[name].labels)
    before = files(tmp_path / "run")
    mapped.save(tmp_path / "run")  # over the very files that are mapped
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("least", [0, 100, 1 << 30])
@pytest.mark.parametrize("write", [write_arrays, lambda path, arrays: np.savez_compressed(path, **arrays)])
def test_whatever_lies_in_the_file_comes_back(tmp_path, monkeypatch, least, write):
    monkeypatch.setattr(mapped_arrays, "_LEAST", least)
    arrays = {
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "text": np.array(["日本", ""]),
        "none": np.empty((0, 5), np.int64),
        "one": np.array(3),
        "many": np.arange(1000, dtype=np.int64).reshape(10, 100),
    }
    write(tmp_path / "a.npz", arrays)
    found = map_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert equal(np.ascontiguousarray(found[name]), np.ascontiguousarray(array))


@pytest.mark.parametrize("cut", [0, 10, 100, 400, -30])
def test_a_damaged_file_of_mapped_arrays_is_said(tmp_path, monkeypatch, cut):
    monkeypatch.setattr(mapped_arrays, "_LEAST", 0)
    write_arrays(tmp_path / "a.npz", {"a": np.arange(100), "b": np.arange(5)})
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:cut])
    with pytest.raises(OutputError, match=r"a\.npz"):
        map_arrays(tmp_path / "a.npz")
    with pytest.raises(OutputError, match="missing"):
        map_arrays(tmp_path / "b.npz")
