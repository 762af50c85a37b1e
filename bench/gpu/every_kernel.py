"""Every kernel once or a few times on small inputs, beside the reference: for compute-sanitizer, and by itself.

    python bench/gpu/every_kernel.py [--stand-in] [--few] [--only TEXT] [--no-pool] [--against cpp-v3]

A line a kernel and kind: "equal", or what differs. The last line is a digest of all results: the same whichever way
the kernels were compiled (FASTDISSECT_CUDA=fatbin or jit). `--stand-in` runs the kernels' sources on the CPU, where
there is no GPU. `--few` takes two sizes of maps and two dtypes; `--only` the cases with TEXT in their name. `--no-pool` gives every array memory of its own, so
that memcheck sees a step past its end. torch is never imported. Exit status: 0 all equal, 1 not, 3 no device.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path[0] = str(Path(__file__).parents[1])  # bench/: this folder is the package `gpu`
sys.path.insert(1, str(Path(__file__).parents[2] / "tests"))

from cuda_on_host.facing import Facing, as_cupy, can_run, has_gpu
from gpu.kernel_cases import cases, result_of

from fastdissect.kernels import backend


def leaves(result: Any) -> Iterator[Any]:
    """The arrays and numbers in a result, in order."""
    if hasattr(result, "__dataclass_fields__"):
        result = tuple(getattr(result, name) for name in result.__dataclass_fields__)
    if isinstance(result, tuple | list):
        for item in result:
            yield from leaves(item)
    else:
        yield result


def difference(found: Any, expected: Any) -> str:
    """What differs, bit for bit, dtype and shape included; "" if nothing does."""
    pairs = list(zip(leaves(found), leaves(expected), strict=True))
    for number, (own, other) in enumerate(pairs):
        if isinstance(other, np.ndarray):
            if (own.dtype, own.shape) != (other.dtype, other.shape):
                return f"part {number}: expected {other.dtype} {other.shape}, got {own.dtype} {own.shape}"
            wrong = np.frombuffer(own.tobytes(), np.uint8) != np.frombuffer(other.tobytes(), np.uint8)
            if wrong.any():
                return f"part {number}: {wrong.sum()} of {wrong.size} bytes differ, from byte {wrong.argmax()} on"
        elif repr(own) != repr(other):
            return f"part {number}: expected {other!r}, got {own!r}"
    return ""


def compare(device: Any, host: Any, few: bool = False, only: str = "") -> tuple[int, int, str]:
    """Prints a line a case; (cases, how many differ or fail, digest of what the device gave)."""
    content, count, wrong = hashlib.sha256(), 0, 0
    for name, kernel, arguments in cases(host, few):
        if only not in name:
            continue
        try:
            own = result_of(device, kernel, arguments)
        except Exception as error:  # noqa: BLE001 - one kernel that fails must not hide the others
            lines = str(error).strip().splitlines() or [""]
            problem = f"FAILED: {type(error).__name__}: {lines[0]}"
        else:
            problem = difference(own, result_of(host, kernel, arguments))
            for leaf in leaves(own):
                content.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else repr(leaf).encode())
        print(f"{name:<48} {problem or 'equal'}", flush=True)
        count, wrong = count + 1, wrong + bool(problem)
    return count, wrong, content.hexdigest()[:32]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--stand-in", action="store_true", help="the kernels on the CPU, where there is no GPU"
    )
    parser.add_argument("--few", action="store_true", help="two sizes of maps, two dtypes")
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases with TEXT in their name")
    parser.add_argument("--no-pool", action="store_true", help="every array has memory of its own")
    parser.add_argument("--against", default="reference", help="the host backend to compare with")
    options = parser.parse_args()
    if not has_gpu() and not (options.stand_in and can_run()):
        print("no CUDA device here; --stand-in runs the kernels on the CPU (x86-64, g++)")
        return 3
    if options.no_pool and has_gpu():
        with as_cupy() as cupy:
            cupy.cuda.set_allocator(None)
    print(f"the kernels run on {'the GPU' if has_gpu() else 'the CPU, by the stand-in'}")
    count, differing, digest = compare(Facing(), backend(options.against), options.few, options.only)
    print(f"{count - differing} of {count} equal to {options.against}\ndigest {digest}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
