"""The compiled core: no instruction set leaks out of its object, the stub tells the truth, versions agree."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastdissect

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "csrc" / "cpu"
HAVE_CORE = importlib.util.find_spec("fastdissect._core") is not None


def flags_of(name: str) -> list[str]:
    """The flags that CMakeLists.txt gives one instruction set."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf'isa_{name}\.cpp PROPERTIES COMPILE_OPTIONS "(-[^"]+)"', text)
    return found[1].split(";") if found else []


def test_every_set_has_flags_in_cmakelists() -> None:
    if not SOURCES.exists():
        pytest.skip("the sources are not here")
    assert flags_of("base") == []
    assert flags_of("v3") == ["-march=x86-64-v3"]
    assert "-march=x86-64-v4" in flags_of("v4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "v3", "v4"])
def test_an_instruction_set_exports_its_table_and_nothing_weak(name: str, tmp_path: Path) -> None:
    """A weak symbol could be kept by the linker for the whole program: illegal instructions on older machines."""
    compiler, nm = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++"), shutil.which("nm")
    if not (SOURCES.exists() and compiler and nm):
        pytest.skip("needs the sources, a C++ compiler and nm")
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these sets are of x86-64")
    target = tmp_path / "isa.o"
    common = [
        "-std=c++17",
        "-O3",
        "-fPIC",
        "-ffp-contract=off",
        "-fvisibility=hidden",
        "-DFD_HAVE_X86_LEVELS",
    ]
    source = str(SOURCES / f"isa_{name}.cpp")
    subprocess.run([compiler, *common, *flags_of(name), "-c", source, "-o", str(target)], check=True)
    listing = subprocess.run([nm, "-C", str(target)], capture_output=True, text=True, check=True).stdout
    symbols = [line[17:].split(" ", 1) for line in listing.splitlines()]
    exported = [text for kind, text in symbols if kind.isupper() and kind != "U"]
    assert exported == [f"fd::isa_{name}"]
    assert not [text for kind, text in symbols if kind in "vwVWu"]
    needed = {text for kind, text in symbols if kind == "U"}
    assert needed <= {
        "memset",
        "memcpy",
        "memmove",
        "__stack_chk_fail",
        "_GLOBAL_OFFSET_TABLE_",
        "__popcountdi2",
    }


@pytest.mark.skipif(not HAVE_CORE, reason="installed without compiled kernels")
def test_the_core_keeps_its_instruction_sets_apart() -> None:
    """In the built module, too: only the module's own entry point is visible."""
    nm, spec = shutil.which("nm"), importlib.util.find_spec("fastdissect._core")
    if not nm or sys.platform != "linux" or spec is None or spec.origin is None:
        pytest.skip("needs nm on Linux")
    listing = subprocess.run(
        [nm, "-DC", "--defined-only", spec.origin], capture_output=True, text=True, check=True
    )
    names = [line[17:].split(" ", 1)[1] for line in listing.stdout.splitlines()]
    assert "PyInit__core" in names
    assert not [name for name in names if name.startswith("fd::")]


@pytest.mark.slow
@pytest.mark.skipif(not HAVE_CORE, reason="installed without compiled kernels")
def test_the_stub_describes_the_core(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    package = Path(fastdissect.__file__).resolve().parent
    # an editable install is not on mypy's path; an installed package is, and must not be named again
    where = {} if package.parent.name == "site-packages" else {"MYPYPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "fastdissect._core"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **where, "MYPY_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_agree() -> None:
    assert importlib.metadata.version("fastdissect") == fastdissect.__version__
    project = ROOT / "pyproject.toml"
    if project.exists():
        import tomllib

        declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
        assert declared == fastdissect.__version__
