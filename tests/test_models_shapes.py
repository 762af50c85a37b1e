from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from fastdissect.datasets.shapes import Shapes
from fastdissect.errors import ModelError
from fastdissect.models import describe_layers, load_model, receptive_field
from fastdissect.models import shapes as builtin

SCRIPT = Path(__file__).parents[1] / "examples" / "train_shapes.py"


def test_the_weights_are_small_and_say_where_they_come_from() -> None:
    assert builtin.WEIGHTS.stat().st_size < 1_000_000
    metadata = builtin.shapes_metadata()
    assert metadata["concepts"].split(",") == list(Shapes(images=1).concepts.names)
    assert float(metadata["accuracy"]) > float(metadata["majority"]) + 0.1
    name, _, options = metadata["dataset"].partition(":")
    arguments = {key: int(value) for key, value in (pair.split("=") for pair in options.split(","))}
    # the data set's generator is the one that the weights were trained on
    assert (name, Shapes(**arguments).fingerprint()) == ("shapes", metadata["dataset_fingerprint"])


def test_it_loads_in_eval_mode_as_float32() -> None:
    loaded = load_model("builtin:shapes")
    assert not loaded.module.training
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}
    assert loaded.preprocessing.size == (112, 112)
    rows = {row.name: row for row in describe_layers(loaded.module, (112, 112))}
    assert rows["conv5"].shape == (96, 14, 14)
    assert receptive_field(loaded.module, "conv5", (112, 112)).stride == (8, 8)


def test_random_weights_follow_the_seed() -> None:
    digests = [load_model("builtin:shapes-random", seed=seed).weights_digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    assert load_model("builtin:shapes", seed=1).weights_digest == load_model("builtin:shapes").weights_digest


def best_iou(network: torch.nn.Module, data: Shapes) -> np.ndarray:
    """Each unit's best IoU at conv5 over objects and parts, by the book: partition, upsample, count."""
    kept: list[torch.Tensor] = []
    handle = network.conv5.register_forward_hook(lambda _m, _i, output: kept.append(output))
    images = np.stack([data.read_image(index)[0] for index in range(len(data))]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        for batch in torch.from_numpy(images).split(32):
            network((batch.float() / 255 - 0.5) / 0.25)
    handle.remove()
    maps = torch.cat(kept)
    values = maps.transpose(0, 1).flatten(1).numpy()
    rank = values.shape[1] - values.shape[1] // 200 - 1
    thresholds = np.partition(values, rank, axis=1)[:, rank]
    numbers = data.concepts.numbers[np.isin(data.concepts.category, [1, 2])]  # object, part
    intersection = np.zeros((len(thresholds), len(numbers)))
    areas, sizes = np.zeros(len(thresholds)), np.zeros(len(numbers))
    for index in range(len(data)):
        channels = [c.labels[::2, ::2].ravel() for c in data.read_labels(index) if c.category in (1, 2)]
        if not channels:
            continue
        upsampled = F.interpolate(maps[index : index + 1], (56, 56), mode="bilinear")[0].flatten(1).numpy()
        masks = (upsampled > thresholds[:, None]).astype(np.float32)
        labels = np.any([channel == numbers[:, None] for channel in channels], axis=0)
        intersection += masks @ labels.T.astype(np.float32)
        areas += masks.sum(1)
        sizes += labels.sum(1)
    return (intersection / (areas[:, None] + sizes - intersection)).max(1)


def test_training_made_detectors() -> None:
    data = Shapes(images=100, size=112, seed=77)
    trained = best_iou(load_model("builtin:shapes").module, data)
    random = best_iou(load_model("builtin:shapes-random").module, data)
    assert (trained > 0.04).sum() > 2.5 * (random > 0.04).sum()
    assert (trained > 0.1).sum() > (random > 0.1).sum() + 15


def test_a_missing_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "WEIGHTS", tmp_path / "shapes.safetensors")
    with pytest.raises(ModelError, match=r"shapes.safetensors.*reinstall"):
        load_model("builtin:shapes")
    (tmp_path / "shapes.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(ModelError, match="reinstall"):
        load_model("builtin:shapes")


def contents(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.skipif(not SCRIPT.is_file(), reason="examples/ is not beside the tests")
def test_training_repeats_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("train_shapes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    for name in ("a", "b"):
        out = tmp_path / f"{name}.safetensors"
        command = [
            "train_shapes.py",
            "--images=64",
            "--held-out=8",
            "--epochs=1",
            "--threads=1",
            f"--out={out}",
        ]
        monkeypatch.setattr(sys, "argv", command)
        script.main()
    torch.set_rng_state(generator)
    torch.set_num_threads(threads)
    # not the bytes: safetensors writes its metadata in any order
    (first, said), (second, again) = (contents(tmp_path / f"{name}.safetensors") for name in ("a", "b"))
    assert said == again
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
