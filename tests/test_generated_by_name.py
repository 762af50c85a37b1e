"""Data sets with a network behind them, opened by name: in a run, and when the run is opened again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_cases import call
from segmenter_cases import COLOURS, patches, save, segformer, transformers, write_images

import fastdissect as fd
from fastdissect.datasets import open_dataset
from fastdissect.errors import DataError, SettingError
from fastdissect.reopening import recorded_data, reopen

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 5 * 16), nn.Unflatten(1, (5, 4, 4)), nn.ReLU(), nn.Conv2d(5, 3, 1), nn.Upsample(scale_factor=8),
        nn.Tanh(),
    )
"""


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(segformer(), tmp_path_factory.mktemp("segmenter") / "segformer")


@pytest.fixture
def network(tmp_path: Path) -> str:
    (tmp_path / "painter.py").write_text(NETWORK)
    return f"{tmp_path / 'painter.py'}:make"


def test_images_by_a_name_with_options_of_its_own(segmenter: Path) -> None:
    data = open_dataset(f"segmenter:{segmenter}?batch=3,void=grey,images=shapes:images=5,size=32")
    assert (len(data), data.concepts.names) == (5, ("red", "green", "blue"))
    again = open_dataset(data.name)
    assert (again.name, again.fingerprint()) == (data.name, data.fingerprint())
    with pytest.raises(SettingError, match="unknown option 'size=32'"):
        open_dataset(f"segmenter:{segmenter}?size=32,images=shapes:images=5")
    with pytest.raises(SettingError, match="expected images with a segmenter"):
        open_dataset(f"segmenter:{segmenter}")


def test_run_json_names_the_segmenter(segmenter: Path, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", patches(6)[0])
    d = fd.dissect(
        "builtin:shapes",
        f"segmenter:{segmenter}?cut=0.3,images={folder}",
        "conv2",
        size=64,
        out=tmp_path / "out",
    )
    found = fd.load(tmp_path / "out").run["segmenter"]
    assert found["options"]["cut"] == 0.3
    assert found["model"] == str(segmenter)
    assert len(found["weights"]) == 32
    assert d.concepts.names == tuple(COLOURS)


def test_a_generator_is_bound_to_the_network_of_the_run(
    segmenter: Path, network: str, tmp_path: Path
) -> None:
    spec = f"generator:segmenter={segmenter},z=6,images=12,batch=5,seed=3"
    d = fd.dissect(network, spec, "2", out=tmp_path / "out", batch_size=4, quantile=0.1)
    assert d["2"].shape == (12, 5, 4, 4)
    loaded = fd.load(tmp_path / "out")
    data, again = recorded_data(loaded), reopen(loaded)
    assert data.name == loaded.run["data"] == f"generator:segmenter={segmenter},z=6,images=12,seed=3,batch=5"
    assert again.source.dataset.network is again.loaded.module
    images = next(again.source.batches(0, True)).images
    assert torch.equal(images, torch.stack([torch.from_numpy(data.read_input(i)[0]) for i in range(4)]))
    assert data.read_image(11)[0].shape == (32, 32, 3)
    with pytest.raises(DataError, match="made by the network that is dissected"):
        open_dataset(spec).read_image(0)


def test_the_command_writes_a_page(segmenter: Path, network: str, tmp_path: Path) -> None:
    transformers()
    spec = f"generator:segmenter={segmenter},z=6,images=12"
    said = call("run", network, spec, "-l", "2", "--out", tmp_path / "out", "--quantile", "0.1").output
    assert (tmp_path / "out" / "report" / "index.html").exists(), said
