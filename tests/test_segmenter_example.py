"""The example that has a small segmenter label the sample photographs of scikit-image."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from segmenter_cases import transformers

import fastdissect as fd
from fastdissect.datasets import open_dataset

FOLDER = Path(__file__).parents[1] / "examples" / "segmenter"
OWN = ("networks", "train", "photographs", "learning", "run")

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="examples/ is not beside the tests"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The scripts as modules; their names are too common to stay in sys.modules."""
    import importlib

    transformers()
    before = {name: sys.modules.pop(name, None) for name in OWN}
    path = list(sys.path)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: importlib.import_module(name) for name in ("photographs", "learning", "run")}
    sys.path[:] = path
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.mark.slow
def test_the_example_runs(
    scripts: dict[str, ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("skimage")
    out = tmp_path / "out"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["run.py", "--out", str(out), "--quick"])
    scripts["run"].main()
    said = capsys.readouterr().out
    assert "conv5: " in said
    assert (out / "masks.png").exists()
    assert (out / "run" / "report" / "index.html").exists()
    photographs = len(list((out / "photographs").iterdir()))
    assert f"{photographs} photographs in" in said
    d = fd.load(out / "run")
    assert d["conv5"].shape[0] == photographs
    assert d.concepts.categories == ("color",)
    assert d.run["segmenter"]["options"]["cut"] == 0.5
    assert json.loads((out / "segmenter" / "accuracy.json").read_text())["pixels"] > 0.3


def test_what_is_said_of_labels(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    """Half of a picture is red, half is blue."""
    from segmenter_cases import Colours, write_images

    from fastdissect.datasets.segmented.dataset import Segmented

    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :8], image[:, 8:] = (220, 30, 30), (30, 30, 210)
    said = scripts["photographs"].said_of(Segmented(Colours(), write_images(tmp_path / "images", [image])))
    assert "Labelled: 100% of the pixels of 1 photographs" in said
    lines = [line.split() for line in said.splitlines()[1:]]
    assert [[line[0], line[1], *line[-3:]] for line in lines] == [
        ["red", "50.0%", "220", "30", "30"],
        ["blue", "50.0%", "30", "30", "210"],
    ]


def test_missing_photographs(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "--out", str(tmp_path / "out"), "--quick"])
    with pytest.raises(SystemExit, match="pip install scikit-image"):
        scripts["run"].main()
    assert not (tmp_path / "out").exists()


def test_colours_are_those_of_the_shapes(scripts: dict[str, ModuleType]) -> None:
    training = scripts["learning"]._of_the_generator("train")
    labels = [training.NUMBER["red-c"], training.NUMBER["blue-c"]]
    data = open_dataset("shapes:images=12,size=32")
    images, wanted = training.painted(data, labels, "color")
    assert (tuple(images.shape), tuple(wanted.shape)) == ((12, 3, 32, 32), (12, 32, 32))
    category = data.concepts.categories.index("color")
    for index in range(12):
        maps = [np.asarray(c.labels) for c in data.read_labels(index) if c.category == category]
        expected = np.full((32, 32), -1)
        for found in maps:
            expected[found == labels[0]], expected[found == labels[1]] = 0, 1
        np.testing.assert_array_equal(wanted[index], expected)
    assert {-1, 0, 1} <= set(np.unique(wanted))
