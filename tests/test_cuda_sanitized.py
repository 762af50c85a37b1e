"""The CUDA kernels under sanitizers, on the CPU: no step outside an array, a block's shared memory or its life, no
undefined behaviour, and nothing that two threads do to the same memory without a barrier between them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_on_host import build

HERE = Path(__file__).parent
# Each kernel once or twice, at sizes around words, warps and blocks: the whole of the tests would take too long.
TESTS = (
    "test_cuda_scan.py",
    "test_kernels_sift.py::test_equals_a_loop_over_cells",
    "test_kernels_filter.py::test_infinities_are_ordinary_and_nans_are_not",
    "test_kernels_histogram.py::test_bins_are_key_prefixes",
    "test_kernels_prune.py::test_wide_cells_and_one_that_is_left",
    "test_kernels_prune.py::test_join_drops_nans_and_keeps_infinities",
    "test_kernels_select.py::test_nans_are_passed_over_and_ties_counted",
    "test_kernels_select.py::test_bounds_of_few_values_and_nans",
    "test_kernels_select.py::test_pixels_that_touch_nan_are_passed_over",
    "test_kernels_pack.py::test_planes_are_where_the_label_is",
    "test_kernels_count.py::test_masks_of_any_number_of_bits",
    "test_kernels_count.py::test_the_zero_ring_is_above_only_below_zero",
)

PLANTED = """
import sys
import numpy as np
from cuda_on_host import build, cupy
code = '#include "shim.hpp"\\nextern "C" __global__ void fd_x(int64_t* p, int64_t n) { %s }'
found = cupy.RawModule(path=str(build.built(code % sys.argv[1], ()))).get_function("fd_x")
found((1,), (32,), (cupy.empty(32, np.int64), np.int64(32)), shared_mem=256)
print("ran to its end")
"""


RACING = """
import sys
import numpy as np
from cuda_on_host import build, cupy
code = '#include "shim.hpp"\\nextern "C" __global__ void fd_x(int64_t* p, int64_t n) {' + \\
    ' int64_t* s = static_cast<int64_t*>(shim::shared_memory()); const int t = threadIdx.x; (void)s; (void)t; %s }'
found = cupy.RawModule(path=str(build.built(code % sys.argv[1], ()))).get_function("fd_x")
found((2,), (64,), (cupy.empty(128, np.int64), np.int64(32)), shared_mem=1024)
print("ran to its end")
"""


def sanitized(*command: str, sanitizer: str = "address") -> subprocess.CompletedProcess[str]:
    if not build.can_build() or platform.system() != "Linux":
        pytest.skip("needs g++ on x86-64 Linux")
    compiler = str(shutil.which("g++"))
    name = {"address": "libasan.so", "thread": "libtsan.so"}[sanitizer]
    asked = [compiler, f"-print-file-name={name}"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip(f"g++ has no {name} here")
    environment = {
        **os.environ,
        "FASTDISSECT_SANITIZE_KERNELS": sanitizer,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 report_signal_unsafe=0",
        "CUDA_VISIBLE_DEVICES": "",  # on the CPU, also where there is a GPU
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
    }
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=HERE.parent,
    )


@pytest.mark.slow
def test_the_kernels_stay_within_their_arrays() -> None:
    tests = [str(HERE / name) for name in TESTS]
    chosen = ("-k", "cuda", "-p", "no:cacheprovider", "-x", "-q")
    done = sanitized("-m", "pytest", *chosen, "-m", "not slow", *tests)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert " passed" in done.stdout
    assert "AddressSanitizer" not in done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("p[threadIdx.x] = n;", None),
        ("p[threadIdx.x + 1] = n;", "heap-buffer-overflow"),
        ("p[0] = p[int64_t(threadIdx.x) - 1];", "heap-buffer-overflow"),
        ("static_cast<int64_t*>(shim::shared_memory())[threadIdx.x] = n;", None),
        ("p[threadIdx.x] = static_cast<int64_t*>(shim::shared_memory())[32];", "heap-buffer-overflow"),
    ],
)
def test_a_step_outside_is_seen(body: str, said: str | None) -> None:
    done = sanitized("-c", PLANTED, body)
    if said is None:
        assert (done.returncode, done.stdout) == (0, "ran to its end\n"), done.stderr
    else:
        assert done.returncode != 0
        assert said in done.stderr
        assert "fd_x" in done.stderr
        assert "ran to its end" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_two_threads_race() -> None:
    script = HERE.parent / "bench" / "gpu" / "every_kernel.py"
    if not script.exists():
        pytest.skip("the tests run apart from the tree")
    done = sanitized(str(script), "--stand-in", "--few", "--only", "float32 7x7", sanitizer="thread")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert "14 of 14 equal to reference" in done.stdout
    assert "ThreadSanitizer" not in done.stderr


@pytest.mark.parametrize(
    ("body", "races"),
    [
        ("p[blockIdx.x * 64 + t] = n;", False),
        ("p[t] = n;", True),  # two blocks
        ("atomicAdd(p, int64_t(1));", False),
        ("s[t] = n; __syncthreads(); p[blockIdx.x * 64 + t] = s[63 - t];", False),
        ("s[t] = n; p[blockIdx.x * 64 + t] = s[63 - t];", True),
        ("s[t] = n; __syncwarp(); p[blockIdx.x * 64 + t] = s[t ^ 1];", False),
        ("s[t] = n; __ballot_sync(~0u, 1); p[blockIdx.x * 64 + t] = s[t ^ 1];", True),  # orders no memory
        ("s[t] = 1; __syncthreads(); p[blockIdx.x * 64 + t] = s[t ^ 1]; s[t] = 2;", True),
    ],
)
def test_a_race_is_seen(body: str, races: bool) -> None:
    done = sanitized("-c", RACING, body, sanitizer="thread")
    assert ("data race" in done.stderr) == races, done.stderr[-3000:]
    assert races or (done.returncode, done.stdout) == (0, "ran to its end\n"), done.stderr[-3000:]
