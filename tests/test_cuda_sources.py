"""Which compiled form of the kernels runs, and what happens when there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cuda_on_host.fixture import Cupy

from fastdissect.errors import BackendError
from fastdissect.kernels.cuda import sources

FITTING = {
    "cuda": "12.8",
    "targets": [75, 90, 120],
    "options": list(sources.OPTIONS),
    "sources": sources.digest(),
}


@pytest.fixture
def fatbins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """fatbins(cuda="13.0"): what the build's manifest says; fatbins(None): there is none."""
    monkeypatch.delenv("FASTDISSECT_CUDA", raising=False)

    def says(nothing: None = None, **changes: Any) -> None:
        said = {**FITTING, **changes} if changes.pop("there", True) else None
        monkeypatch.setattr(sources, "manifest", lambda: said)

    says()
    return says


def test_a_fitting_fatbin_is_used(fatbins: Callable[..., None]) -> None:
    for driver in (12080, 12090, 13000):
        assert sources.fatbin_problem(driver) is None
        assert sources.fatbin_problem(driver, "75") is None
        assert sources.fatbin_problem(driver, "130") is None  # by its PTX
        assert sources.origin(driver, "90") == "fatbin"


@pytest.mark.parametrize(
    ("says", "driver", "capability", "why"),
    [
        ({"there": False}, 13000, None, "built without nvcc"),
        ({"sources": "0" * 64}, 13000, None, "made from other sources; install fastdissect again"),
        ({"options": ["-ftz=true"]}, 13000, None, r"other options \(-ftz=true\)"),
        ({}, 12070, None, r"by CUDA 12\.8, and the driver is for CUDA 12\.7"),
        ({"cuda": "13.10"}, 13090, None, r"by CUDA 13\.10, and the driver is for CUDA 13\.9"),
        ({}, 13000, "70", r"from compute capability 7\.5 on, and this GPU has 7\.0"),
    ],
)
def test_a_fatbin_that_does_not_fit(
    fatbins: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    says: dict[str, Any],
    driver: int,
    capability: str | None,
    why: str,
) -> None:
    fatbins(**says)
    assert re.search(why, str(sources.fatbin_problem(driver, capability)))
    assert sources.origin(driver, capability) == "jit"
    monkeypatch.setenv("FASTDISSECT_CUDA", "fatbin")
    with pytest.raises(BackendError, match=rf"FASTDISSECT_CUDA=fatbin.*{why}"):
        sources.origin(driver, capability)


def test_the_environment_forces_a_form(fatbins: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDISSECT_CUDA", "fatbin")
    assert sources.origin(13000) == "fatbin"
    monkeypatch.setenv("FASTDISSECT_CUDA", "jit")
    assert sources.origin(13000) == "jit"
    monkeypatch.setenv("FASTDISSECT_CUDA", "nvcc")
    with pytest.raises(BackendError, match="expected FASTDISSECT_CUDA=jit or =fatbin, or none; got 'nvcc'"):
        sources.origin(13000)


def test_the_digest_is_of_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "folder", lambda: tmp_path)
    seen = set()
    for name, content in [("a.cu", "1"), ("a.cuh", "1"), ("a.cu", "2"), ("b.cu", "2"), ("notes.txt", "2")]:
        (tmp_path / name).write_text(content)
        seen.add(sources.digest.__wrapped__())
    assert len(seen) == 4


def test_a_build_in_its_place_has_the_digest_of_its_sources() -> None:
    """CMake computes the same number (an editable install may have older fatbins than its sources)."""
    manifest = sources.folder() / "manifest.json"
    if not manifest.exists():
        pytest.skip("no wheel with fatbins is installed")
    said = json.loads(manifest.read_text())
    assert (said["sources"], said["options"]) == (sources.digest(), list(sources.OPTIONS))
    for source in sources.folder().glob("*.cu"):
        assert source.with_suffix(".fatbin").stat().st_size > 0


def test_cmake_can_read_the_options() -> None:
    text = Path(str(sources.__file__)).read_text(encoding="utf-8")
    lines = re.findall(r"^OPTIONS = \(.*\)$", text, re.MULTILINE)
    assert len(lines) == 1
    assert tuple(re.findall(r'"([^"]+)"', lines[0])) == sources.OPTIONS
    assert {"-fmad=false", "-ftz=false", "-prec-div=true"} <= set(sources.OPTIONS)


def test_what_nvrtc_made_is_kept(cuda: Cupy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.kernels.cuda import compiling

    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    made: list[str] = []

    def compiles(stem: str, target: str) -> bytes:
        made.append(f"{stem} {target}")
        return b"code"

    monkeypatch.setattr(compiling, "compile_source", compiles)
    first = compiling.compiled("scan", "90")
    assert first.read_bytes() == b"code"
    assert first.parent == tmp_path / "cache"
    assert compiling.compiled("scan", "90") == first
    assert len(made) == 1
    assert compiling.compiled("scan", "80") != first
    monkeypatch.setattr(compiling, "digest", lambda: "a header changed")
    assert compiling.compiled("scan", "90") != first
    monkeypatch.setattr(compiling, "OPTIONS", ("-G",))
    compiling.compiled("scan", "90")
    monkeypatch.setattr(compiling, "_version", lambda: "99.0")
    compiling.compiled("scan", "90")
    assert len(made) == len(list((tmp_path / "cache").iterdir())) == 5


def test_a_cache_that_cannot_be_written_costs_time_alone(
    cuda: Cupy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastdissect.kernels.cuda import compiling

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(compiling, "compile_source", lambda stem, target: b"code")
    assert compiling.compiled("scan", "90").read_bytes() == b"code"


def test_a_kernel_that_does_not_compile(cuda: Cupy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.kernels.cuda import compiling

    (tmp_path / "broken.cu").write_text(
        'extern "C" __global__ void fd_broken(int* p) { *p = no_such_name; }\n'
    )
    monkeypatch.setattr(compiling, "folder", lambda: tmp_path)
    with pytest.raises(BackendError) as raised:
        compiling.compile_source("broken", "sm_90")
    message = str(raised.value)
    assert "broken.cu does not compile with NVRTC" in message
    assert "no_such_name" in message
    assert "-ftz=false" in message
    assert 'device="cpu"' in message
    assert "FASTDISSECT_BACKEND=cpp-v3" in message


def test_a_kernel_that_does_not_load(cuda: Cupy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = sources.function.__wrapped__
    with pytest.raises(BackendError, match=r"kernel fd_scan_nothing does not load.*device=\"cpu\""):
        load("scan", "fd_scan_nothing", 0)
    (tmp_path / "scan.cubin").write_bytes(b"damaged")
    monkeypatch.setattr(sources, "image", lambda stem, device: tmp_path / "scan.cubin")
    with pytest.raises(BackendError, match=r"does not load from .*scan\.cubin on device 0.*delete it"):
        load("scan", "fd_scan_tiles", 0)


def test_the_target_is_the_gpus_own_or_the_newest_ptx(cuda: Cupy, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastdissect.kernels.cuda import compiling

    nvrtc = SimpleNamespace(getSupportedArchs=lambda: (90, 75, 100, 120), getVersion=lambda: (13, 0))
    monkeypatch.setattr(compiling, "cupy", SimpleNamespace(cuda=SimpleNamespace(nvrtc=nvrtc)))
    assert compiling.target_of("90") == "sm_90"
    assert compiling.target_of("130") == "compute_120"
    assert compiling.target_of("89") == "compute_75"
    with pytest.raises(BackendError, match=r"compute capability 7\.0, and NVRTC 13\.0 compiles from 7\.5 on"):
        compiling.target_of("70")
