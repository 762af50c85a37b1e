"""What keeps the CUDA kernels from running here: each cause, in the order in which they stand on each other."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastdissect.kernels.cuda import driver, problem, sources


class Machine:
    """A machine on which all is well, until the test breaks something."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.driver: int | None = 13000
        self.gpus: int | None = 1
        self.torch: str | None = "13.0"
        self.torch_sees: bool | str = True
        self.packages: tuple[str, ...] = ("cupy-cuda13x",)
        self.cupy_error: Exception | None = None
        self.runtime = 13020
        self.fatbin: str | None = "this installation has none (it was built without nvcc)"
        self.nvrtc_error: Exception | None = None
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.delenv("FASTDISSECT_CUDA", raising=False)
        patch.setattr(problem, "driver_version", lambda: self.driver)
        patch.setattr(problem, "device_count", lambda: self.gpus)
        patch.setattr(problem, "torch_cuda", lambda: self.torch)
        patch.setattr(problem, "cupy_packages", lambda: self.packages)
        patch.setattr(problem.importlib.util, "find_spec", lambda name: self.packages or None)
        patch.setattr(problem.importlib, "import_module", self.imported)
        patch.setattr(sources, "fatbin_problem", lambda *_: self.fatbin)
        patch.setitem(sys.modules, "torch", self.fake_torch())

    def fake_torch(self) -> Any:
        def is_available() -> bool:
            import warnings

            if isinstance(self.torch_sees, str):
                warnings.warn(self.torch_sees, UserWarning, stacklevel=1)
            return self.torch_sees is True

        version = SimpleNamespace(cuda=self.torch)
        return SimpleNamespace(
            cuda=SimpleNamespace(is_available=is_available), version=version, __version__="2.9"
        )

    def imported(self, name: str) -> Any:
        assert name == "cupy"
        if self.cupy_error is not None:
            raise self.cupy_error

        def version() -> tuple[int, int]:
            if self.nvrtc_error is not None:
                raise self.nvrtc_error
            return 13, 0

        runtime = SimpleNamespace(runtimeGetVersion=lambda: self.runtime)
        return SimpleNamespace(
            cuda=SimpleNamespace(runtime=runtime, nvrtc=SimpleNamespace(getVersion=version))
        )

    def kernels(self) -> str | None:
        return problem.kernels_problem.__wrapped__()

    def all(self) -> str | None:
        return problem.cuda_problem.__wrapped__()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_nothing_is_wrong(machine: Machine) -> None:
    assert machine.kernels() is None
    assert machine.all() is None
    machine.gpus = None  # a driver that does not say counts as one that has GPUs
    assert machine.all() is None


# (what is broken, from the root on; what is said; the command that mends it)
CAUSES = [
    ({"driver": None}, "no NVIDIA driver", "https://www.nvidia.com/drivers"),
    ({"gpus": 0}, "finds no GPU", "`nvidia-smi -L`"),
    ({"torch": ""}, "build without CUDA", "pip install --force-reinstall torch --index-url https"),
    ({"torch_sees": False}, "torch 2.9 for CUDA 13.0 sees no GPU", "torch.cuda.init()"),
    ({"packages": ()}, "CuPy is not installed", 'pip install "fastdissect[cuda13]"'),
    (
        {"packages": ("cupy-cuda12x", "cupy-cuda13x")},
        "cupy-cuda12x and cupy-cuda13x are installed",
        'pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install "fastdissect[cuda13]"',
    ),
    (
        {"packages": ("cupy-cuda12x",)},
        "for another CUDA than torch, which is for 13.0",
        'pip uninstall -y cupy-cuda12x && pip install "fastdissect[cuda13]"',
    ),
    ({"driver": 12080}, "the driver is for CUDA 12.8, too old for cupy-cuda13x", "install a newer driver"),
    (
        {"cupy_error": ImportError("libcudart.so\n is gone")},
        "fails (libcudart.so is gone)",
        "pip uninstall -y cupy-",
    ),
    (
        {"nvrtc_error": RuntimeError("libnvrtc.so.13: cannot open")},
        "does not load (libnvrtc.so.13: cannot open), and of kernels compiled beforehand this installation has none",
        'pip install "nvidia-cuda-nvrtc==13.*"',
    ),
]
TORCHS = (2, 3, 6)  # those that concern torch


@pytest.mark.parametrize("number", range(len(CAUSES)))
def test_each_cause_and_its_remedy(machine: Machine, number: int) -> None:
    broken, said, remedy = CAUSES[number]
    vars(machine).update(broken)
    found = machine.all()
    assert found is not None
    assert said in found
    assert remedy in found
    assert machine.kernels() == (None if number in TORCHS else found)


def test_the_first_cause_is_named(machine: Machine) -> None:
    """With all that comes after it broken, too; of two values for one thing the earlier cause counts."""
    for broken, said, _ in reversed(CAUSES):
        vars(machine).update(broken)
        assert said in str(machine.all())


def test_a_cuda_of_its_own_where_there_is_no_torch(machine: Machine) -> None:
    machine.torch, machine.packages, machine.driver = None, (), 12040
    assert 'pip install "fastdissect[cuda12]"' in str(machine.all())
    machine.torch = "12.6"
    machine.driver = 13000
    assert 'pip install "fastdissect[cuda12]"' in str(machine.all())
    machine.torch = ""
    assert machine.kernels() == 'CuPy is not installed: pip install "fastdissect[cuda13]"'


def test_hidden_gpus(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "-1", " -1,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert machine.kernels() == "CUDA_VISIBLE_DEVICES hides every GPU: unset CUDA_VISIBLE_DEVICES"
    for value in ("0", "1,-1", "GPU-8932f937"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert machine.kernels() is None


def test_what_torch_says_of_an_old_driver_is_passed_on(machine: Machine) -> None:
    machine.torch_sees = "The NVIDIA driver on your\n system is too old"
    assert "(The NVIDIA driver on your system is too old)" in str(machine.all())


def test_a_cupy_built_from_source_says_its_cuda_itself(machine: Machine) -> None:
    machine.packages, machine.driver, machine.torch = ("cupy",), 12080, "12.8"
    assert "too old for this CuPy, which is for 13.2" in str(machine.all())
    machine.runtime = 12090  # within a major version an older driver will do
    assert machine.all() is None


def test_an_old_driver_takes_the_other_extra(machine: Machine) -> None:
    machine.torch, machine.driver = None, 12080
    assert 'pip uninstall -y cupy-cuda13x && pip install "fastdissect[cuda12]"' in str(machine.all())
    machine.torch, machine.torch_sees = "13.0", True  # torch would not follow to CUDA 12
    assert "[cuda12]" not in str(machine.all())
    machine.torch, machine.driver, machine.packages = None, 11080, ("cupy-cuda12x",)
    assert str(machine.all()).endswith(
        "cupy-cuda12x: install a newer driver (https://www.nvidia.com/drivers)"
    )


def test_fatbins_do_without_nvrtc(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.nvrtc_error, machine.fatbin = RuntimeError("libnvrtc"), None
    assert machine.all() is None
    monkeypatch.setenv("FASTDISSECT_CUDA", "jit")
    assert "none shall be used" in str(machine.all())
    monkeypatch.setenv("FASTDISSECT_CUDA", "abacus")
    assert "expected FASTDISSECT_CUDA=jit or =fatbin" in str(machine.all())


def test_torchs_cuda_is_read_without_importing_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    spec = importlib.machinery.ModuleSpec("torch", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(problem.importlib.util, "find_spec", lambda name: spec)
    assert problem.torch_cuda() == ""
    for text, cuda in [
        ("__version__ = '2.9.0'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", "12.8"),
        ("debug = False\ncuda = '13.0'\n", "13.0"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", ""),
        ("git_version = 'cuda = \"9\"'\n", ""),
    ]:
        (package / "version.py").write_text(text)
        assert problem.torch_cuda() == cuda
    monkeypatch.setattr(problem.importlib.util, "find_spec", lambda name: None)
    assert problem.torch_cuda() is None
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(version=SimpleNamespace(cuda="11.8")))
    assert problem.torch_cuda() == "11.8"


def test_this_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert problem.torch_cuda() == (torch.version.cuda or "")
    monkeypatch.delitem(sys.modules, "torch")
    assert problem.torch_cuda() == (torch.version.cuda or "")


def test_cupys_packages_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CuPy-CUDA12x", "cupy", "cupyx-stubs", "cupy-xarray", "numpy", "cupy-cuda12x"]
    found = [SimpleNamespace(metadata={"Name": name}) for name in names]
    monkeypatch.setattr(problem.importlib.metadata, "distributions", lambda: found)
    assert problem.cupy_packages() == ("cupy", "cupy-cuda12x")


def test_a_library_that_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toolkit's stub of libcuda answers with an error; other libraries have none of the names."""
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: SimpleNamespace(cuDriverGetVersion=lambda _: 34))
    assert driver.driver_version.__wrapped__() is None
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert driver.driver_version.__wrapped__() is None
    assert driver.device_count.__wrapped__() is None


def test_asking_loads_neither_torch_nor_cupy_without_a_driver() -> None:
    code = (
        "import sys; from fastdissect.kernels.cuda import driver, problem\n"
        "driver.driver_version.__wrapped__; problem.driver_version = lambda: None\n"
        "assert 'no NVIDIA driver' in problem.cuda_problem(); print({'torch', 'cupy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
