"""Bytes changed in the body of activations.safetensors, which its header does not seal: an error that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netdissect_lite_cases import LiteNet, lite_settings

import fastdissect as fd
from fastdissect.compat.netdissect_lite import FeatureOperator
from fastdissect.datasets import open_dataset, write_broden
from fastdissect.errors import OutputError, SettingError
from fastdissect.reports import write_report
from fastdissect.settings import checked_thresholds, rounded_down


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def done(tmp_path: Path) -> SimpleNamespace:
    """A finished run of NetDissect-Lite's kind, and the same settings to go on with."""
    data = write_broden(open_dataset("shapes:images=16,size=32"), tmp_path / "data")
    settings = lite_settings(tmp_path / "out", data)
    FeatureOperator(settings).feature_extraction(LiteNet().eval())
    path = next((tmp_path / "out" / "fastdissect").rglob("activations.safetensors"))
    return SimpleNamespace(data=data, path=path, settings=settings, run=tmp_path / "out" / "fastdissect")


def overwrite(path: Path, name: str) -> None:
    """All ones in the place of an array's bytes; the header stays."""
    raw = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    first, last = json.loads(raw[8:start])[name]["data_offsets"]
    raw[start + first : start + last] = b"\xff" * (last - first)
    path.write_bytes(raw)


def test_cells_outside_the_map(done: SimpleNamespace, tmp_path: Path) -> None:
    overwrite(done.path, "cells")
    name = done.path.parent.name
    result = fd.load(done.run)
    words = r"expected cells of a map of \d+ x \d+; got cell 65535: .*activations\.safetensors is damaged"
    layer = result[name]
    with pytest.raises(OutputError, match=words):
        layer.unit_mask(0, int(layer.top_images(1)[0, 0]))
    dataset = open_dataset(f"broden:{done.data}")
    with pytest.raises(OutputError, match=words):
        write_report(result, dataset, tmp_path / "report")
    with pytest.raises(OutputError, match=words):
        fd.export(result, tmp_path / "milan", "milan", layers=[name], dataset=dataset, top=2)
    assert not (tmp_path / "milan").exists()


def test_cells_outside_the_map_behind_netdissect_lites_names(done: SimpleNamespace) -> None:
    overwrite(done.path, "cells")
    operator = FeatureOperator(done.settings)
    features, _ = operator.feature_extraction(LiteNet().eval())
    handle = next(h for h in features if h.name == done.path.parent.name)
    with pytest.raises(OutputError, match=r"activations\.safetensors is damaged"):
        handle[:]
    with pytest.raises(OutputError, match=r"activations\.safetensors is damaged"):
        operator.tally(handle, handle.thresholds + np.float32(0.01))


def test_images_that_the_run_has_not(done: SimpleNamespace) -> None:
    overwrite(done.path, "images")
    with pytest.raises(OutputError, match=r"activations\.safetensors is damaged: image 4294967295 of 1\d"):
        fd.load(done.run)


@given(st.floats(allow_nan=False, width=64), st.integers(-2, 2))
def test_thresholds_are_rounded_down(threshold: float, steps: int) -> None:
    """A float32 is above the threshold if and only if it is above what is kept of it."""
    with np.errstate(over="ignore"):
        pixel = np.float32(threshold)
        for _ in range(abs(steps)):
            pixel = np.nextafter(pixel, np.float32(np.copysign(np.inf, steps)))
    kept = checked_thresholds({"a": [threshold]}, ("a",))["a"]
    assert kept.dtype == np.float32
    assert (float(pixel) > threshold) == bool(pixel > kept[0])


def test_thresholds_that_are_float32_stay() -> None:
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert np.array_equal(rounded_down(values), values)
    assert rounded_down([np.inf, -np.inf, 1e300]).tolist() == [
        np.inf,
        -np.inf,
        float(np.finfo(np.float32).max),
    ]


@pytest.mark.parametrize("wrong", ["high", [[1.0], [1.0, 2.0]], [float("nan")], 0.5])
def test_thresholds_that_are_none(wrong: object) -> None:
    with pytest.raises(SettingError, match="without NaN for the layers a"):
        checked_thresholds({"a": wrong}, ("a",))  # type: ignore[dict-item]
