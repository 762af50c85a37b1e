"""Forecasts: what a sample predicts, against what the run then wrote and held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_cases import call

from fastdissect import planning
from fastdissect.datasets.shapes import Shapes
from fastdissect.dissection import dissect
from fastdissect.errors import DataError
from fastdissect.forecasting import Forecast, forecast
from fastdissect.opening import open_run
from fastdissect.top_values import GROWTH

OPTIONS: dict[str, Any] = {"batch_size": 8, "workers": 0, "device": "cpu"}


def predicted(images: int = 96, **options: Any) -> Forecast:
    opened = open_run("builtin:shapes", Shapes(images), ["conv3", "conv5"], **{**OPTIONS, **options})
    return forecast(opened, 48)


@pytest.mark.parametrize("activations", [True, False, ["conv3"]])
def test_disk_is_what_the_run_writes(activations: bool | list[str], tmp_path: Path) -> None:
    found = predicted(activations=activations)
    dissect(
        "builtin:shapes",
        Shapes(96),
        ["conv3", "conv5"],
        out=tmp_path / "out",
        cache=None,
        progress=False,
        activations=activations,
        **OPTIONS,
    )
    for name, layer in found.layers.items():
        folder = tmp_path / "out" / "layers" / name
        written = sum(file.stat().st_size for file in folder.iterdir())
        assert layer.disk == pytest.approx(written, rel=0.2)


def test_memory_is_held_also_for_cells_that_are_not_kept() -> None:
    kept, dropped = predicted(), predicted(activations=False)
    assert dropped.memory == kept.memory > 0
    assert dropped.disk < kept.disk


def test_more_passes_need_what_the_values_of_all_images_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "FLOOR", 1)
    two = predicted(passes=2)  # of 96 images; the sample has 48
    deepest = {"conv3": 96 * 28 * 28 // 200 + 1, "conv5": 96 * 14 * 14 // 200 + 1}
    assert {name: layer.memory for name, layer in two.layers.items()} == {
        name: int(rank * two.layers[name].units * 4 * (1 + GROWTH)) for name, rank in deepest.items()
    }
    three = predicted(passes=3)
    assert {name: layer.memory for name, layer in three.layers.items()} == {
        "conv3": 64 * 65536 * 8,
        "conv5": 96 * 65536 * 8,
    }


def test_a_loader_has_no_sample() -> None:
    import torch

    batches = [(torch.zeros(4, 3, 32, 32), torch.zeros(4, 32, 32, dtype=torch.int64))]
    opened = open_run("builtin:shapes", batches, "conv5", concepts=["one"], device="cpu")
    with pytest.raises(DataError, match="a forecast: it takes images from the whole"):
        forecast(opened)


def test_the_command_predicts_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("run", "builtin:shapes", "shapes:images=60,size=64", "-l", "conv5", "-o", out, "--dry-run")
    result = call(*arguments, "--batch-size", "8", "--workers", "0")
    assert result.exit_code == 0, result.output
    assert "of 60 images; nothing is written" in result.output
    assert "conv5" in result.output
    assert not out.exists()


def test_groups_are_forecast_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "FLOOR", 1)
    together = predicted(passes=2)
    most = max(layer.memory for layer in together.layers.values())
    found = predicted(passes=2, memory=most + 1000)
    assert together.groups == (("conv3", "conv5"),)
    assert found.groups == (("conv3",), ("conv5",))
    assert (together.passes, found.passes) == (2, 4)
    assert found.memory == max(layer.memory for layer in found.layers.values()) <= most + 1000
    assert found.seconds == pytest.approx(
        4 * found.network + sum(layer.seconds for layer in found.layers.values())
    )
    run = dissect(
        "builtin:shapes", Shapes(96), ["conv3", "conv5"], passes=2, memory=most + 1000, cache=None, progress=False,
        **OPTIONS,
    ).run  # fmt: skip
    assert [tuple(group) for group in run["groups"]] == list(found.groups)
    assert run["passes"] == {name: layer.plan.passes for name, layer in found.layers.items()}


def test_the_command_shows_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "FLOOR", 8_000_000)
    arguments = ("run", "builtin:shapes", "shapes:images=60,size=64", "-l", "conv*", "-o", tmp_path / "out")
    result = call(*arguments, "--dry-run", "--memory", "16MB", "--batch-size", "8", "--workers", "0")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert (
        "The layers do not fit the memory together: 3 groups run one after the other, 3 passes over the images"
        in text
    )
    assert (
        "1: conv1 to conv2 (2 layers, 1 pass); 2: conv3 to conv4 (2 layers, 1 pass); 3: conv5 (1 layer, 1 pass)"
        in text
    )
    assert "group" in text
    assert "of one group" in text


@pytest.mark.parametrize("profile", ["netdissect", "dissect-2020"])
def test_what_is_free_is_too_little_for_all_layers_at_once(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample takes all layers together, the run takes groups."""
    monkeypatch.setattr(planning, "available_memory", lambda: 45 << 20)
    monkeypatch.setattr(planning, "FLOOR", 30 << 20)
    found = predicted(profile=profile)
    assert found.groups == (("conv3",), ("conv5",))
    assert found.passes == 2
