"""bench/gpu.sh and bench/gpu: the arithmetic, and a rehearsal of every step with torch's CPU in the part of a GPU.

Nothing here is measured: the rehearsal's events tell made-up times. What it shows is that each step runs to its end,
compares its results with the host's, and writes rows that the report can read.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.facing import has_gpu
from cuda_on_host.tensors import on_cuda

from fastdissect.benchmarks.maps import bump_maps

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
pytestmark = pytest.mark.skipif(not (BENCH / "gpu").is_dir(), reason="needs the source tree")
Loader = Callable[[str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    """load("timing"): bench/gpu/timing.py, imported as the scripts import it; forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield lambda name: importlib.import_module(f"gpu.{name}")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(BENCH)) or name == "gpu":
            del sys.modules[name]


class Event:
    """Made-up times: an event is so many milliseconds after the one before it."""

    now = 0.0
    tick = 0.25

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = -1.0

    def record(self, stream: Any = None) -> None:
        Event.now += Event.tick
        self.at = Event.now

    def synchronize(self) -> None:
        assert self.at >= 0, "an event that was not recorded was waited for"

    def elapsed_time(self, other: Event) -> float:
        return other.at - self.at


class Torch:
    """torch, with a `cuda` that is the CPU."""

    def __init__(self) -> None:
        card = SimpleNamespace(L2_cache_size=1 << 20, multi_processor_count=132, clock_rate=1_980_000)
        self.cuda = SimpleNamespace(
            mem_get_info=lambda: (1 << 30, 1 << 30),
            get_device_properties=lambda _: card,
            Event=Event,
            synchronize=lambda: None,
            empty_cache=lambda: None,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture
def rehearsal(load: Loader, cuda: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """(device, rows): small shapes, kernels on the stand-in, a copy of 4,000 GB/s."""
    if has_gpu():
        pytest.skip("where there is a GPU the steps themselves run")
    inputs, launches = load("inputs"), load("launches")
    real = inputs.activation_view
    monkeypatch.setattr(
        inputs, "activation_view", lambda tensor, layout="NCHW": real(on_cuda(tensor), layout)
    )
    from fastdissect.kernels.cuda import launching

    def recorder(_: type) -> Any:
        return launches.Launches(launching, Event, lambda start, stop: stop.at - start.at)

    monkeypatch.setattr(launches.Launches, "real", classmethod(recorder))
    rows = load("rows").Rows(tmp_path)
    rows.add("copy", {"GB/s": [3900.0, 4000.0, 4100.0]})
    return load("timing").Device(Torch(), "cpu", 1 << 12), rows


def small(load: Loader, layout: str) -> Any:
    return load("inputs").Shape(6, 5, (layout,), 4, 8)


def test_units(load: Loader) -> None:
    timing = load("timing")
    assert timing.gigabytes(4.8e12, 1000.0) == 4800.0  # 4.8 TB in a second
    assert timing.gigabytes(2 << 30, 0.5) == pytest.approx(4294.967296)
    for size, cache in ((1, 50), (25_690_112, 62_914_560), (1 << 30, 62_914_560), (10**9, 10)):
        count = timing.rotation(size, cache)
        assert count >= 2
        assert count * size >= 4 * cache
        assert count == 2 or (count - 1) * size < 4 * cache


def test_quartiles_are_those_of_sorted_values(load: Loader) -> None:
    values = np.random.default_rng(0).permutation(99) + 1.0
    assert load("timing").quartiles(values.tolist()) == [25.0, 50.0, 75.0]
    assert load("timing").quartiles([7.0]) == [7.0, 7.0, 7.0]


def test_traffic_counts_every_byte_once(load: Loader) -> None:
    inputs = load("inputs")
    shape = inputs.Shape(512, 7, ("NCHW",), 256, 5120)
    first, every = inputs.traffic(shape, 10, 4, 0.0, 0.0)
    assert first == 10 * 512 * (49 * 4 + 12)
    assert every == first + 10 * 512 * 44
    fired, everything = inputs.traffic(shape, 10, 4, 1.0, 1.0)
    assert fired == first + 10 * 512 * 28
    assert everything == fired + 10 * 512 * (44 + 28 + 196 + 49 * 6)  # all of a map again, no sector twice
    few = inputs.traffic(shape, 10, 4, 0.5, 0.01)
    assert few[1] - few[0] == pytest.approx(10 * 512 * (44 + 14 + 0.49 * (32 + 6)))


def test_shapes_do_not_make_the_sift_wait(load: Loader, cuda: Any) -> None:
    """Beyond this size a sift waits for its number of cells in the middle, and its time would be another thing."""
    from fastdissect.kernels.cuda.sift import SCRATCH

    for shape in load("inputs").SHAPES:
        activations = shape.images * shape.units * shape.cells
        assert activations > 100e6
        assert activations * (2 + 4) <= SCRATCH


@pytest.mark.parametrize("layout", ["NCHW", "channels last", "tokens"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bump_tensors_lie_as_they_say(load: Loader, layout: str, dtype: torch.dtype) -> None:
    inputs, shape = load("inputs"), small(load, layout)
    tensor = inputs.bump_tensor(torch, shape, 8, layout, dtype, 1, "cpu")
    assert tensor.dtype is dtype
    view = inputs.view_of(tensor, 5, layout)
    assert view.data.shape == (8, 6, 5, 5)
    itemsize = tensor.element_size()
    _, unit_step, _, column_step = view.data.strides
    if layout == "NCHW":
        assert (unit_step, column_step) == (25 * itemsize, itemsize)
    else:
        assert (unit_step, column_step) == (itemsize, 6 * itemsize)
    assert view.data.strides[0] == (26 if layout == "tokens" else 25) * 6 * itemsize
    own = load("sift").maps_of(tensor, shape, layout)
    assert own.data_ptr() == view.data.ctypes.data
    assert (own >= 0).all()
    many = inputs.bump_tensor(torch, shape, 300, layout, dtype, 1, "cpu")
    firing = float((load("sift").maps_of(many, shape, layout) > 0.5).float().mean())
    assert firing == pytest.approx(float((bump_maps(300, 6, 5) > 0.5).mean()), rel=0.2)
    again = inputs.bump_tensor(torch, shape, 8, layout, dtype, 1, "cpu")
    other = inputs.bump_tensor(torch, shape, 8, layout, dtype, 2, "cpu")
    assert torch.equal(tensor, again)
    assert not torch.equal(tensor, other)


def test_exact_thresholds_are_those_of_partition(load: Loader) -> None:
    values = torch.randn(5, 1000)
    found = load("inputs").exact_thresholds(torch, values, 0.005)
    assert found.tolist() == (-np.partition(-values.numpy(), 5, axis=1)[:, 5]).tolist()


def test_times_are_of_the_work_alone(load: Loader) -> None:
    """Warm-up is left out, inputs are taken in turn, and the hold lies before the first event."""
    device, order = load("timing").Device(Torch(), "cpu", 1 << 12), []
    device.hold = lambda: order.append("hold")

    def work(given: str) -> None:
        order.append(given)
        Event.now += {"a": 1.0, "b": 2.0, "c": 3.0}[given]

    times = device.milliseconds(work, ["a", "b", "c"], repeats=4, warm=2)
    assert times == [3.25, 1.25, 2.25, 3.25]
    assert order == ["hold", "a", "hold", "b", "hold", "c", "hold", "a", "hold", "b", "hold", "c"]


def test_pairs_alternate(load: Loader) -> None:
    order: list[str] = []
    pairs = load("timing").paired(lambda: order.append("x") or 1.0, lambda: order.append("y") or 2.0, 3)
    assert pairs == [(1.0, 2.0)] * 3
    assert "".join(order) == "xy" + "xy" + "yx" + "xy"


def test_launches_are_summed_by_kernel(load: Loader) -> None:
    called: list[Any] = []
    module = SimpleNamespace(function=lambda stem, name, device: lambda *a, **k: called.append((name, a, k)))
    before = module.function
    with load("launches").Launches(module, Event, lambda start, stop: stop.at - start.at) as launches:
        for name in ("one", "two", "one"):
            module.function("stem", name, 0)((1,), (32,), (), shared_mem=8)
        assert launches.take() == {"one": 0.5, "two": 0.25}
        assert launches.take() == {}
    assert module.function is before
    assert called[0] == ("one", ((1,), (32,), ()), {"shared_mem": 8})


@pytest.mark.parametrize(("got", "met"), [(0.8, "yes"), (0.79, "no"), (0.9, "yes")])
def test_wanted_at_least(load: Loader, got: float, met: str) -> None:
    row = load("rows").Wanted("share", at_least=0.8).row("here", got, None)
    assert (row["met"], row["wanted"]) == (met, "at least 0.8")


@pytest.mark.parametrize(("got", "met"), [(1.03, "yes"), (1.031, "no"), (1.0, "yes")])
def test_wanted_at_most(load: Loader, got: float, met: str) -> None:
    row = load("rows").Wanted("ratio", at_most=1.03).row("here", got, 1.01)
    assert (row["met"], row["wanted"]) == (met, "at most 1.03")


def test_report_has_what_was_measured_and_what_failed(load: Loader, tmp_path: Path) -> None:
    rows = load("rows").Rows(tmp_path)
    rows.add("machine", {"device": "A Card", "date": "2026-01-01", "commit": "abc"})
    rows.add("copy", {"ms": [1.0, 2.0, 3.0], "GB/s": [4000.5, 4100.0, 4200.0]})
    rows.add("sift", {"maps": "512 x 7 x 7", "kernels ms": {"fd_sift": 1}})
    rows.add("sift", {"maps": "1024 x 14 x 14", "share": 0.5})
    rows.add("wanted", load("rows").Wanted("share", at_least=0.8).row("512", 0.7, 0.94))
    with rows.path.open("a") as file:
        file.write('{"table": "sift", "maps": "cut o')  # killed while it wrote
    (tmp_path / "steps.tsv").write_text("sift\tTIMED OUT\t90\tsome | note\n")
    text = load("report").report(tmp_path)
    assert text == (tmp_path / "gpu.md").read_text()
    assert "| 2 (1 - 3) | 4100 (4000 - 4200) |" in text or "| 2 (1 - 3) | 4100 (4001 - 4200) |" in text
    assert "| sift | TIMED OUT | 90 | some / note |" in text
    assert "| share | 512 | at least 0.8 | 0.94 | 0.7 | no |" in text
    assert "cut o" not in text
    assert "fd_sift" not in text
    assert "| 1024 x 14 x 14 | 0.5 |" in text
    assert text.index("## Wanted, and got") > text.index("## Steps")
    assert "## Count\n\nNot measured in this run" in text
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["machine"]["device"] == "A Card"
    assert record["sift"][0]["kernels ms"] == {"fd_sift": 1}
    assert record["steps"][0]["outcome"] == "TIMED OUT"


def test_a_share_needs_the_copy(load: Loader, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run the step `copy` first"):
        load("rows").Rows(tmp_path).copy_bandwidth()


def test_rehearsal_of_the_copy(rehearsal: Any, load: Loader) -> None:
    device, rows = rehearsal
    device.memory = 1 << 20
    load("bandwidth").run(device, rows, quick=True)
    *_, row = rows.read("copy")
    assert row["bytes read and written"] == 2 << 16
    assert row["GB/s"][1] == pytest.approx((2 << 16) / 0.25e6)


@pytest.mark.parametrize("layout", ["NCHW", "channels last", "tokens"])
def test_rehearsal_of_sift(rehearsal: Any, load: Loader, layout: str) -> None:
    device, rows = rehearsal
    shape = small(load, layout)
    for dtype in ("float32", "bfloat16"):
        load("sift").one(device, rows, shape, layout, dtype, 40, 3, 4000.0)
    full, half = rows.read("sift")
    assert full["MB read"] == 2 * half["MB read"] == 40 * 6 * 25 * 4 / 1e6
    assert full["ms"] == [0.25] * 3  # one launch of the sift kernel, by the made-up clock
    assert full["GB/s"][1] == pytest.approx(40 * 6 * 25 * 4 / 0.25e6)
    assert full["share"][1] == pytest.approx(full["GB/s"][1] / 4000)
    assert 0 < full["predicted, all launches"] < full["predicted share"] < 1
    assert full["share, all launches"][1] < full["share"][1]
    assert any(name.startswith("fd_gather") for name in full["kernels ms"])
    wanted = list(rows.read("wanted"))
    assert [row["got"] for row in wanted[:2]] == [full["share"][1], full["share, all launches"][1]]
    assert len(wanted) == 4


def test_sift_that_differs_from_the_host_is_no_figure(
    rehearsal: Any, load: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, rows = rehearsal
    own = load("sift")
    real = own.begin_sift

    def wrong(*arguments: Any) -> Callable[[], Any]:
        sifted = real(*arguments)()
        sifted.maxima[0, 0] += 1
        return lambda: sifted

    monkeypatch.setattr(own, "begin_sift", wrong)
    with pytest.raises(AssertionError, match="maxima differ"):
        own.one(device, rows, small(load, "NCHW"), "NCHW", "float32", 8, 3, 4000.0)
    assert not list(rows.read("sift"))


@pytest.mark.parametrize("layout", ["NCHW", "channels last", "tokens"])
def test_rehearsal_of_the_stream(rehearsal: Any, load: Loader, layout: str) -> None:
    device, rows = rehearsal
    load("stream").one(device, rows, small(load, layout), layout, "float32", 12, 4000.0)
    (row,) = rows.read("stream")
    assert row["MB a batch"] == 4 * 6 * 25 * 4 / 1e6
    assert row["launches, ms a batch (mean)"] >= 0.25
    assert row["share"] == pytest.approx(row["GB/s"] / 4000)


def test_rehearsal_of_count(rehearsal: Any, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    device, rows = rehearsal
    own = load("count")
    monkeypatch.setattr(own, "BLOCKS", 2)
    monkeypatch.setattr(own, "IMAGES", 4)
    monkeypatch.setattr(sys.modules["count"], "IMAGES", 4)
    planes = [own.make_planes(seed)[0] for seed in range(2)]
    own.one(device, rows, small(load, "NCHW"), "float32", planes, 3)
    (row,) = rows.read("count")
    assert row["us an image"][1] == pytest.approx(0.5 * 1e3 / 4)  # two launches
    assert row["predicted, at most"] == pytest.approx(row["masks an image"] * 2000 / 132 / 1980)


def test_rehearsal_of_the_whole(rehearsal: Any, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    device, rows = rehearsal
    own = load("whole")
    monkeypatch.setattr(own, "BATCH", 4)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 8, 8), torch.nn.ReLU(), torch.nn.Conv2d(5, 4, 3, 1, 1)
    ).eval()
    description = load("networks").Network("tiny", "Tiny", ("1",), ("0", "1"))
    images = torch.randn(14, 3, 32, 32)
    for dtype in ("float32", "bfloat16"):
        own.one(device, rows, description, network, "here", dtype, images, description.four, 2)
    for row in rows.read("whole"):
        assert (row["images"], row["layers"], row["pairs"], row["equal in all runs"]) == (14, 2, 2, "yes")
        assert 0 < row["loop and count"][1] < row["whole"][1]
        assert row["fixed s"] > 0
    from fastdissect import opening
    from fastdissect.sources import open_source

    assert opening.open_source is open_source


def test_images_on_the_device_are_dealt_in_order(load: Loader) -> None:
    images = torch.randn(10, 3, 16, 16)
    waited: list[float] = []
    source = load("device_images").DeviceImages(images, 4, lambda: waited.append(time.perf_counter()))
    batches = list(source.batches(0, True))
    assert torch.equal(torch.cat([b.images for b in batches]), images)
    assert [b.first for b in batches] == [0, 4, 8]
    assert batches[0].images.data_ptr() == images.data_ptr()
    assert len({d for b in batches for d in b.digests}) == 10
    assert all(len(b.planes) == len(b.images) for b in batches)
    assert len(waited) == 2
    assert source.loop_seconds > 0
    (later,) = source.batches(8, False)
    assert later.planes is None


@pytest.mark.parametrize(("number", "size"), [(0, 25_557_032), (1, 304_326_632)])
def test_plain_networks_are_torchvisions(load: Loader, number: int, size: int) -> None:
    """Names of the layers, and as many parameters as torchvision states."""
    description = load("networks").NETWORKS[number]
    with torch.device("meta"):
        network = load("networks").plain(description.name)
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(p.numel() for p in network.parameters()) == size
    names = {name for name, _ in network.named_modules()}
    assert set(description.one) <= set(description.four) <= names


def test_every_kernel_names_what_differs(load: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong dtype, a wrong number in an argument that is added to, a failure: each is named, the rest goes on."""
    from fastdissect.kernels import backend

    own, host = load("every_kernel"), backend("reference")

    class Wrong:
        def __getattr__(self, kernel: str) -> Any:
            def call(*arguments: Any) -> Any:
                if kernel == "filter":
                    raise ValueError("no luck")
                result = getattr(host, kernel)(*arguments)
                if kernel == "select":
                    return result.astype(np.int64)
                if kernel == "count":
                    arguments[8][0, 0] += 1
                return result

            return call

    count, wrong, _ = own.compare(Wrong(), host, few=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == count
    bad = [line for line in lines if not line.endswith(" equal")]
    assert len(bad) == wrong == 4 + 4 + 8  # four views; count runs twice on each
    said = {"filter": "FAILED: ValueError: no luck", "select": "expected uint32", "count": "bytes differ"}
    assert {line.split()[0] for line in bad} == set(said)
    assert all(said[line.split()[0]] in line for line in bad)


def fake(folder: Path, name: str, script: str) -> Path:
    """A program in `folder` that comes before all others."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def run_script(
    tmp_path: Path, script: str, *steps: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """gpu.sh with an interpreter that does what `script` says (its arguments are python's)."""
    if shutil.which("bash") is None or shutil.which("timeout") is None:
        pytest.skip("needs bash and coreutils")
    bin_ = tmp_path / "bin"
    python = fake(bin_, "python-of-the-test", f'real="{sys.executable}"\n{script}')
    fake(bin_, "nvidia-smi", "echo 'GPU 0: A Card'")
    return subprocess.run(
        ["bash", str(BENCH / "gpu.sh"), str(tmp_path / "out"), *steps],
        env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "PYTHON": str(python), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# machine: a device; the report: the real one; `-c` (what is importable) and `-` (is it installed): yes; else as told
DEVICE = """
case "$*" in
  *"gpu machine "*) echo '{"table": "machine", "device": "A Card"}' >>"$3/rows.jsonl"; exit 0 ;;
  *"gpu report "*) exec "$real" "$@" ;;
  -c*|-\\ *) exit 0 ;;
esac
"""


def test_script_goes_on_after_a_failure(tmp_path: Path) -> None:
    told = (
        DEVICE
        + 'case "$*" in *"gpu sift "*) echo "sift: a kernel failed"; exit 1 ;; *) echo "all well" ;; esac'
    )
    done = run_script(tmp_path, told, "measure")
    assert done.returncode == 1, done.stdout + done.stderr
    steps = dict(line.split("\t")[:2] for line in (tmp_path / "out" / "steps.tsv").read_text().splitlines())
    assert steps["sift"] == "FAILED (1)"
    assert steps["stream"] == steps["whole"] == steps["count"] == "done"
    assert steps["tally"] == "skipped"
    assert "doctor" not in steps
    assert "sift: a kernel failed" in (tmp_path / "out" / "gpu.md").read_text()


def test_script_ends_well_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "gpu.json").write_text("before")
    sanitizer = "echo 'Device not supported. Please refer to the manual'; exit 1"
    fake(tmp_path / "bin", "compute-sanitizer", sanitizer)
    done = run_script(tmp_path, DEVICE + "echo digest 1", DISSECT="/somewhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "gpu.json.old").read_text() == "before"
    record = json.loads((tmp_path / "out" / "gpu.json").read_text())
    steps = {step["step"]: step["outcome"] for step in record["steps"]}
    assert steps["memcheck"] == steps["racecheck"] == "skipped"
    assert steps["fatbin = jit"] == steps["kernel tests, fatbin"] == steps["kernel tests, jit"] == "done"
    assert steps["tally"] == "done"
    assert record["machine"]["device"] == "A Card"


def test_script_says_when_the_two_ways_differ(tmp_path: Path) -> None:
    done = run_script(tmp_path, DEVICE + 'echo "digest $FASTDISSECT_CUDA"', "tests")
    assert done.returncode == 1
    assert "fatbin: digest fatbin; jit: digest jit" in (tmp_path / "out" / "gpu.md").read_text()


def test_script_keeps_its_limit(tmp_path: Path) -> None:
    told = DEVICE + 'case "$*" in *"gpu copy "*) sleep 60 ;; *) echo "all well" ;; esac'
    done = run_script(tmp_path, told, "measure", LIMIT="30")
    assert done.returncode == 1
    steps = dict(line.split("\t")[:2] for line in (tmp_path / "out" / "steps.tsv").read_text().splitlines())
    assert steps["copy"] == "TIMED OUT"
    assert steps["whole"] == "NOT RUN"


def test_script_without_a_device_says_so_calmly(tmp_path: Path) -> None:
    told = DEVICE.replace(
        'exit 0 ;;\n  *"gpu report', "echo 'no CUDA device here'; exit 3 ;;\n  *\"gpu report", 1
    )
    fake(tmp_path / "bin", "nvidia-smi", "exit 9")
    bin_ = tmp_path / "bin"
    done = run_script(tmp_path, told + f"rm -f {bin_}/nvidia-smi; echo all well")
    assert done.returncode == 1  # nvidia-smi lists one: then not to see it is a failure
    fake(bin_, "nvidia-smi", "exit 9")
    environment = {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHON": str(bin_ / "python-of-the-test"),
    }
    command = ["bash", str(BENCH / "gpu.sh"), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    steps = (tmp_path / "out" / "steps.tsv").read_text()
    assert "machine\tskipped" in steps
    assert "doctor\tdone" in steps
    assert "sift" not in steps
    assert "There is no CUDA device here: nothing is measured." in done.stdout


def test_script_refuses_steps_that_it_does_not_know(tmp_path: Path) -> None:
    done = run_script(tmp_path, DEVICE, "mesure")
    assert done.returncode == 2
    assert "got mesure" in done.stderr
