"""The stand-in for CuPy: CuPy has what it has, with the same parameters; it is as strict as it says; and the fibres that
run a kernel on the CPU show its mistakes.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_on_host import build
from cuda_on_host import cupy as stand_in

import fastdissect

needs_gxx = pytest.mark.skipif(not build.can_build(), reason="needs g++ on x86-64")

# Every function and class that the stand-in has, as a path below `cupy`.
CALLED = (
    *(
        "empty",
        "zeros",
        "asarray",
        "from_dlpack",
        "RawModule",
        "RawModule.get_function",
        "get_default_memory_pool",
    ),
    *(f"ndarray.{name}" for name in ("get", "set", "copy", "reshape", "view", "transpose")),
    *(f"cuda.{name}" for name in ("Device", "ExternalStream", "Event", "UnownedMemory", "MemoryPointer")),
    *(
        f"cuda.{name}"
        for name in ("Event.record", "Event.synchronize", "Stream.synchronize", "Device.synchronize")
    ),
    *("cuda.alloc_pinned_memory", "cuda.get_current_stream"),
    *(f"cuda.runtime.{name}" for name in ("getDeviceCount", "driverGetVersion", "runtimeGetVersion")),
    *(
        f"cuda.nvrtc.{name}"
        for name in ("createProgram", "compileProgram", "destroyProgram", "getProgramLog")
    ),
    *(f"cuda.nvrtc.{name}" for name in ("getCUBIN", "getPTX", "getVersion", "getSupportedArchs")),
)
EXTRA = {"cuda.ExternalStream": {"ptr"}}  # the stand-in's one class of streams needs no pointer
REAL = """
import inspect, json, sys
import cupy
said = {}
for path in json.load(sys.stdin):
    found = cupy
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        said[path] = None
        continue
    try:
        said[path] = "(" + ", ".join(map(str, inspect.signature(found).parameters)) + ")"
    except (TypeError, ValueError):  # no function, or compiled by Cython: the first line of the docstring is the signature
        said[path] = (found.__doc__ or "").strip().partition("\\n")[0]
json.dump(said, sys.stdout)
"""


def real(paths: list[str]) -> dict[str, str | None]:
    """What CuPy says of each path's parameters, asked in a process of its own; None: it has no such name."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed: its names cannot be compared")
    command = [sys.executable, "-c", REAL]
    done = subprocess.run(command, input=json.dumps(paths), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def own(path: str) -> Any:
    found: Any = stand_in
    for part in path.split("."):
        found = getattr(found, part)
    return found


def used() -> list[str]:
    """Every `cupy.x.y` that the package's code says, without the command line's."""
    package = Path(fastdissect.__file__).parent
    paths = set()
    for file in package.rglob("*.py"):
        if file.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("cupy."):
                paths.add(ast.unparse(node).removeprefix("cupy."))
    return sorted(path for path in paths if re.fullmatch(r"[\w.]+", path))


def test_what_the_package_uses_is_in_both() -> None:
    paths = used()
    assert {"empty", "RawModule", "cuda.Device", "cuda.nvrtc"} <= set(paths)
    for path in paths:
        own(path)
    assert [path for path, said in real(paths).items() if said is None] == []


def parameters_of(signature: str) -> list[str]:
    """Names in a signature as Python or Cython writes it: "get(self, stream=None, str order='C') -> x"."""
    assert "(" in signature, signature
    inside = signature[signature.index("(") + 1 :].rpartition(")")[0]
    named = [part.strip() for part in inside.split(",")]
    return [
        re.split(r"[=:]", part)[0].split()[-1].lstrip("*") for part in named if part not in ("", "*", "/")
    ]


def test_cupy_takes_the_same_parameters() -> None:
    """By name those that have a default; the others are passed by position: no more of them than CuPy takes."""
    said = real(list(CALLED))
    for path in CALLED:
        signature = said[path]
        assert signature is not None, f"CuPy has no {path}"
        theirs = [name for name in parameters_of(signature) if name != "self"]
        ours = [p for name, p in inspect.signature(own(path)).parameters.items() if name != "self"]
        assert {p.name for p in ours if p.default is not p.empty} - EXTRA.get(path, set()) <= set(theirs), (
            signature
        )
        assert len(ours) <= len(theirs), signature


def test_arrays_have_no_attributes_that_cupys_lack() -> None:
    names = [f"ndarray.{name}" for name in vars(stand_in.ndarray) if not name.startswith("_")]
    assert [path for path, said in real(names).items() if said is None] == []


def test_memory_is_free_when_the_last_view_dies() -> None:
    before = stand_in.held[0]
    with stand_in.at_most(1000):
        array = stand_in.empty(200, np.float32)
        assert stand_in.held[0] == before + 800
        assert array.device.mem_info == (200, before + 1000)
        with pytest.raises(stand_in.OutOfMemoryError, match="allocating 208 bytes"):
            stand_in.empty(26, np.int64)
        view = array[10:20].reshape(2, 5).view(np.uint32)
        del array
        gc.collect()
        assert stand_in.held[0] == before + 800
        del view
        gc.collect()
        assert stand_in.held[0] == before
        stand_in.zeros(250, np.float32)
    stand_in.empty(10_000, np.float32)


def test_device_arrays_are_no_numpy_arrays() -> None:
    array = stand_in.asarray(np.arange(6, dtype=np.float32))
    for wrong in (
        lambda: np.asarray(array),
        lambda: np.ones(6, np.float32) + array,
        lambda: bool(array),
        lambda: list(array),
        lambda: array[2],
        lambda: array[[1, 2]],
        lambda: array.reshape(2, 3).transpose(1, 0).reshape(6),
        lambda: array[::2].copy(),
    ):
        with pytest.raises((TypeError, AssertionError)):
            wrong()
    assert array[::2].get().tolist() == [0, 2, 4]


def test_new_memory_is_garbage_and_late_copies_are_late() -> None:
    assert set(stand_in.empty(8, np.uint8).get().tolist()) == {0xCD}
    assert len(stand_in.alloc_pinned_memory(10)) > 10  # CuPy's is rounded up, too
    out, event = np.zeros(3), stand_in.Event()
    stand_in.asarray(np.ones(3)).get(out=out, blocking=False)
    event.record()
    assert out.tolist() == [0, 0, 0]
    event.synchronize()
    assert out.tolist() == [1, 1, 1]


def kernel(body: str, name: str = "fd_x", parameters: str = "int64_t* out, int64_t n") -> Any:
    code = f'#include "shim.hpp"\nextern "C" __global__ void {name}({parameters}) {{ {body} }}\n'
    return stand_in.RawModule(path=str(build.built(code, ()))).get_function(name)


@needs_gxx
def test_a_launch_is_checked() -> None:
    found = kernel("out[blockIdx.x] = n;")
    out = stand_in.empty(4, np.int64)
    found((4,), (1,), (out, np.int64(-7)))
    assert out.get().tolist() == [-7] * 4
    with stand_in.Device(1):
        elsewhere = stand_in.empty(4, np.int64)
    wrong: list[tuple[Any, Any, Any, int]] = [
        ((4,), (1,), (out,), 0),  # too few
        ((4,), (1,), (out, np.int64(1), np.int64(1)), 0),
        ((4,), (1,), (out, 1), 0),  # CuPy would make it an int32 or int64 by its value
        ((4,), (1,), (out, out), 0),  # an array for a number
        ((4,), (1,), (np.int64(1), np.int64(1)), 0),  # a number for a pointer
        ((4,), (1,), (elsewhere, np.int64(1)), 0),
        ((0,), (1,), (out, np.int64(1)), 0),
        ((1, 65536), (1,), (out, np.int64(1)), 0),
        ((1,), (1025,), (out, np.int64(1)), 0),
        ((1,), (1,), (out, np.int64(1)), 48 * 1024 + 1),
    ]
    for grid, block, arguments, shared in wrong:
        with pytest.raises(AssertionError):
            found(grid, block, arguments, shared_mem=shared)


@needs_gxx
@pytest.mark.parametrize("parameters", ["int* out, int n", "float* out, float n", "int64_t* out, bool n"])
def test_kernels_take_pointers_and_int64_alone(parameters: str) -> None:
    with pytest.raises(RuntimeError, match="pointers and int64_t alone"):
        kernel("", parameters=parameters)


def results(body: str, threads: int, count: int, shared: int = 0) -> list[list[int]]:
    """What a kernel leaves in `out`, launch for launch: the order of the threads changes."""
    found, made = kernel(body), []
    for _ in range(4):
        out = stand_in.zeros(count, np.int64)
        found((1,), (threads,), (out, np.int64(count)), shared_mem=shared)
        made.append(out.get().tolist())
    return made


TURNED = """
  auto* shared = static_cast<int64_t*>(shim::shared_memory());
  shared[threadIdx.x] = threadIdx.x;
  {barrier}
  out[threadIdx.x] = shared[n - 1 - threadIdx.x];
"""


@needs_gxx
@pytest.mark.parametrize("threads", [2, 32, 96])
def test_a_missing_barrier_shows_in_another_order_of_threads(threads: int) -> None:
    right = list(range(threads))[::-1]
    assert results(TURNED.format(barrier="__syncthreads();"), threads, threads, 8 * threads) == [right] * 4
    assert results(TURNED.format(barrier=""), threads, threads, 8 * threads).count(right) < 4


@needs_gxx
def test_warp_functions_mean_what_cuda_means() -> None:
    body = """
      const unsigned t = threadIdx.x, all = 0xFFFFFFFFu;
      out[t] = __shfl_up_sync(all, int(t), 3) * 1000 + __shfl_xor_sync(all, int(t), 5);
      out[t] += 1000000 * __popc(__ballot_sync(all, t & 1)) + 100000000ll * __shfl_sync(all, int(t), 7);
    """
    right = [(t - 3 if t >= 3 else t) * 1000 + (t ^ 5) + 16_000_000 + 700_000_000 for t in range(32)]
    assert results(body, 32, 32) == [right] * 4


MISTAKES = [
    ("if (threadIdx.x < 16) __syncthreads(); else __syncwarp();", 32, "deadlock"),
    ("out[0] = __shfl_sync(0x0000FFFFu, 1, 0);", 32, "mask leaves out the lane that calls it"),
    ("if (threadIdx.x < 16) out[0] = __ballot_sync(0xFFFFFFFFu, 1);", 32, "ended"),
    ("if (threadIdx.x >= 16) return; __syncthreads(); __syncwarp();", 32, "names lanes that have ended"),
    ("__syncwarp();", 16, "names lanes that the block does not have"),
    ("__syncwarp(threadIdx.x == 0 ? 0x3u : 0x7u);", 3, "different masks"),
    (
        "if (threadIdx.x < 2) out[0] = __shfl_sync(0x3u, 1, 2);",
        32,
        "reads from a lane that its mask leaves out",
    ),
]


@needs_gxx
@pytest.mark.parametrize(("body", "threads", "said"), MISTAKES)
def test_what_cuda_leaves_undefined_stops_the_launch(body: str, threads: int, said: str) -> None:
    with pytest.raises(RuntimeError, match=rf"fd_x: .*{said}.*\(block 0,0 thread \d+\)"):
        results(body, threads, 32)


@needs_gxx
def test_shared_memory_starts_as_garbage_in_every_block() -> None:
    body = "auto* s = static_cast<int64_t*>(shim::shared_memory()); out[blockIdx.x] = s[0]; s[0] = 1;"
    out = stand_in.empty(3, np.int64)
    kernel(body)((3,), (1,), (out, np.int64(3)), shared_mem=8)
    assert out.get().tolist() == [np.frombuffer(b"\xcd" * 8, np.int64)[0]] * 3


def test_a_reading_of_unwritten_results_differs() -> None:
    reading: Callable[[], Any] = lambda: stand_in.empty(1, np.float32).get()[0]
    assert reading() not in (0.0, 1.0)
