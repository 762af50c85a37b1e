"""Every CUDA kernel compiles for every target, by NVRTC and by nvcc alike, without a GPU; and what the compilers make of it
keeps the promises: the same names, parameters of 8 bytes, no flushing of denormals, nothing fused or approximated.

NVRTC needs CuPy (the extras cuda12 and cuda13 bring both), nvcc a CUDA toolkit; either is left out where it is missing.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_on_host import build

from fastdissect.kernels.cuda.sources import OPTIONS, folder

STEMS = sorted(path.stem for path in folder().glob("*.cu"))
TARGETS = ("75", "80", "86", "89", "90", "100", "120")
ROOT = Path(__file__).resolve().parents[1]
NVCC = shutil.which("nvcc")

# In a process of its own: `import cupy` must give CuPy, whatever the tests of the kernels have put in its place.
NVRTC = """
import sys
from pathlib import Path
import cupy
from fastdissect.kernels.cuda.compiling import compile_source
stem, folder, *targets = sys.argv[1:]
for target in targets:
    known = cupy.cuda.nvrtc.getSupportedArchs()
    if int(target.rpartition("_")[2]) in known:
        Path(folder, target).write_bytes(compile_source(stem, target))
    else:
        print(f"NVRTC {cupy.cuda.nvrtc.getVersion()} does not know {target}")
"""


def by_nvrtc(stem: str, targets: list[str], where: Path) -> str:
    """Files named like their target; returns what was said of targets that this NVRTC does not know."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed, so there is no NVRTC to compile with")
    command = [sys.executable, "-c", NVRTC, stem, str(where), *targets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ptx_by_nvcc(stem: str, target: str, where: Path) -> str:
    if NVCC is None:
        pytest.skip("there is no nvcc here")
    made = where / "nvcc.ptx"
    command = [
        NVCC,
        "-ptx",
        *OPTIONS,
        f"-arch=compute_{target}",
        "-o",
        str(made),
        str(folder() / f"{stem}.cu"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made.read_text()


def kernels(ptx: str) -> dict[str, list[str]]:
    """Each kernel's parameters, by their types."""
    entries = re.findall(r"\.visible\s+\.entry\s+(\w+)\s*\(([^)]*)\)", ptx)
    return {name: re.findall(r"\.param\s+\.(\w+)", parameters) for name, parameters in entries}


def declared(stem: str) -> list[str]:
    """The kernels that the source declares, by g++'s preprocessor."""
    if not build.can_build():
        pytest.skip("g++ on x86-64 says which kernels there are")
    return build.kernels((folder() / f"{stem}.cu").read_text(), (str(folder()),))


@functools.cache
def parameters_on_host(stem: str) -> dict[str, int]:
    library = ctypes.CDLL(str(build.built((folder() / f"{stem}.cu").read_text(), (str(folder()),))))
    table = {
        name: (ctypes.c_uint64 * 2).in_dll(library, f"fd_parameters_of_{name}") for name in declared(stem)
    }
    return {name: int(count) for name, (count, _) in table.items()}


def check_ptx(stem: str, ptx: str) -> None:
    found = kernels(ptx)
    assert found.keys() == set(declared(stem))
    assert all(name.startswith("fd_") for name in found)
    assert {kind for kinds in found.values() for kind in kinds} <= {"u64", "b64", "s64"}
    assert {name: len(kinds) for name, kinds in found.items()} == parameters_on_host(stem)
    assert ".ftz" not in ptx
    assert not re.findall(
        r"\b(?:fma|mad)\.\S*f(?:32|64)|\bdiv\.(?:approx|full)\S*|\b(?:rcp|sqrt)\.approx\S*", ptx
    )


def test_there_are_kernels() -> None:
    assert {"scan", "sift", "count"} <= set(STEMS)
    assert set(TARGETS) == set(re.findall(r"\d+", cmake(r"set\(FD_CUDA_TARGETS ([\d ]+)\)")))


def cmake(pattern: str) -> str:
    file = ROOT / "cmake" / "cuda.cmake"
    if not file.exists():
        pytest.skip("the build's files are not here")
    found = re.search(pattern, file.read_text(encoding="utf-8"))
    assert found
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_nvrtc_and_nvcc_make_the_same_kernels_of_a_source(stem: str, tmp_path: Path) -> None:
    oldest = f"compute_{TARGETS[0]}"
    if by_nvrtc(stem, [oldest], tmp_path):
        pytest.skip(f"this NVRTC does not know {oldest}")
    jit = (tmp_path / oldest).read_text()
    check_ptx(stem, jit)
    ahead = ptx_by_nvcc(stem, TARGETS[0], tmp_path)
    check_ptx(stem, ahead)
    assert kernels(jit) == kernels(ahead)


@pytest.mark.slow
@pytest.mark.parametrize("stem", STEMS)
def test_nvrtc_compiles_for_every_target(stem: str, tmp_path: Path) -> None:
    unknown = by_nvrtc(stem, [f"sm_{target}" for target in TARGETS], tmp_path)
    made = {path.name.removeprefix("sm_"): path.read_bytes() for path in tmp_path.iterdir()}
    assert made, unknown
    assert len(made) + unknown.count("does not know") == len(TARGETS)
    for target, cubin in made.items():
        names = {name.decode() for name in re.findall(rb"\.text\.(fd_\w+)", cubin)}
        assert names == set(declared(stem)), target


def test_an_option_too_many_is_seen(tmp_path: Path) -> None:
    """The patterns above find what they look for: CuPy's own -ftz=true, a fused multiply-add, a quick division."""
    if NVCC is None:
        pytest.skip("there is no nvcc here")
    source = tmp_path / "x.cu"
    source.write_text(
        'extern "C" __global__ void fd_x(float* p, int n) { p[0] = p[1] * p[2] + p[3]; p[4] = p[5] / p[6]; p[7] *= n; }'
    )
    command = [NVCC, "-ptx", "-arch=compute_75", "-use_fast_math", "-o", str(tmp_path / "x.ptx"), str(source)]
    subprocess.run(command, check=True)
    ptx = (tmp_path / "x.ptx").read_text()
    assert ".ftz" in ptx
    assert re.findall(r"\b(?:fma|mad)\.\S*f(?:32|64)", ptx)
    assert re.findall(r"\bdiv\.(?:approx|full)\S*", ptx)
    assert kernels(ptx) == {"fd_x": ["u64", "u32"]}
