"""A script of NetDissect-Lite's kind, in a process of its own: its own settings and model loader, our four names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netdissect_lite_cases import (
    LiteNet,
    PlainBroden,
    all_activations,
    assert_same_rows,
    exact_thresholds,
    lite_settings,
    read_csv,
    tally_plainly,
)

import fastdissect as fd
from fastdissect.datasets import open_dataset, write_broden

LAYERS = ["late", "early"]
LOADER = """
import settings
from netdissect_lite_cases import LiteNet

def loadmodel(hook_fn):
    network = LiteNet()
    for name in settings.FEATURE_NAMES:
        network._modules.get(name).register_forward_hook(hook_fn)
    return network.eval()
"""
MAIN = """
import sys
for gone in ("scipy", "scipy.misc", "cv2", "torchvision", "feature_operation", "visualize", "util"):
    sys.modules[gone] = None  # importing it fails

import settings
from loader.model_loader import loadmodel
from fastdissect.compat.netdissect_lite import FeatureOperator, clean, generate_html_summary, hook_feature

operator = FeatureOperator()
network = loadmodel(hook_feature)
handles, maxima = operator.feature_extraction(model=network)
for number, name in enumerate(settings.FEATURE_NAMES):
    if STOP == number:
        raise SystemError("the script's own fault")
    cuts = operator.quantile_threshold(handles[number], savepath="quantile.npy")
    table = operator.tally(handles[number], cuts, savepath="tally.csv")
    if REPORT:
        generate_html_summary(
            operator.data, name, tally_result=table, maxfeature=maxima[number], features=handles[number],
            thresholds=cuts,
        )
    clean()
"""


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packed masks are not kept in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDISSECT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def broden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_broden(
        open_dataset("shapes:images=40,size=48,seed=4"), tmp_path_factory.mktemp("lite") / "broden"
    )


def run_main(
    folder: Path, broden: Path, *, stop: int = -1, report: bool = True
) -> subprocess.CompletedProcess[str]:
    """Write settings.py, loader/ and main.py, and run it from its folder; results go to folder/result."""
    (folder / "loader").mkdir()
    (folder / "loader" / "__init__.py").write_text("")
    (folder / "loader" / "model_loader.py").write_text(LOADER)
    values: dict[str, Any] = vars(lite_settings(Path("result"), broden, FEATURE_NAMES=LAYERS))
    (folder / "settings.py").write_text("".join(f"{name} = {value!r}\n" for name, value in values.items()))
    (folder / "main.py").write_text(f"STOP, REPORT = {stop}, {report}\n{MAIN}")
    here = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    environment.pop("PYTHONSAFEPATH", None)  # main.py imports what lies beside it
    return subprocess.run(
        [sys.executable, "-W", "error", "main.py"],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_it_runs_to_reports_and_its_tables_are_the_plain_ones(broden: Path, tmp_path: Path) -> None:
    done = run_main(tmp_path, broden)
    assert (done.returncode, done.stderr) == (0, "")
    out, plain = tmp_path / "result", PlainBroden(broden)
    maps = all_activations(LiteNet().eval(), plain, LAYERS, 16)
    for name in LAYERS:
        cuts = np.load(out / name / "quantile.npy")
        np.testing.assert_array_equal(cuts, exact_thresholds(maps[name]).astype(np.float32))
        numbers = (float, int)
        rows = [
            {k: v if k.endswith(("label", "category")) else numbers[k == "unit"](v) for k, v in row.items()}
            for row in read_csv(out / name / "tally.csv")
        ]
        assert_same_rows(rows, tally_plainly(maps[name], plain, cuts).rows)
        assert f'href="{name}/index.html"' in (out / "html" / f"{name}.html").read_text()
        assert (out / "html" / name / "index.html").is_file()
    stored = fd.load(out / "fastdissect")
    assert [layer.activations for layer in stored.values()] == [None, None]  # cleaned
    assert not list(out.rglob("activations.*"))


def test_without_reports_the_activations_go_when_the_process_ends(broden: Path, tmp_path: Path) -> None:
    done = run_main(tmp_path, broden, report=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read_csv(tmp_path / "result" / "early" / "tally.csv")) == 10
    assert not list((tmp_path / "result").rglob("activations.*"))


def test_after_an_error_they_stay_for_the_next_start(broden: Path, tmp_path: Path) -> None:
    done = run_main(tmp_path, broden, stop=1, report=False)
    assert done.returncode == 1
    assert "the script's own fault" in done.stderr
    assert len(list((tmp_path / "result").rglob("activations.*"))) == 2
