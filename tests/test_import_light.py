"""`import fastdissect`, TopQuantile and count_intersections touch numpy alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdissect

HEAVY = (
    "torch",
    "numba",
    "pandas",
    "pyarrow",
    "PIL",
    "safetensors",
    "typer",
    "rich",
    "jinja2",
    "platformdirs",
)

USE = f"""
HEAVY = {HEAVY!r}
import sys, pathlib
import numpy as np
import fastdissect as fd
q = fd.TopQuantile(2, 0.1, 40)
q.update(np.arange(80, dtype=np.float32).reshape(10, 2, 2, 2))
assert q.thresholds().tolist() == [67.0, 71.0], q.thresholds()
q.merge(fd.TopQuantile(2, 0.1, 40))
q.save(sys.argv[1])
assert fd.TopQuantile.load(sys.argv[1]).count == 40
found = fd.count_intersections(np.ones((3, 2, 4, 4), np.float32), [0, 2], np.ones((3, 8, 8), int), (8, 8))
assert found.intersection.tolist() == [[192], [0]]
assert "reference" in fd.backends()
fd.set_num_threads(1)
print("loaded", [name for name in HEAVY if sys.modules.get(name)])
print("from", pathlib.Path(fd.__file__).parent, pathlib.Path(np.__file__).parent)
"""

BLOCK = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}))  # None: cannot be imported\n"


def python(code: str, *arguments: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(fastdissect.__file__).parents[1]), **environment},
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    assert "loaded []" in python(USE, str(tmp_path / "q.npz"))


def test_nothing_heavy_is_needed(tmp_path: Path) -> None:
    assert "loaded []" in python(BLOCK + USE, str(tmp_path / "q.npz"))


@pytest.mark.parametrize("backend", fastdissect.backends())
def test_each_backend_loads_its_own_alone(tmp_path: Path, backend: str) -> None:
    loaded = "['numba']" if backend == "numba" else "[]"
    assert f"loaded {loaded}" in python(USE, str(tmp_path / "q.npz"), FASTDISSECT_BACKEND=backend)


def test_a_place_with_numpy_and_the_package_alone(tmp_path: Path) -> None:
    """As `pip install --no-deps` beside numpy leaves it: no other package can be found."""
    home, numpy = tmp_path / "site", Path(np.__file__).parent
    home.mkdir()
    shutil.copytree(
        Path(fastdissect.__file__).parent, home / "fastdissect", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("numpy", "numpy.libs"):
        if (numpy.parent / name).exists():
            (home / name).symlink_to(numpy.parent / name, target_is_directory=True)
    code = f"import sys; sys.path.insert(0, {str(home)!r})\n" + USE
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "q.npz")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "loaded []" in ran.stdout
    assert f"from {home / 'fastdissect'} {home / 'numpy'}" in ran.stdout


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'disect'"):
        fastdissect.disect  # noqa: B018


def test_every_public_name_is_there() -> None:
    for name in fastdissect.__all__:
        assert getattr(fastdissect, name) is not None
    assert sorted(fastdissect.__all__) == dir(fastdissect)
