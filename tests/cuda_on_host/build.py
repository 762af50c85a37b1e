"""A kernel's source, compiled for the CPU by g++ as it stands: fibres for threads (shim.hpp), one library a source."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SANITIZE = os.environ.get("FASTDISSECT_SANITIZE_KERNELS", "")  # "address" or "thread": test_cuda_sanitized.py
_FLAGS = [
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-gnu-unique",  # every library has its own block
    "-DFD_HOST_SHIM",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-Wno-unknown-pragmas",
    "-Wno-attributes",
]
# Fibres leave their stacks for good, which the sanitizer's own marks on stacks do not survive.
_ADDRESS = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
    *("--param", "asan-stack=0", "-fno-omit-frame-pointer"),
)
_SANITIZER = {"": (), "address": ("-g", *_ADDRESS), "thread": ("-g", "-fsanitize=thread")}[SANITIZE]


def can_build() -> bool:
    """A C++ compiler is here, and the processor is one that the fibres' stack change is written for."""
    return shutil.which("g++") is not None and platform.machine() == "x86_64"


@functools.cache
def folder() -> Path:
    """What was compiled stays here from one run of the tests to the next."""
    made = Path(tempfile.gettempdir()) / f"fastdissect-cuda-on-host-{os.getuid()}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


@functools.cache
def shim_version() -> int:
    """A number for all that a library depends on beside the kernel's own source."""
    content = hashlib.sha256(" ".join([*_FLAGS, *_SANITIZER, _DECLARED, _TABLE]).encode())
    for path in sorted(HERE.glob("*pp")):
        content.update(path.read_bytes())
    return int(content.hexdigest()[:12], 16)


# After each kernel, for the stand-in to compare a launch with: how many parameters, and which are pointers (bits).
_DECLARED = """
template <class... Parameters>
constexpr unsigned long long fd_pointers(void (*)(Parameters...)) {
  static_assert((... && (sizeof(Parameters) == 8)), "kernels take pointers and int64_t alone");
  unsigned long long bits = 0, bit = 1;
  ((bits |= std::is_pointer<Parameters>::value ? bit : 0, bit <<= 1), ...);
  return bits;
}
template <class... Parameters>
constexpr unsigned long long fd_count(void (*)(Parameters...)) {
  return sizeof...(Parameters);
}
"""
_TABLE = """
extern "C" {{
extern const unsigned long long fd_parameters_of_{0}[2];
const unsigned long long fd_parameters_of_{0}[2] = {{fd_count({0}), fd_pointers({0})}};
}}
"""


def kernels(code: str, include: tuple[str, ...]) -> list[str]:
    """The kernels that a source declares, once its macros are expanded."""
    folders = [f"-I{headers}" for headers in (*include, str(HERE))]
    command = ["g++", "-E", "-P", "-DFD_HOST_SHIM", "-std=c++17", *folders, "-x", "c++", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"g++ failed on a kernel:\n{done.stderr}")
    names = re.findall(r'extern\s+"C"\s+void\s+(\w+)\s*\(', done.stdout)
    return [name for name in names if name != "fd_shim_switch"]


@functools.cache
def built(code: str, include: tuple[str, ...]) -> Path:
    """Compile one .cu source (text), with the folders of its headers; kept by content."""
    content = hashlib.sha256(f"{shim_version()} {code}".encode())
    for headers in include:
        for path in sorted(Path(headers).glob("*.cuh")):
            content.update(path.read_bytes())
    target = folder() / f"{content.hexdigest()[:20]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory() as work:
            source, made = Path(work) / "kernel.cpp", Path(work) / "kernel.so"
            folders = [f"-I{headers}" for headers in (*include, str(HERE))]
            tables = (_TABLE.format(name) for name in kernels(code, include))
            source.write_text("".join([code, _DECLARED, *tables]))
            flags = [*_FLAGS, *_SANITIZER]
            command = ["g++", *flags, *folders, str(source), str(HERE / "launch.cpp"), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"g++ failed on a kernel:\n{done.stderr}")
            moved = target.with_suffix(f".{os.getpid()}")
            shutil.copy(made, moved)
            moved.rename(target)
    return target
