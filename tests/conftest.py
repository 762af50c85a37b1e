"""Every kernel test runs on every backend: a new one joins by appearing in `kernels.available()`."""

from __future__ import annotations

import os

# Under `pytest -n` the processes share the cores, and so do their children; torch reads this when it is loaded.
_beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
if _beside > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _beside)))

import signal
from collections.abc import Callable, Iterator

import pytest
from cuda_on_host.facing import Facing, as_cupy, can_run
from cuda_on_host.fixture import Cupy
from hypothesis import HealthCheck, settings

from fastdissect.kernels import Backend, available, selection
from fastdissect.kernels import backend as get_backend

os.environ.pop(
    "COLUMNS", None
)  # of the terminal that the tests run in: `pytest -n` hands it on, tables would fold
# Child processes import what is installed, not the source folder that the tests may be run from.
os.environ["PYTHONSAFEPATH"] = "1"
# A run in the background has SIGINT ignored, and children inherit that; the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,  # the first call of a Numba kernel compiles it
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", params=[*(n for n in available() if n != "cuda"), *["cuda"] * can_run()])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend of this machine in turn; the CUDA kernels run on the CPU where there is no GPU."""
    return Facing() if request.param == "cuda" else get_backend(request.param)


@pytest.fixture
def cuda() -> Iterator[Cupy]:
    """CuPy, or its stand-in where there is no GPU: `import cupy` gives it until the test's end."""
    if not can_run():
        pytest.skip("the CUDA kernels run on a GPU, or on x86-64 with g++")
    with as_cupy() as module:
        yield module


@pytest.fixture
def force_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """force_backend("numba"): what the package chooses by itself until the test's end."""
    return lambda name: monkeypatch.setenv("FASTDISSECT_BACKEND", name)


@pytest.fixture
def unset_threads() -> Iterator[None]:
    """Put the number of threads back to what it was."""
    before = selection._threads
    yield
    selection._threads = before
