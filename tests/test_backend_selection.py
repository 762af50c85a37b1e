from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cuda_on_host.fixture import Cupy

import fastdissect.kernels
from fastdissect.errors import BackendError, SettingError
from fastdissect.kernels import available, backend, backend_for, get_num_threads, selection, set_num_threads


def test_every_backend_that_is_offered_loads_and_has_its_name() -> None:
    assert available()[-1] == "reference"
    assert len(set(available())) == len(available())
    for name in available():
        assert backend(name).name == name


def test_compiled_sets_come_first_and_best_first() -> None:
    order = ["cuda", "cpp-v4", "cpp-v3", "cpp-base", "numba", "reference"]
    assert list(available()) == [name for name in order if name in available()]


def test_the_best_of_the_host_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTDISSECT_BACKEND", raising=False)
    assert backend().name == backend_for(np.zeros(1)).name == selection.on_host()[0] != "cuda"


def test_cuda_comes_first_where_nothing_keeps_it_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "kernels_problem", lambda: None)
    assert available.__wrapped__() == ("cuda", *selection.on_host())
    monkeypatch.setattr(selection, "kernels_problem", lambda: "it is missing: pip install it")
    assert available.__wrapped__() == selection.on_host()


def test_cuda_by_name_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, force_backend: Callable[[str], None]
) -> None:
    monkeypatch.setattr(selection, "kernels_problem", lambda: "it is missing: pip install it")
    with pytest.raises(BackendError, match="backend cuda cannot run here: it is missing: pip install it"):
        backend("cuda")
    force_backend("cuda")
    for call in (backend, lambda: backend_for(np.zeros(1))):
        with pytest.raises(BackendError, match="FASTDISSECT_BACKEND=cuda cannot run here: it is missing"):
            call()


def test_a_device_array_runs_where_it_lies(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch, force_backend: Callable[[str], None]
) -> None:
    monkeypatch.delenv("FASTDISSECT_BACKEND", raising=False)
    monkeypatch.setattr(selection, "kernels_problem", lambda: None)
    array = cuda.zeros(3, np.float32)
    assert backend_for(array).name == "cuda"
    assert backend("cuda").name == "cuda"
    force_backend("cuda")
    assert backend_for(array).name == backend_for(np.zeros(1)).name == "cuda"
    force_backend("numba")
    with pytest.raises(
        BackendError, match=r"expected arrays on the host, .*=numba runs; got one on cuda:0; pass"
    ):
        backend_for(array)


def test_cuda_keeps_denormals_whatever_the_host_does(monkeypatch: pytest.MonkeyPatch, cuda: Cupy) -> None:
    monkeypatch.setattr(selection, "kernels_problem", lambda: None)
    monkeypatch.setattr(selection, "_keeps_denormals", lambda: False)
    assert backend("cuda").name == "cuda"
    with pytest.raises(BackendError, match="set_flush_denormal"):
        backend("reference")


@pytest.mark.parametrize("name", available())
def test_the_environment_forces_one(force_backend: Callable[[str], None], name: str) -> None:
    force_backend(name)
    assert backend().name == name
    assert backend("reference").name == "reference"


def test_an_unknown_name_is_loud(force_backend: Callable[[str], None]) -> None:
    with pytest.raises(BackendError, match=r"'?referense'? is not available.*offers.*reference"):
        backend("referense")
    force_backend("cuda-99")
    with pytest.raises(BackendError, match=r"FASTDISSECT_BACKEND=cuda-99 is not available here"):
        backend()


def test_a_core_that_does_not_load_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: object())
    monkeypatch.delattr(fastdissect.kernels, "cpp", raising=False)
    monkeypatch.setitem(sys.modules, "fastdissect.kernels.cpp", None)
    with pytest.raises(BackendError, match="compiled core is installed but does not load"):
        selection.on_host.__wrapped__()


def test_without_core_and_numba_the_reference_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert selection.on_host.__wrapped__() == ("reference",)


def test_flushed_denormals_are_refused_by_all_but_the_compiled_ones() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    refused = {}
    try:
        for name in available():
            try:
                backend(name)
            except BackendError as error:
                refused[name] = str(error)
    finally:
        torch.set_flush_denormal(False)
    assert set(refused) == {name for name in selection.on_host() if not name.startswith("cpp")}
    assert all("set_flush_denormal" in message for message in refused.values())
    for name in available():
        backend(name)


@pytest.mark.usefixtures("unset_threads")
def test_threads_are_torchs_until_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_threads", None)
    assert get_num_threads() == torch.get_num_threads()
    monkeypatch.delitem(sys.modules, "torch")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert get_num_threads() == cores
    set_num_threads(3)
    assert get_num_threads() == 3


@pytest.mark.usefixtures("unset_threads")
@pytest.mark.parametrize("n", [0, -1, 1.0, True, "2", None])
def test_impossible_numbers_of_threads(n: object) -> None:
    before = get_num_threads()
    with pytest.raises(SettingError, match=r"1 or more; got"):
        set_num_threads(n)  # type: ignore[arg-type]
    assert get_num_threads() == before


def test_importing_the_kernels_loads_neither_torch_nor_numba() -> None:
    code = (
        "import sys, fastdissect, fastdissect.kernels as k; k.available(); k.backend('reference');"
        "print([m for m in ('torch', 'numba', 'pandas', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_forked_child_computes_too() -> None:
    """Nothing that the parent started (threads, OpenMP) is needed in the child."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    code = """
import os, warnings, numpy as np
warnings.simplefilter("ignore")
from fastdissect.kernels import backend, selection
from fastdissect.types import ActivationView
view = ActivationView(np.random.default_rng(0).normal(size=(4, 64, 5, 5)).astype(np.float32), "float32")
for name in selection.on_host():  # CUDA itself does not survive a fork
    sums = lambda: backend(name).sift(view, np.zeros(64, np.uint32), 1, False, False, 4).means.tobytes()
    before = sums()
    child = os.fork()
    if child == 0:
        os._exit(0 if sums() == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, name
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_denormal_probe_sees_what_numpy_does() -> None:
    assert selection._keeps_denormals()
    assert np.float32(1e-45) > 0


def test_numba_does_without_a_folder_for_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    from fastdissect.kernels import jit_numbers

    def no_folder(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(jit_numbers, "numba", SimpleNamespace(njit=no_folder))
    assert jit_numbers.kernel(lambda x: x + 1)(2) == 3
