"""The example that trains a generator of the shapes and a segmenter, and dissects the one by the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from token_cases import _name_operators, library

import fastdissect as fd

FOLDER = Path(__file__).parents[1] / "examples" / "generator"
OWN = ("networks", "train", "run")

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="examples/ is not beside the tests"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The scripts as modules; their names are too common to stay in sys.modules."""
    import importlib

    _name_operators()
    library("transformers")
    before = {name: sys.modules.pop(name, None) for name in OWN}
    monkeypatch.syspath_prepend(str(FOLDER))
    threads = torch.get_num_threads()
    yield {name: importlib.import_module(name) for name in OWN}
    torch.set_num_threads(threads)
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
    nets, out = tmp_path / "networks", tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["train.py", "--out", str(nets), "--images", "96", "--epochs", "1"])
    scripts["train"].main()
    figures = json.loads((nets / "segmenter" / "accuracy.json").read_text())
    assert 0 < figures["pixels"] < 1
    monkeypatch.setattr(sys, "argv", ["run.py", "--networks", str(nets), "--out", str(out), "--images", "40"])
    scripts["run"].main()
    said = capsys.readouterr().out
    assert "up4: " in said
    assert (out / "report" / "index.html").exists()
    d = fd.load(out)
    assert d["up4"].shape[0] == 40
    assert d.concepts.names[0] == "disk"
    assert "nothing" not in d.concepts.names
