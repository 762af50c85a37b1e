"""NVRTC: a kernel's source compiled for the GPU at hand, at the first use.

CuPy's own `RawModule(code=...)` will not do: it appends -ftz=true to every list of options, the last one holds, and
denormals would be flushed to zero. Its cache would also keep what was compiled from a header that has changed since.
So NVRTC is called here, through CuPy's binding, and the result lies in CuPy's folder of compiled kernels
(CUPY_CACHE_DIR, else ~/.cupy/kernel_cache), under a name that holds all that it depends on.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import cupy

from fastdissect.errors import BackendError
from fastdissect.kernels.cuda.sources import OPTIONS, digest, folder

__all__ = ["WAY_OUT", "compile_source", "compiled", "target_of"]

WAY_OUT = (
    'or compute on the CPU: device="cpu", or FASTDISSECT_BACKEND=cpp-v3 (`fastdissect doctor` lists others)'
)
_LAST_LINES = 20  # of the compiler's log


def target_of(capability: str) -> str:
    """What NVRTC compiles for: machine code for this GPU, else PTX of the newest that NVRTC knows.

    Machine code runs on every driver of NVRTC's major version; PTX needs one that is no older than NVRTC.

    Raises:
        BackendError: the GPU is older than all that this NVRTC compiles for.
    """
    known = sorted(cupy.cuda.nvrtc.getSupportedArchs())
    if int(capability) in known:
        return f"sm_{capability}"
    older = [arch for arch in known if arch < int(capability)]
    if not older:
        raise BackendError(
            f"this GPU has compute capability {int(capability) / 10}, and NVRTC {_version()} compiles from "
            f"{known[0] / 10} on; install CuPy for an older CUDA, {WAY_OUT}"
        )
    return f"compute_{older[-1]}"


def compile_source(stem: str, target: str) -> bytes:
    """Compile STEM.cu: a cubin for a target "sm_XX", PTX for "compute_XX". Needs no GPU.

    Raises:
        BackendError: it does not compile; the message has the end of NVRTC's log.
    """
    nvrtc = cupy.cuda.nvrtc
    source = folder() / f"{stem}.cu"
    options = (*OPTIONS, f"-I{folder()}", f"-arch={target}")
    program = nvrtc.createProgram(source.read_text(encoding="utf-8"), source.name, (), ())
    try:
        nvrtc.compileProgram(program, options)
        made = nvrtc.getCUBIN(program) if target.startswith("sm_") else nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        log = "\n".join(nvrtc.getProgramLog(program).strip().splitlines()[-_LAST_LINES:])
        raise BackendError(
            f"{source.name} does not compile with NVRTC {_version()} ({error}); options {' '.join(options)}; its log "
            f"ends:\n{log}\nPlease report this; FASTDISSECT_CUDA=fatbin if there is one, {WAY_OUT}"
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return made if isinstance(made, bytes) else made.encode()


def compiled(stem: str, capability: str) -> Path:
    """A file with the kernels of STEM.cu for GPUs of a compute capability: the kept one, or compiled now.

    Raises:
        BackendError: it does not compile, or this GPU is too old.
    """
    target = target_of(capability)
    key = hashlib.sha256(f"{digest()} {OPTIONS} {_version()}".encode()).hexdigest()[:24]
    name = f"fastdissect-{stem}-{target}-{key}.cubin"
    kept = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache") / name
    if kept.is_file():
        return kept
    code = compile_source(stem, target)
    try:
        return _written(kept, code)
    except OSError:  # a folder that cannot be written costs the next process its time, no more
        return _written(_until_the_end() / name, code)


def _written(path: Path, code: bytes) -> Path:
    """Beside and renamed, under a name of this process: two may compile the same kernel at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(code)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


@functools.cache
def _until_the_end() -> Path:
    made = Path(tempfile.mkdtemp(prefix="fastdissect-kernels-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _version() -> str:
    return ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
