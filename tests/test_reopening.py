"""A finished run's network and data set, opened again: the same batches, and nothing else under their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Net

import fastdissect as fd
from fastdissect.datasets.writing import write_broden
from fastdissect.errors import DataError, ModelError, OutputError
from fastdissect.recorded import recorded_input, recorded_layout
from fastdissect.reopening import reopen, reopen_data, reopen_model

SHAPES = "shapes:images=12,size=32"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> fd.Dissection:
    out = tmp_path_factory.mktemp("run") / "out"
    return fd.dissect(
        "builtin:shapes", SHAPES, "conv5", out=out, cache=None, batch_size=5, size=48, workers=0
    )


def test_the_network_sees_the_very_batches_of_the_run(run: fd.Dissection) -> None:
    opened = reopen(run)
    module = opened.loaded.module
    found: list[torch.Tensor] = []
    handle = module.get_submodule("conv5").register_forward_hook(lambda _m, _a, out: found.append(out))
    with torch.inference_mode():
        for batch in opened.source.batches(0, False):
            module(batch.images)
    handle.remove()
    assert [len(maps) for maps in found] == [5, 5, 2]
    maxima = torch.cat(found).amax((2, 3)).numpy()
    np.testing.assert_array_equal(np.asarray(run["conv5"].maxima), maxima + 0)
    assert recorded_input(run) == ((48, 48), (24, 24), 5)


def test_a_network_without_a_name_must_be_given_and_be_the_same(tmp_path: Path) -> None:
    network = Net().eval()
    layer = next(name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d))
    found = fd.dissect(network, SHAPES, layer, preprocessing=PLAIN, cache=None, workers=0)
    with pytest.raises(ModelError, match=r"'Net' cannot be opened by this name.*give the network itself"):
        reopen(found)
    assert reopen(found, model=network).loaded.preprocessing.mean == PLAIN.mean
    other = Net().eval()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(ModelError, match="expected the network that was dissected, 'Net' with weights"):
        reopen(found, model=other)


def test_relative_names_count_from_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    write_broden(fd.datasets.open_dataset(SHAPES), home / "set")
    code = "from fastdissect.models.shapes import load_shapes\ndef build():\n    return load_shapes()\n"
    (home / "net.py").write_text(code)
    monkeypatch.chdir(home)
    fd.dissect("net.py:build", "broden:set", "conv5", out="out", cache=None, workers=0)
    monkeypatch.chdir(elsewhere)
    found = fd.load(home / "out")
    assert reopen_model(found).weights_digest == found.run["key"]["weights"]
    assert len(reopen_data(found)) == 12
    assert Path.cwd() == elsewhere


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("shapes:images=11,size=32", r"the 12 images of the run.*with 11"),
        (
            "shapes:images=12,size=32,seed=1",
            r"from 'shapes/0_00000000.png' on; got .*'shapes/1_00000000.png'",
        ),
        ("shapes:images=12,size=40", "another data set than the run recorded"),
    ],
)
def test_another_data_set_is_refused(run: fd.Dissection, data: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        reopen(run, data=data)


def test_another_network_is_refused(run: fd.Dissection) -> None:
    with pytest.raises(ModelError, match="give the same weights, or dissect this network"):
        reopen(run, model="builtin:shapes-random")


def test_a_run_that_recorded_nothing_is_refused(run: fd.Dissection) -> None:
    bare = fd.Dissection(run.layers, run.profile, run.concepts, run.image_names, {"model": "builtin:shapes"})
    with pytest.raises(OutputError, match="dissect again"):
        reopen(bare)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("input size", [112]),
        ("input size", [112, True]),
        ("mask size", "56"),
        ("batch size", 0),
        ("batch size", 2.5),
        ("preprocessing", [[0.5, 0.5], [1, 1, 1], "bilinear"]),
        ("preprocessing", [[0.5, 0.5, None], [1, 1, 1], "bilinear"]),
        ("tokens", [1]),
        ("tokens", [-1, [2, 2]]),
        ("forward", "bfloat16"),
    ],
)
def test_a_record_that_was_edited_is_refused(run: fd.Dissection, what: str, value: object) -> None:
    key = {**run.run["key"], what: value}
    edited = fd.Dissection(run.layers, run.profile, run.concepts, run.image_names, {**run.run, "key": key})
    with pytest.raises(OutputError, match=f"its key's '{what}' is .*dissect again"):
        reopen(edited)
    assert recorded_layout(run) == ("auto", None)


def test_a_loader_has_no_name_to_open_it_by(run: fd.Dissection) -> None:
    record = {**run.run, "data": "DataLoader of Images"}
    found = fd.Dissection(run.layers, run.profile, run.concepts, run.image_names, record)
    with pytest.raises(DataError, match=r"which no name opens; give it in Python \(data=\)"):
        reopen(found)


def test_images_without_labels_are_left_out_again(tmp_path: Path) -> None:
    whole = fd.datasets.open_dataset(SHAPES)
    found = fd.dissect(
        "builtin:shapes", whole, "conv5", profile="netdissect-lite", cache=None, workers=0, size=48
    )
    assert reopen(found).source.images == len(found.image_names)
